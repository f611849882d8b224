//! What a store promises: [`conformance`] for every store, [`crash`] and [`damage`] for the disk.

#![allow(clippy::unwrap_used, reason = "tests")]

mod conformance;
mod crash;
mod damage;
mod support;
