//! Wires: the `cairn` binary.
//!
//! Everything that touches sockets, disks, clocks and terminals is here; what is decided is decided
//! in the pure crates. A validator joins
//!
//! * [`chain`]: state, store and mempool behind the consensus port,
//! * [`duties`]: what a validator owes beyond ordering (hold blobs, audit, compute checkpoints),
//! * [`gossip`]: transactions to and from peers,
//! * [`rpc`]: the HTTP interface and the page;
//!
//! a miner is [`mining`]; both compute through [`computation`] on a [`workbench`] and sign through
//! an [`outbox`]. Who computes no checkpoints for the chain is [`following`] them. [`devnet`]
//! starts them all as processes on one machine. [`model`] runs language models of the world
//! outside on the same engine, and [`calibrate`] compares it with others.

pub mod calibrate;
pub mod ceremony;
pub mod chain;
pub mod checkpoint;
pub mod cli;
pub mod computation;
pub mod devnet;
pub mod doppelganger;
pub mod duties;
pub mod export;
pub mod following;
pub mod gossip;
pub mod gov;
pub mod home;
pub mod joining;
pub mod keeping;
pub mod local;
pub mod mining;
pub mod model;
pub mod other_engine;
pub mod outbox;
pub mod pieces;
pub mod plot;
pub mod prove;
pub mod pruning;
pub mod query;
pub mod replay;
pub mod rpc;
pub mod shutdown;
pub mod signer;
pub mod signing;
pub mod snapshots;
pub mod stake;
pub mod syncing;
pub mod terminal;
pub mod validator;
pub mod wallet;
pub mod watchdog;
pub mod workbench;
