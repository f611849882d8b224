//! Real swarms on loopback, talking to each other and to hostile peers.
#![allow(clippy::unwrap_used, reason = "tests")]

mod blob;
mod discovery;
mod gossip;
mod harness;
mod hostile;
mod start;
