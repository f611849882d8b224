//! Appeals: a convicted miner stakes a bond on being right, and a larger round judges again, or
//! both sides of a [`dispute`] show what they computed. An auditor's appeal against an acceptance
//! is a [`contest`].
//!
//! The bond doubles with every appeal. Whoever is convicted in the end loses all of them, also
//! where the unit is only void for it; whoever is not gets them back, also when nobody could
//! decide.

use super::{
    contest,
    dispute::{self, Dispute},
    ladder,
};
use crate::{
    Rejection, View, account,
    bond::Miner,
    event::Event,
    run, slash,
    unit::{Appeal, Outcome, Stage, Unit},
};
use governance::parameters::Name;
use protocol::{Address, Amount, Height, task::UnitId};

/// The bond of a unit's next appeal.
#[must_use]
pub fn bond(view: &View<'_>, unit: &Unit) -> Amount {
    let first = run::parameters(view).get(Name::AppealBond);
    let doubled = unit
        .appeals
        .iter()
        .fold(first, |bond, _| bond.saturating_mul(2));
    Amount::new(doubled)
}

/// Contests the conviction of the sender's unit, or the acceptance of one that it found wrong.
///
/// # Errors
/// When there is none, it is another's, it is too late, or the bond cannot be paid.
pub fn post(
    view: &mut View<'_>,
    sender: Address,
    id: UnitId,
    height: Height,
) -> Result<Vec<Event>, Rejection> {
    let mut unit: Unit = view.get(&id).ok_or(Rejection::UnitUnknown { unit: id })?;
    if let Some(contest) = unit.contest.clone().filter(|_| unit.outcome().is_none()) {
        return contest::post(view, sender, (id, unit), contest, height);
    }
    if unit.miner != sender {
        return Err(Rejection::NotAssignee {
            unit: id,
            assignee: unit.miner,
        });
    }
    let conviction = unit.conviction.filter(|_| unit.stage == Stage::Committed);
    let conviction = conviction.ok_or(Rejection::NotConvicted { unit: id })?;
    if height > conviction.appeal_by {
        return Err(Rejection::AppealLate {
            height,
            appeal_by: conviction.appeal_by,
        });
    }
    let bond = bond(view, &unit);
    account::debit(view, sender, bond)?;
    if let Some(mut miner) = view.get::<Miner>(&sender) {
        miner.appealed = miner.appealed.saturating_add(bond.get());
        view.put(&sender, &miner);
    }
    unit.conviction = None;
    unit.appeals.push(Appeal {
        at: height,
        bond,
        finding: conviction.finding,
    });
    let mut events = vec![Event::UnitAppealed {
        unit: id,
        miner: sender,
        bond,
    }];
    let is_first = unit.appeals.len() == 1;
    view.put(&id, &unit);
    let finding = conviction.finding;
    let disputed = is_first.then(|| dispute::open(view, id, &unit, finding, height));
    events.extend(match disputed.flatten() {
        Some(opened) => opened,
        None => ladder::climb(view, id, unit, height),
    });
    Ok(events)
}

/// Ends a unit's accusation: its appeals' bonds go back to the miner, or are burned if what it
/// contested was found again; those of contestants that did not lose go back to them. What the
/// miner has earned may vest again.
pub fn end(view: &mut View<'_>, id: UnitId, unit: &Unit, outcome: Outcome) -> Vec<Event> {
    if !unit.is_accused() {
        return Vec::new();
    }
    let (returned, mut events) = contest::give_back(view, id, unit);
    let bonds = unit.appeals.iter().fold(Amount::ZERO, |sum, appeal| {
        sum.saturating_add(appeal.bond.get())
    });
    let is_lost = match outcome {
        Outcome::Slashed { .. } => true,
        Outcome::Void { reason, .. } => reason.is_beyond_class(),
        Outcome::Accepted { .. } | Outcome::Missed => false,
    };
    if dispute::open_of(view, id, unit).is_some() {
        view.delete::<Dispute>(&id);
    }
    if let Some(mut miner) = view.get::<Miner>(&unit.miner) {
        let held = bonds.saturating_add(returned.get());
        miner.accused = miner.accused.saturating_sub(1);
        miner.appealed = miner.appealed.saturating_sub(held.get());
        view.put(&unit.miner, &miner);
    }
    if is_lost {
        slash::burn(view, bonds);
    } else {
        account::credit(view, unit.miner, bonds);
    }
    if !unit.appeals.is_empty() {
        events.push(Event::AppealEnded {
            unit: id,
            miner: unit.miner,
            bonds,
            is_lost,
        });
    }
    events
}
