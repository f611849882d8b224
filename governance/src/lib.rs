//! Rules about rules: what may be changed by vote, within which bounds, and how votes count.
//!
//! Pure: no IO, no clock, no floats. The state machine (`ledger-state`) stores [`Parameters`],
//! [`Proposal`]s and votes, and asks this crate for every decision:
//!
//! ```
//! use governance::{Parameters, parameters::Name};
//! let mut parameters = Parameters::default();
//! assert_eq!(parameters.get(Name::AuditRate), 20_000);
//! parameters.set(Name::AuditRate, 300_000).unwrap();
//! assert!(parameters.set(Name::AuditRate, 2_000_000).is_err());
//! ```
#![forbid(unsafe_code)]
#![deny(
    clippy::float_arithmetic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

pub mod parameters;
pub mod proposal;
pub mod tally;

pub use parameters::Parameters;
pub use proposal::Proposal;
pub use tally::Tally;
