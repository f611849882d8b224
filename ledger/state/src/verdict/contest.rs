//! Contests: auditors that found a unit wrong and were outvoted stake a bond on being right, and
//! show it in a [`dispute`] before the acceptance counts.
//!
//! Whoever rejects a unit makes a larger round judge it, so an accepted unit that somebody rejected
//! was judged by more. But those may be a majority of liars. So the acceptance of a unit about
//! which there can be a dispute waits for as long as a conviction does, and if an auditor contests
//! it, both sides show what they computed. One that is right wins against any majority.
//!
//! Nothing is paid, and the step does not close, before this is over: what is contested is in no
//! checkpoint.
//!
//! Spec: 07-verdict §12

use super::{dispute, settle_accepted};
use crate::{
    Rejection, View, account,
    bond::Miner,
    event::Event,
    opening, run, slash,
    unit::{Audit, Contest, Contestant, Seat, Tier, Unit},
    validator::Validator,
};
use governance::parameters::Name;
use protocol::{
    Address, Amount, Height,
    rollout::Opened,
    task::UnitId,
    verdict::{Check, Finding},
};
use std::collections::BTreeMap;

/// Auditors that found a unit wrong by something that a dispute decides, and what each found; not
/// those that a dispute about the unit has heard.
#[must_use]
pub fn outvoted(view: &View<'_>, id: UnitId, unit: &Unit) -> BTreeMap<Address, Finding> {
    let mut outvoted = BTreeMap::new();
    if !dispute::is_disputable(view, id, unit) {
        return outvoted;
    }
    for audit in unit.rounds() {
        for seat in &audit.seats {
            if let Some(finding) = found(id, unit, audit, seat)
                && dispute::is_computed(finding)
            {
                outvoted.entry(seat.auditor).or_insert(finding);
            }
        }
    }
    if let Some(heard) = dispute::of(view, id, unit) {
        outvoted.retain(|auditor, _| !heard.has_failed(*auditor));
    }
    outvoted
}

/// What a seat holds against a unit. In a blind round a sketch that is not the miner's says that
/// the segment ends elsewhere.
fn found(id: UnitId, unit: &Unit, audit: &Audit, seat: &Seat) -> Option<Finding> {
    let contradiction = seat.verdict()?.contradiction();
    let named_other = named_other(id, unit, audit, seat);
    contradiction.or_else(|| named_other.then_some(Finding::exact(Check::State, 1)))
}

/// Whether a seat of a blind round named another sketch than the miner opened.
fn named_other(id: UnitId, unit: &Unit, audit: &Audit, seat: &Seat) -> bool {
    let is_blind = audit.tier == Tier::One && opening::is_sealed(id, unit);
    let opened = unit.opening.sketch.as_ref().filter(|_| is_blind);
    let opened = opened.map(Opened::sketch);
    seat.sketch().is_some() && opened.is_some() && seat.sketch() != opened
}

/// Begins the time in which an acceptance may be contested, once a unit, if anybody may.
pub(super) fn begin(
    view: &mut View<'_>,
    id: UnitId,
    unit: &mut Unit,
    height: Height,
) -> Option<Event> {
    if unit.contest.is_some() || outvoted(view, id, unit).is_empty() {
        return None;
    }
    let blocks = run::parameters(view).get(Name::AppealBlocks);
    let contest_by = height.saturating_add(blocks);
    unit.contest = Some(Contest {
        contest_by,
        contestants: Vec::new(),
        lost: Vec::new(),
    });
    view.put(&id, unit);
    Some(Event::AcceptanceWaits {
        unit: id,
        miner: unit.miner,
        contest_by,
    })
}

