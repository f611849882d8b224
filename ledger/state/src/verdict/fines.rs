//! Fines: for silence, and for verdicts that the end of the ladder overturned, in both directions.

use super::tolerant;
use crate::{
    View,
    event::Event,
    opening, slash,
    unit::{Audit, AuditFault, Opinion, Seat, Tier, Unit},
};
use protocol::{
    Address, Height,
    rollout::{Opened, Sketch},
    task::UnitId,
    verdict::{Check, Finding},
};
use std::collections::BTreeMap;

/// Fines those who did not say in time what they were drawn to say. Whoever still had time when
/// the others had decided goes free.
pub(super) fn silence(
    view: &mut View<'_>,
    id: UnitId,
    audit: &Audit,
    height: Height,
) -> Vec<Event> {
    let is_silent = |seat: &&Seat| match seat.opinion {
        Opinion::Pending => height > audit.commit_by,
        Opinion::Committed { .. } => height > audit.reveal_by,
        Opinion::Revealed { .. } => false,
    };
    let silent = audit.seats.iter().filter(is_silent);
    silent
        .filter_map(|seat| slash::auditor(view, seat.auditor, id, AuditFault::Silent))
        .collect()
}

/// What became clear about a unit.
#[derive(Clone, Copy, Debug)]
pub(super) enum Truth {
    /// It is right.
    Right,
    /// It is wrong, by this check.
    Wrong(Check),
}

impl Truth {
    /// What is true of a unit that is convicted of something. The evidence of a lifetime is about
    /// units that were right one by one.
    pub(super) const fn of(finding: Finding) -> Self {
        if matches!(finding.check, Check::Lifetime) {
            Self::Right
        } else {
            Self::Wrong(finding.check)
        }
    }
}

/// Fines once a unit everyone whose verdict was the opposite of the truth. An auditor that could
/// not get a blob that others had did not lie: it pays as the silent do.
pub(super) fn overturned(view: &mut View<'_>, id: UnitId, unit: &Unit, truth: Truth) -> Vec<Event> {
    let decided = match unit.audits.last().map(|audit| audit.tier) {
        Some(Tier::Everyone { group }) => group,
        None | Some(Tier::One | Tier::Three | Tier::Committee) => None,
    };
    // A map: whoever sat in several rounds pays once.
    let mut faults: BTreeMap<Address, AuditFault> = BTreeMap::new();
    let agreed = tolerant::agreed(unit);
    // Rounds that judged a planted fault were about another unit.
    for audit in unit.rounds() {
        let is_blind = opening::is_sealed(id, unit);
        let opened = unit.opening.sketch.as_ref();
        let opened = opened.filter(|_| is_blind && audit.tier == Tier::One);
        let blind = opened.map(Opened::sketch);
        for seat in &audit.seats {
            let differs = agreed.is_some_and(|agreed| tolerant::is_misreported(seat, agreed));
            let misreported = differs.then_some(AuditFault::Overturned);
            let Some(fault) = fault(seat, blind, truth, decided).or(misreported) else {
                continue;
            };
            let worst = faults.entry(seat.auditor).or_insert(fault);
            *worst = fault.min(*worst);
        }
    }
    faults
        .into_iter()
        .filter_map(|(auditor, fault)| slash::auditor(view, auditor, id, fault))
        .collect()
}

/// What a seat did wrong. In a blind round a sketch that is not the miner's accuses it of sealing
/// something else, whatever the findings say.
fn fault(
    seat: &Seat,
    blind: Option<Sketch>,
    truth: Truth,
    decided: Option<u32>,
) -> Option<AuditFault> {
    let verdict = seat.verdict()?;
    let named_other = blind.is_some_and(|sketch| seat.sketch() != Some(sketch));
    match (truth, verdict.contradiction()) {
        (Truth::Right, None) if named_other => Some(AuditFault::Overturned),
        (Truth::Wrong(Check::Activations | Check::State), None) if named_other => None,
        (Truth::Right, Some(finding)) if finding.check == Check::Availability => {
            Some(AuditFault::Silent)
        }
        // Where everyone repeated one group, only claims about that group were decided.
        (Truth::Right, Some(finding)) => decided
            .is_none_or(|group| finding.group == group)
            .then_some(AuditFault::Overturned),
        (Truth::Wrong(_), None) => Some(AuditFault::Overturned),
        (Truth::Right, None) | (Truth::Wrong(_), Some(_)) => None,
    }
}

/// Auditors of the first round that found what a unit is slashed for. A blind auditor may have
/// found a wrong token before it saw a wrong seal, for which the others did not look further.
/// Where the acceptance was contested, the one auditor that showed it.
pub(super) fn finders(unit: &Unit, finding: Finding) -> Vec<Address> {
    let contest = unit.contest.as_ref();
    if let Some(winner) = contest.and_then(|contest| contest.contestants.first()) {
        return vec![winner.auditor];
    }
    let has_found = |seat: &&Seat| {
        let reasons = seat.verdict().map(|verdict| {
            let behind_seals = verdict.finding(Check::Activations);
            [verdict.contradiction(), behind_seals]
        });
        reasons.is_some_and(|reasons| reasons.contains(&Some(finding)))
    };
    let found = |audit: &Audit| -> Vec<Address> {
        let seats = audit.seats.iter().filter(has_found);
        seats.map(|seat| seat.auditor).collect()
    };
    let mut rounds = unit.rounds().iter().map(found);
    rounds.find(|round| !round.is_empty()).unwrap_or_default()
}
