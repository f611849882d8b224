//! A chain in memory for tests: keys, genesis, blocks that check the invariants, and steps.

mod ballot;
mod chain;
mod keys;
mod opening;
mod probe;
mod setup;
mod step;

pub(crate) use ballot::{payload, propose, propose_by, set, vote};
pub(crate) use chain::Chain;
pub(crate) use keys::{key, registration};
pub(crate) use opening::{bind, correction, lie, opening, seals, sketch, state_at};
pub(crate) use setup::{Setup, recipe};
pub(crate) use step::{
    RUN, accepting, commitment_body, equivocation, feedback, rejecting, sketched_bodies,
};
