//! Tests of the rules, from outside: blocks in, state and events out.
//!
//! [`support`] holds a chain in memory that checks the invariants at every block; the other
//! modules are the tests, one topic each. Run one topic with `cargo test -p ledger-state steps::`.
#![allow(clippy::unwrap_used, reason = "tests")]

mod attacks;
mod audits;
mod beacons;
mod contests;
mod disputes;
mod equivocation;
mod exchanges;
mod feedback;
mod fees;
mod governed;
mod life_of_a_contribution;
mod money;
mod openings;
mod parts;
mod plants;
mod proposals;
mod recipes;
mod rejections;
mod segments;
mod selection;
mod simulation;
mod staking;
mod steps;
mod support;
mod updates;
