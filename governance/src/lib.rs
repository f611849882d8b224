//! Rules about rules: what may be decided, by whom, and when it takes effect. Spec: governance.
//!
//! Pure: no IO, no clock, no floats. The rules keep their records in any [`store::Store`] and act
//! on any [`world::World`]; the ledger's state machine is one, a map in memory another. The files
//! follow one proposal:
//!
//! * [`submit`]: a payload of typed actions with a deposit; the strictest [`track`] rules it;
//! * [`power`]: whose stake counts, as it was before voting began, and who may vote for whom;
//! * [`vote`]: split votes, counted into the [`tally`] as they arrive;
//! * [`lifecycle`]: what a block does by itself: votes close, timelocks end;
//! * [`action`]: what is executed, as a whole or not at all, within the [`purse`]'s limits;
//! * [`upgrade`]: a vote plans a version, readiness activates it;
//! * [`house`], [`council`]: who may delay, cancel or pause;
//! * [`stage`], [`gate`]: how the founding operator's powers end.
//!
//! Everything is counted in integers and exact [`Share`]s:
//!
//! ```
//! use governance::{Share, Tally, tally::Outcome, track::floor};
//! use protocol::proposal::{Choice, Track, Weights};
//!
//! let mut tally = Tally { eligible: 100, ..Tally::default() };
//! tally.add(15, &Weights::all(Choice::Yes));
//! assert_eq!(tally.outcome(&floor(Track::Text)), Outcome::Pass);
//! assert_eq!(tally.outcome(&floor(Track::ParameterSafe)), Outcome::Reject);
//! assert!(Share::new(1, 3).is_exceeded_by(34, 100));
//! ```
#![forbid(unsafe_code)]
#![deny(
    clippy::float_arithmetic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

pub mod action;
pub mod calendar;
pub mod council;
pub mod describe;
pub mod event;
pub mod gate;
pub mod house;
pub mod lifecycle;
mod mutant;
pub mod parameters;
pub mod power;
pub mod proposal;
pub mod purse;
pub mod refusal;
pub mod settings;
pub mod share;
pub mod stage;
pub mod store;
pub mod submit;
pub mod tally;
pub mod track;
pub mod upgrade;
pub mod vote;
pub mod world;

pub use calendar::Calendar;
pub use event::Event;
pub use parameters::Parameters;
pub use proposal::Proposal;
pub use refusal::Refusal;
pub use settings::settings;
pub use share::Share;
pub use stage::Stage;
pub use tally::Tally;
pub use track::Rulebook;

#[cfg(test)]
mod tests;
