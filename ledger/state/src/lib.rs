//! Rules: the pure state machine, `apply(state, block) -> Result<Transition, Rejection>`.
//!
//! No IO, no clock, no floats, no randomness, no hash-map order; the one operation in which a
//! dispute ends is computed by [`engine_trace`], to the bit that IEEE 754 defines. All state is a
//! map from key bytes to value bytes ([`State`]); a [`View`] collects a block's writes over it,
//! typed by [`Record`](state::Record). The files follow one contribution:
//!
//! * [`task`]: a step opens with a checkpoint, a beacon assigns its units;
//! * [`commitment`]: miners bind their blobs, validators attest that they hold them;
//! * [`equivocation`]: whoever has two signed commitments to one unit shows them;
//! * [`sample`]: a later beacon draws audits, [`panel`]s of [`auditor`]s judge them;
//! * [`opening`]: miners open what they sealed, once auditors are bound;
//! * [`verdict`]: auditors commit and reveal, disagreement climbs a ladder of rounds, miners
//!   appeal;
//! * [`reward`] and [`slash`]: settled units pay or cost; [`bond`]s come and [`leave`];
//! * [`staking`]: stake answers for validators and gives them power; [`emission`]: new tokens for
//!   verified work;
//! * [`feedback`]: what a miner's updates lost is the start of its next ones;
//! * [`checkpoint`]: validators agree on the next checkpoint and the next step opens.
//!
//! [`fee`] says what a place in a block costs whoever comes of free will, and [`selection`] what a
//! proposer takes.
//!
//! A block is valid only if every transaction in it is; a proposer leaves the others out. The
//! numbers of [`Rejection`] are stable (Spec: rejections).
#![forbid(unsafe_code)]
#![deny(
    clippy::float_arithmetic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

pub mod account;
pub mod apply;
pub mod auditor;
pub mod beacon;
pub mod bond;
pub mod checkpoint;
pub mod class;
pub mod commitment;
pub mod emission;
pub mod equivocation;
pub mod event;
pub mod fee;
pub mod feedback;
pub mod genesis;
pub mod leave;
mod mutant;
pub mod opening;
pub mod panel;
pub mod proposal;
pub mod rejection;
pub mod reward;
pub mod run;
pub mod sample;
pub mod selection;
pub mod slash;
pub mod staking;
pub mod state;
pub mod supply;
pub mod task;
pub mod unit;
pub mod validator;
pub mod verdict;

pub use apply::{Transition, apply, check_transaction, rehearse};
pub use event::Event;
pub use rejection::Rejection;
pub use selection::{select, select_within};
pub use state::{State, View};
