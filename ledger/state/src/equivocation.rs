//! Equivocation: a miner that signed two commitments to one unit is slashed. Spec: 07-verdict §8.
//!
//! The proof is an exact contradiction: no audit is needed, and no quorum. Whoever shows it first
//! gets a finder's share of the slash, at most half, so that reporting oneself loses.

use crate::{
    Rejection, View,
    bond::{Miner, Status},
    event::Event,
    run, slash, task,
    unit::Unit,
};
use protocol::{
    Address, Height,
    rollout::{Equivocation, EquivocationError},
    verdict::{Check, Finding},
};

/// Slashes the miner of two signed commitments.
///
/// # Errors
/// When they prove nothing, or about a unit or miner that cannot be slashed.
pub fn report(
    view: &mut View<'_>,
    reporter: Address,
    proof: &Equivocation,
    height: Height,
) -> Result<Vec<Event>, Rejection> {
    let (id, miner) = (proof.unit, proof.miner);
    let unit: Unit = view.get(&id).ok_or(Rejection::UnitUnknown { unit: id })?;
    if unit.miner != miner {
        return Err(Rejection::NotAssignee {
            unit: id,
            assignee: unit.miner,
        });
    }
    match view.get::<Miner>(&miner).map(|miner| miner.status) {
        Some(Status::Active | Status::Idle | Status::Leaving) => {}
        Some(Status::Slashed(_)) => return Err(Rejection::MinerSlashed { miner }),
        None => return Err(Rejection::MinerUnknown { sender: miner }),
    }
    proof
        .verify(run::tip(view).chain)
        .map_err(|error| match error {
            EquivocationError::SameRoot { root } => Rejection::EquivocationSame { unit: id, root },
            EquivocationError::Signature(_) => Rejection::EquivocationForged { unit: id, miner },
        })?;
    let found = (Finding::exact(Check::Equivocation, 1), &[reporter][..]);
    if unit.outcome().is_none() {
        return Ok(task::settle_slashed(view, id, unit, found, height));
    }
    let mut events = slash::miner(view, miner, id, found, height);
    events.extend(task::void_open_units(view, miner, height));
    Ok(events)
}
