//! The chain in memory of the state machine's own tests: keys, genesis, blocks that check the
//! invariants, and steps.
#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::duplicate_mod,
    reason = "written for tests, which use the rest"
)]

#[path = "../../../ledger/state/tests/rules/support/chain.rs"]
mod chain;
#[path = "../../../ledger/state/tests/rules/support/keys.rs"]
mod keys;
#[path = "../../../ledger/state/tests/rules/support/opening.rs"]
mod opening;
#[path = "../../../ledger/state/tests/rules/support/probe.rs"]
mod probe;
#[path = "../../../ledger/state/tests/rules/support/setup.rs"]
mod setup;
#[path = "../../../ledger/state/tests/rules/support/step.rs"]
mod step;

pub(crate) use chain::Chain;
pub(crate) use keys::{key, registration};
pub(crate) use opening::{lie, opening, seals, sketch};
pub(crate) use setup::Setup;
pub(crate) use step::{RUN, accepting, commitment_body, equivocation, rejecting, sketched_bodies};
