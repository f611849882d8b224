//! Scenarios: networks of real processes, over real sockets and disks, driven as people drive them.
//!
//! Each test starts `cairn devnet` in a folder of its own, on ports of its own, and talks to it
//! over HTTP, through files, and by killing its processes. Nothing is mocked. Tests wait for
//! events; the upper bounds only end a test that would otherwise hang.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod bad_input;
mod ceremony;
mod conduct;
mod disputes;
mod disturbed;
mod doppelganger;
mod equivocation;
mod fees;
mod governance_commands;
mod governed_run;
mod holder;
mod life_of_a_contribution;
mod network_of_processes;
mod operations;
mod page;
mod rotation;
mod signer;
mod stages;
mod staking;
mod state_sync;
mod support;
mod tolerant;
mod updates;
mod verifier;
