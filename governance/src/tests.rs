//! Tests of the whole: random histories with their mutants, a model, scenarios, every refusal.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "tests"
)]
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "tests look for one case among many"
)]

mod arithmetic;
mod chain;
mod history;
mod memory;
mod model;
mod properties;
