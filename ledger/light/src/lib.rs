//! Trust without a node: which header the validators decided, and what the state under it holds.
//!
//! A [`Client`] begins with a genesis or with a header that its user trusts, and knows from then on
//! one validator set: the one that decides the next height. A [`Link`] takes it to a later header:
//!
//! ```text
//! trusted set ─► header ◄─ certificate of its own set (header.validators)
//!    │             │
//!    │             ├─ validators: the trusted set itself, or one whose certificate carries
//!    └─ two thirds ┘              two thirds of the trusted set's power, too
//!                  ├─ next_validators ─► the set to trust from here on
//!                  └─ state_root ◄─ state proof of any entries, present or absent
//! ```
//!
//! So every step is signed by more than two thirds of the power of a set that was trusted before,
//! and nobody can lead a client astray without as much: exactly what forking the chain itself
//! takes. Between two links any number of heights may be left out; [`ancestors`] adds headers in
//! between by their hashes alone.
//!
//! What no client can know is whether keys that had power long ago are still in honest hands. One
//! that was away for longer than stake is bound should begin again, with a recent header from a
//! source that it trusts.
//!
//! No engine, no network, no clock: the crate builds for `wasm32-unknown-unknown`. Spec: 05-block
//! §11.
#![forbid(unsafe_code)]
#![deny(
    clippy::float_arithmetic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

mod client;
mod evidence;

pub use client::{Certified, Client, LINKS_COUNT_MAX, Link, LinkError, Members, ancestors};
pub use evidence::{Evidence, EvidenceError, Held};
