//! Proof files: what one proves to whoever has the genesis, or trusts one header, and nothing else.
//!
//! ```text
//! genesis ─► links ─► certified header ─► state root ─► records          light-client's evidence
//!                                                          │
//!                      what the file is about: one record, ┘ or all that made a model:
//!
//! recipe ─► step 0: its accepted units, each with the commitment that its miner signed
//!        ─► checkpoint 1, attested by two thirds of the stake
//!        ─► step 1: …            all records of one state, proven by one pruned tree
//! ```
//!
//! The light client says that the entries are the chain's; this crate knows what they mean, because
//! it has the state machine's types. Nothing in a file is believed: subjects, keys and signatures
//! are derived or checked here, and a record that was left out is missed, because a step's units
//! are numbered without gaps and the absence of the next number is proven too.
//!
//! Pure, like all below it. Spec: 05-block §12, 09-checkpoint §6.
#![forbid(unsafe_code)]
#![deny(
    clippy::float_arithmetic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

mod file;
mod provenance;
mod subject;

pub use file::{About, Anchor, Begin, File, Finding, Refusal, Verified};
pub use provenance::{
    COMMITMENTS_COUNT_MAX, Contribution, Judged, Provenance, StepProvenance,
    keys as provenance_keys,
};
pub use subject::{Record, Subject, SubjectError};
