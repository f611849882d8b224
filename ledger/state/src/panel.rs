//! Panels: who judges a unit in each round of the ladder. Spec: 07-verdict.
//!
//! The first rounds exclude the unit's own miner and the other keys of its holder. The last one
//! does not: it needs more than two thirds of *all* stake, and a share that left its own cases out
//! would make a minority of the whole a majority of the rest.

use crate::{
    View,
    auditor::{self, Auditor},
    unit::{Audit, Opinion, Seat, Sortition, Tier, Unit},
    validator,
};
use governance::{Parameters, parameters::Name};
use protocol::{
    Address, Height, Micro,
    sample::{committee, panel},
    task::{Beacon, UnitId},
};
use std::collections::BTreeSet;

/// Auditors in the second round, and in a first round for which nobody drew itself.
pub const THREE: u32 = 3;
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
    // In a blind round the miner opens before the auditors do.
    let opening_blocks = match tier {
        Tier::One => parameters.get(Name::OpeningBlocks),
        Tier::Three | Tier::Committee | Tier::Everyone { .. } => 0,
    };
    let reveal_by = commit_by
        .saturating_add(opening_blocks)
        .saturating_add(parameters.get(Name::AuditRevealBlocks));
    Audit {
        tier,
        sortition: None,
        seats: seats.iter().map(seat).collect(),
        commit_by,
        reveal_by,
    }
}

/// Auditors without those of the miner's own holder. Other keys of the same person cannot be told
/// apart; draws by stake and the ladder bound what they gain.
#[must_use]
pub fn candidates(view: &View<'_>, miner: Address, beacon_at: Height) -> Vec<Auditor> {
    let mut auditors = auditor::all(view, beacon_at);
    let own = auditors.iter().filter(|auditor| auditor.address == miner);
    let mut holders: BTreeSet<Address> = own.map(|auditor| auditor.holder).collect();
    holders.insert(miner);
    auditors.retain(|auditor| auditor.address != miner && !holders.contains(&auditor.holder));
    auditors
}

fn powers(auditors: &[Auditor]) -> Seats {
    let power = |auditor: &Auditor| (auditor.address, auditor.power);
    auditors.iter().map(power).collect()
}

/// The first auditors of a unit, drawn publicly.
#[must_use]
pub fn first(
    view: &View<'_>,
    (beacon, beacon_at): (&Beacon, Height),
    id: UnitId,
    miner: Address,
    count: u32,
) -> Seats {
    let candidates = powers(&candidates(view, miner, beacon_at));
    let drawn = panel(beacon, id, 0, &candidates, count);
    drawn.into_iter().map(|auditor| (auditor, 1)).collect()
}

/// A first round whose auditors draw themselves.
#[must_use]
pub fn open_sortition(
    parameters: &Parameters,
    (beacon, rate): (Beacon, Micro),
    at: Height,
) -> Audit {
    let stage_blocks = parameters.get(Name::SortitionStageBlocks);
    let stages = parameters.get(Name::SortitionStages);
    let seats = if rate >= Micro::ONE {
        Name::SortitionNewcomerSeats
    } else {
        Name::SortitionSeats
    };
    let commit_by = at.saturating_add(stage_blocks.saturating_mul(stages));
    Audit {
        tier: Tier::One,
        sortition: Some(Sortition {
            beacon,
            since: at,
            stage_blocks,
            seats: Micro::new(parameters.get(seats)),
            grace_blocks: parameters.get(Name::SortitionGraceBlocks),
        }),
        seats: Vec::new(),
        commit_by,
        reveal_by: commit_by
            .saturating_add(parameters.get(Name::OpeningBlocks))
            .saturating_add(parameters.get(Name::AuditRevealBlocks)),
    }
}

/// Those who may sit in the second round: nobody who sat in the first.
fn fresh(view: &View<'_>, unit: &Unit, beacon_at: Height) -> Seats {
    let sat: BTreeSet<Address> = unit
        .audits
        .iter()
        .flat_map(|audit| &audit.seats)
        .map(|seat| seat.auditor)
        .collect();
    let mut fresh = powers(&candidates(view, unit.miner, beacon_at));
    fresh.retain(|(auditor, _)| !sat.contains(auditor));
    fresh
}

/// Whether the second round can be filled.
#[must_use]
pub fn has_three(view: &View<'_>, unit: &Unit, at: Height) -> bool {
    fresh(view, unit, at).len() >= THREE as usize
}

/// Draws three auditors that have not judged the unit.
#[must_use]
pub fn three(
    view: &View<'_>,
    (beacon, beacon_at): (&Beacon, Height),
    id: UnitId,
    unit: &Unit,
) -> Seats {
    let drawn = panel(
        beacon,
        id,
        round(unit),
        &fresh(view, unit, beacon_at),
        THREE,
    );
    drawn.into_iter().map(|auditor| (auditor, 1)).collect()
}

/// Draws the committee's seats by power; all auditors with their power if they are fewer.
#[must_use]
pub fn sixty_four(
    view: &View<'_>,
    (beacon, beacon_at): (&Beacon, Height),
    id: UnitId,
    unit: &Unit,
) -> Seats {
    let candidates = powers(&candidates(view, unit.miner, beacon_at));
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
