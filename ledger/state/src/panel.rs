//! Panels: who judges a unit in each round of the ladder. Spec: 07-verdict.
//!
//! The first rounds exclude the unit's own miner and the other keys of its holder. The last one
//! does not: it needs more than two thirds of *all* stake, and a share that left its own cases out
//! would make a minority of the whole a majority of the rest.

use crate::{
    View,
    unit::{Audit, Opinion, Seat, Tier, Unit},
    validator::{self, Validator},
};
use governance::{Parameters, parameters::Name};
use protocol::{
    Address, Height,
    sample::{committee, panel},
    task::{Beacon, UnitId},
};
use std::collections::BTreeSet;

/// Auditors in the second round.
const THREE: u32 = 3;
/// Seats in the third.
const COMMITTEE_SEATS: u32 = 64;

/// Who sits in a round, and what each weighs.
pub type Seats = Vec<(Address, u64)>;

/// Opens a round of judging.
#[must_use]
pub fn open(parameters: &Parameters, tier: Tier, seats: &[(Address, u64)], at: Height) -> Audit {
    let seat = |(auditor, weight): &(Address, u64)| Seat {
        auditor: *auditor,
        weight: *weight,
        opinion: Opinion::Pending,
    };
    let commit_by = at.saturating_add(parameters.get(Name::AuditCommitBlocks));
    let reveal_by = commit_by.saturating_add(parameters.get(Name::AuditRevealBlocks));
    Audit {
        tier,
        seats: seats.iter().map(seat).collect(),
        commit_by,
        reveal_by,
    }
}

/// Auditors with their power, without those of the miner's own holder. Other keys of the same
/// person cannot be told apart; draws by stake and the ladder bound what they gain.
fn candidates(view: &View<'_>, miner: Address) -> Seats {
    let validators = view.scan::<Validator>(&());
    let own = validators.iter().filter(|(operator, _)| *operator == miner);
    let mut holders: BTreeSet<Address> = own.map(|(_, validator)| validator.holder).collect();
    holders.insert(miner);
    let others = validators
        .into_iter()
        .filter(|(operator, validator)| *operator != miner && !holders.contains(&validator.holder));
    others
        .map(|(operator, validator)| (operator, validator.stake.get()))
        .collect()
}

/// The auditor of the first round.
#[must_use]
pub fn one(view: &View<'_>, beacon: &Beacon, id: UnitId, miner: Address) -> Option<Address> {
    let drawn = panel(beacon, id, 0, &candidates(view, miner), 1);
    drawn.first().copied()
}

/// Those who may sit in the second round: nobody who sat in the first.
fn fresh(view: &View<'_>, unit: &Unit) -> Seats {
    let sat: BTreeSet<Address> = unit
        .audits
        .iter()
        .flat_map(|audit| &audit.seats)
        .map(|seat| seat.auditor)
        .collect();
    let mut fresh = candidates(view, unit.miner);
    fresh.retain(|(auditor, _)| !sat.contains(auditor));
    fresh
}

/// Whether the second round can be filled.
#[must_use]
pub fn has_three(view: &View<'_>, unit: &Unit) -> bool {
    fresh(view, unit).len() >= THREE as usize
}

/// Draws three auditors that have not judged the unit.
#[must_use]
pub fn three(view: &View<'_>, beacon: &Beacon, id: UnitId, unit: &Unit) -> Seats {
    let drawn = panel(beacon, id, round(unit), &fresh(view, unit), THREE);
    drawn.into_iter().map(|auditor| (auditor, 1)).collect()
}

/// Draws the committee's seats by power; all auditors with their power if they are fewer.
#[must_use]
pub fn sixty_four(view: &View<'_>, beacon: &Beacon, id: UnitId, unit: &Unit) -> Seats {
    let candidates = candidates(view, unit.miner);
    if candidates.len() < COMMITTEE_SEATS as usize {
        return candidates;
    }
    committee(beacon, id, round(unit), &candidates, COMMITTEE_SEATS)
}

/// Every validator with its stake.
#[must_use]
pub fn everyone(view: &View<'_>) -> Seats {
    validator::powers(view)
}

/// The number of the round that comes next.
fn round(unit: &Unit) -> u32 {
    u32::try_from(unit.audits.len()).unwrap_or(u32::MAX)
}