/// Contests the acceptance of a unit.
///
/// # Errors
/// When the sender was not outvoted, has contested it before, is late, or the bond cannot be paid.
pub(super) fn post(
    view: &mut View<'_>,
    sender: Address,
    (id, mut unit): (UnitId, Unit),
    mut contest: Contest,
    height: Height,
) -> Result<Vec<Event>, Rejection> {
    let stranger = Rejection::NotOutvoted { unit: id, sender };
    let finding = outvoted(view, id, &unit).remove(&sender).ok_or(stranger)?;
    let own = |contestant: &&Contestant| contestant.auditor == sender;
    if contest.contestants.iter().find(own).is_some() {
        return Err(Rejection::ContestedBefore { unit: id, sender });
    }
    let appeal_by = contest.contest_by;
    if height > appeal_by {
        return Err(Rejection::AppealLate { height, appeal_by });
    }
    let bond = Amount::new(run::parameters(view).get(Name::AppealBond));
    let payer = payer(view, sender);
    account::debit(view, payer, bond)?;
    if let Some(mut miner) = view.get::<Miner>(&unit.miner) {
        // Whoever is accused of something has it not vest meanwhile.
        if !unit.is_accused() {
            miner.accused = miner.accused.saturating_add(1);
        }
        miner.appealed = miner.appealed.saturating_add(bond.get());
        view.put(&unit.miner, &miner);
    }
    contest.contestants.push(Contestant {
        auditor: sender,
        payer,
        bond,
        finding,
    });
    unit.contest = Some(contest);
    view.put(&id, &unit);
    Ok(vec![Event::UnitContested {
        unit: id,
        auditor: sender,
        finding,
        bond,
    }])
}

/// Whose account an auditor's bond comes from: the one that its verdicts are paid to.
fn payer(view: &View<'_>, auditor: Address) -> Address {
    let validator: Option<Validator> = view.get(&auditor);
    validator.map_or(auditor, |validator| validator.holder)
}

/// Opens the dispute once everyone who may has contested or the time is over; accepts the unit if
/// nobody has.
pub(super) fn settle(
    view: &mut View<'_>,
    id: UnitId,
    unit: Unit,
    contest: &Contest,
    height: Height,
) -> Vec<Event> {
    let able_count = outvoted(view, id, &unit).len();
    if height <= contest.contest_by && contest.contestants.len() < able_count {
        return Vec::new();
    }
    match contest.contestants.first() {
        None => settle_accepted(view, id, unit, height),
        Some(first) => {
            let contestants = contest.contestants.iter();
            let challengers = contestants.map(|contestant| contestant.auditor).collect();
            dispute::begin(view, id, &unit, (challengers, first.finding), height)
        }
    }
}

/// Burns the bond of a contestant that lost; returns what the next one found.
pub(super) fn fail(
    view: &mut View<'_>,
    id: UnitId,
    unit: &mut Unit,
    auditor: Address,
) -> (Option<Event>, Option<Finding>) {
    let Some(contest) = unit.contest.as_mut() else {
        return (None, None);
    };
    let own = |contestant: &Contestant| contestant.auditor == auditor;
    let Some(position) = contest.contestants.iter().position(own) else {
        return (None, None);
    };
    let contestant = contest.contestants.remove(position);
    let bond = contestant.bond;
    contest.lost.push(contestant);
    let next = contest.contestants.first().map(|next| next.finding);
    view.put(&id, unit);
    if let Some(mut miner) = view.get::<Miner>(&unit.miner) {
        miner.appealed = miner.appealed.saturating_sub(bond.get());
        view.put(&unit.miner, &miner);
    }
    slash::burn(view, bond);
    let ended = Event::ContestEnded {
        unit: id,
        auditor,
        bond,
        is_lost: true,
    };
    (Some(ended), next)
}

/// Returns the bonds of contestants that have not lost when their unit is over; the caller takes
/// them from what the miner's record holds.
pub(super) fn give_back(view: &mut View<'_>, id: UnitId, unit: &Unit) -> (Amount, Vec<Event>) {
    let contestants = unit.contest.as_ref().map(|contest| &contest.contestants);
    let mut returned = Amount::ZERO;
    let mut events = Vec::new();
    for contestant in contestants.into_iter().flatten() {
        account::credit(view, contestant.payer, contestant.bond);
        returned = returned.saturating_add(contestant.bond.get());
        events.push(Event::ContestEnded {
            unit: id,
            auditor: contestant.auditor,
            bond: contestant.bond,
            is_lost: false,
        });
    }
    (returned, events)
}
