//! Sortition: auditors of a first round draw themselves, in private.
//!
//! The beacon that drew a unit, put through an auditor's verifiable randomness, says from which
//! stage on it may audit the unit: at stage k with probability min(1, share · seats · (k + 1)).
//! Nobody else knows before it commits, so nobody can bribe it. It starts only if nobody has
//! committed by its stage, which keeps the number of audits near one; a grace after the first
//! commitment lets in those who were already at work.

use crate::{
    Rejection, View,
    auditor::Auditor,
    event::Event,
    panel,
    unit::{Audit, Opinion, Seat, Sortition, Stage, Tier, Unit},
};
use protocol::{
    Address, Height,
    sample::{is_eligible, sortition_input},
    task::UnitId,
    transaction::Commitment,
    vrf::{Output, Proof},
};

/// Most auditors of a round in which they draw themselves.
pub const SEATS_COUNT_MAX: usize = 4;

impl Sortition {
    /// The stage to which a height belongs.
    #[must_use]
    pub fn stage(&self, at: Height) -> u32 {
        let passed = at.get().saturating_sub(self.since.get()).saturating_sub(1);
        let stage = passed.checked_div(self.stage_blocks).unwrap_or_default();
        u32::try_from(stage).unwrap_or(u32::MAX)
    }
}

impl Audit {
    /// How a round's auditors draw themselves, as long as more of them may.
    #[must_use]
    pub fn calls_volunteers(&self, at: Height) -> Option<&Sortition> {
        let has_room = at <= self.commit_by && self.seats.len() < SEATS_COUNT_MAX;
        self.sortition.as_ref().filter(|_| has_room)
    }
    /// The stage that decides who may audit: the present one, or that of the first commitment.
    fn stage(&self, sortition: &Sortition, at: Height) -> u32 {
        if self.seats.is_empty() {
            sortition.stage(at)
        } else {
            sortition.stage(self.commit_by.saturating_sub(sortition.grace_blocks))
        }
    }
}

/// Whether an auditor that drew `output` may commit to a unit at this height, and if not, at which
/// stage that is.
fn check(
    view: &View<'_>,
    unit: &Unit,
    (audit, sortition): (&Audit, &Sortition),
    (auditor, output): (Address, &Output),
    at: Height,
) -> Result<(), u32> {
    let candidates = panel::candidates(view, unit.miner, sortition.since);
    let total = candidates
        .iter()
        .fold(0_u64, |sum, candidate| sum.saturating_add(candidate.power));
    let own = candidates
        .iter()
        .find(|candidate| candidate.address == auditor);
    let power = own.map_or(0, |candidate| candidate.power);
    let stage = audit.stage(sortition, at);
    if is_eligible(output, (power, total), sortition.seats, stage) {
        Ok(())
    } else {
        Err(stage)
    }
}

/// Whether an auditor that drew `output` for a unit could take a seat about it at this height.
#[must_use]
pub fn may_volunteer(
    view: &View<'_>,
    unit: &Unit,
    (auditor, output): (Address, &Output),
    at: Height,
) -> bool {
    let Some(audit) = unit
        .audits
        .last()
        .filter(|_| unit.stage == Stage::Committed)
    else {
        return false;
    };
    let is_seated = audit.seats.iter().any(|seat| seat.auditor == auditor);
    audit.calls_volunteers(at).is_some_and(|sortition| {
        let drawn = (auditor, output);
        !is_seated && check(view, unit, (audit, sortition), drawn, at).is_ok()
    })
}

/// Binds the verdict of an auditor that drew itself.
///
/// # Errors
/// When the round does not call for it, the sender cannot show that it drew a seat, or all seats
/// are taken.
pub fn volunteer(
    view: &mut View<'_>,
    sender: Address,
    id: UnitId,
    (proof, commitment): (&Proof, Commitment),
    height: Height,
) -> Result<Vec<Event>, Rejection> {
    let mut unit: Unit = view.get(&id).ok_or(Rejection::UnitUnknown { unit: id })?;
    let is_open = unit.stage == Stage::Committed && unit.waiting.is_none();
    let audit = unit
        .audits
        .last()
        .filter(|_| is_open && unit.conviction.is_none());
    let audit = audit.ok_or(Rejection::NoAudit { unit: id })?;
    let sortition = audit.sortition.filter(|_| audit.tier == Tier::One);
    let sortition = sortition.ok_or(Rejection::SortitionUncalled { unit: id })?;
    let auditor = auditor(view, &unit, &sortition, sender);
    let auditor = auditor.ok_or(Rejection::NotAuditor { unit: id, sender })?;
    check_room(id, audit, sender, height)?;
    let output = auditor
        .vrf
        .verify(&sortition_input(&sortition.beacon, id), proof)
        .map_err(|_| Rejection::SortitionUnproven { unit: id, sender })?;
    check(view, &unit, (audit, &sortition), (sender, &output), height).map_err(|stage| {
        Rejection::NotEligible {
            unit: id,
            sender,
            stage,
        }
    })?;
    if let Some(audit) = unit.audits.last_mut() {
        take_seat(audit, &sortition, (sender, commitment), height);
    }
    view.put(&id, &unit);
    Ok(vec![Event::AuditorSeated {
        unit: id,
        auditor: sender,
    }])
}

fn auditor(
    view: &View<'_>,
    unit: &Unit,
    sortition: &Sortition,
    sender: Address,
) -> Option<Auditor> {
    let candidates = panel::candidates(view, unit.miner, sortition.since);
    candidates
        .into_iter()
        .find(|auditor| auditor.address == sender)
}

fn check_room(id: UnitId, audit: &Audit, sender: Address, height: Height) -> Result<(), Rejection> {
    if audit.seats.iter().any(|seat| seat.auditor == sender) {
        return Err(Rejection::AuditCommittedBefore { unit: id });
    }
    if height > audit.commit_by {
        return Err(Rejection::AuditCommitLate {
            height,
            commit_by: audit.commit_by,
        });
    }
    if audit.seats.len() >= SEATS_COUNT_MAX {
        return Err(Rejection::SeatsTaken {
            unit: id,
            seats_count: audit.seats.len(),
        });
    }
    Ok(())
}

/// The first commitment ends the wait: the grace begins.
fn take_seat(
    audit: &mut Audit,
    sortition: &Sortition,
    (auditor, commitment): (Address, Commitment),
    height: Height,
) {
    if audit.seats.is_empty() {
        let reveal_blocks = audit.reveal_by.get().saturating_sub(audit.commit_by.get());
        audit.commit_by = height.saturating_add(sortition.grace_blocks);
        audit.reveal_by = audit.commit_by.saturating_add(reveal_blocks);
    }
    audit.seats.push(Seat {
        auditor,
        weight: 1,
        opinion: Opinion::Committed { commitment },
    });
}
