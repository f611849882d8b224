//! The wire, pinned: one value of each type, its bytes, its hash; and what is refused.
//!
//! `spec/vectors/encoding.json` and `spec/vectors/seeds.json` are the tables. A change of the wire
//! changes them: run with `UPDATE_VECTORS=1` to write them anew, and change the chapter with them.
#![allow(clippy::unwrap_used, reason = "tests")]

mod arbitrary;
mod assignment;
mod draws;
mod hostile;
mod round_trip;
mod values;
mod vectors;
