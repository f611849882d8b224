//! What a round decides about a unit that may differ from the exact engine. Spec: tolerant.md §6.
//!
//! Honest auditors all run the exact engine, so their whole verdicts are equal, numbers included,
//! and that is what shows that they ran it: there is no sketch to compare. One auditor's word is
//! enough for a unit that holds and adds nothing to the evidence against its miner; some of those
//! are judged again anyhow, drawn once the word was given. Everything else is judged by three.

use super::decide::Decision;
use crate::{
    View,
    bond::Miner,
    class, run,
    unit::{Audit, Seat, Tier, Unit, VoidReason},
};
use governance::parameters::Name;
use protocol::{
    Micro,
    class::{Level, Lifetime},
    sample::is_second_look,
    task::{Beacon, UnitId},
    verdict::{Check, Finding, Verdict},
};

/// The verdict that weighs most in a round, and whether no other was given.
fn heaviest(audit: &Audit) -> Option<(&Verdict, bool)> {
    let spoken = || {
        let seats = audit.seats.iter();
        seats.filter_map(|seat| Some((seat.verdict()?, seat.weight)))
    };
    let weight = |wanted: &Verdict| {
        let equal = spoken().filter(|(verdict, _)| *verdict == wanted);
        equal.fold(0_u64, |sum, (_, weight)| sum.saturating_add(weight))
    };
    let (first, _) = spoken().next()?;
    let mut heaviest = (first, weight(first));
    let mut is_only = true;
    for (verdict, _) in spoken().filter(|(verdict, _)| *verdict != first) {
        is_only = false;
        let weight = weight(verdict);
        if weight > heaviest.1 {
            heaviest = (verdict, weight);
        }
    }
    Some((heaviest.0, is_only))
}

/// The verdict that the ladder ended with, if more than a first round judged.
pub(super) fn agreed(unit: &Unit) -> Option<&Verdict> {
    let audit = unit.audits.last().filter(|_| unit.is_tolerant())?;
    let is_first = audit.tier == Tier::One;
    heaviest(audit)
        .filter(|_| !is_first)
        .map(|(verdict, _)| verdict)
}

/// Whether a seat measured something else than the ladder ended with. An auditor that did not get
/// the blob measured nothing.
pub(super) fn is_misreported(seat: &Seat, agreed: &Verdict) -> bool {
    let Some(verdict) = seat.verdict().filter(|verdict| *verdict != agreed) else {
        return false;
    };
    let reason = verdict.contradiction();
    reason.is_none_or(|finding| finding.check != Check::Availability)
}

/// What a unit says about its miner.
struct Reading {
    /// What it adds to the evidence, in millionths of a nat.
    evidence_micro: i64,
    /// The evidence with it.
    lifetime: Lifetime,
    /// That beside its limits.
    finding: Finding,
}

fn read(view: &View<'_>, unit: &Unit, verdict: &Verdict) -> Option<Reading> {
    let class = class::class(view, unit.class?)?;
    let miner: Miner = view.get(&unit.miner)?;
    let sum = verdict.finding(Check::MarginSum)?.measured;
    let tokens_count = unit.commitment.as_ref()?.claim.tokens_count();
    let evidence_micro = class.evidence_micro(sum, tokens_count.into());
    let lifetime = miner.lifetime.and(evidence_micro);
    Some(Reading {
        evidence_micro,
        lifetime,
        finding: Finding::within(
            Check::Lifetime,
            lifetime.measured_micro(),
            class.lifetime_micro,
        ),
    })
}

/// What a round's decision becomes once limits have two levels and units add up.
pub(super) fn weigh(
    view: &View<'_>,
    id: UnitId,
    unit: &Unit,
    decision: Decision,
    beacon: &Beacon,
) -> Decision {
    let Some(audit) = unit.audits.last().filter(|_| unit.is_tolerant()) else {
        return decision;
    };
    match decision {
        Decision::Accept => accept(view, id, (unit, audit), beacon),
        Decision::Wait
        | Decision::Again
        | Decision::FallBack
        | Decision::Climb
        | Decision::Void(_)
        | Decision::Convict(_)
        | Decision::Execute(_) => decision,
    }
}

/// Why a unit is void that differs too much to be paid, and not enough to be punished.
pub(super) const fn void_reason(finding: Finding) -> VoidReason {
    if matches!(finding.check, Check::Lifetime) {
        VoidReason::Evidence
    } else {
        VoidReason::Differs
    }
}

fn accept(
    view: &View<'_>,
    id: UnitId,
    (unit, audit): (&Unit, &Audit),
    beacon: &Beacon,
) -> Decision {
    let Some((verdict, is_only)) = heaviest(audit) else {
        return Decision::Climb;
    };
    let reading = read(view, unit, verdict);
    if audit.tier == Tier::One {
        let rate = Micro::new(run::parameters(view).get(Name::SecondLookRate));
        let adds_nothing = |reading: &Reading| {
            reading.evidence_micro <= 0 && reading.finding.level() == Level::Holds
        };
        let is_enough = is_only && reading.as_ref().is_some_and(adds_nothing);
        return if is_enough && !is_second_look(beacon, id, rate) {
            Decision::Accept
        } else {
            Decision::Climb
        };
    }
    let finding = reading.map(|reading| reading.finding);
    let beyond = finding.filter(|finding| finding.level() != Level::Holds);
    match (beyond, audit.tier) {
        (None, _) => Decision::Accept,
        (Some(finding), Tier::Everyone { .. }) => Decision::Execute(finding),
        (Some(finding), Tier::One | Tier::Three | Tier::Committee) => Decision::Convict(finding),
    }
}

/// Adds a unit that is settled to the evidence about its miner.
pub(super) fn record(view: &mut View<'_>, unit: &Unit) {
    let last = unit.audits.last().filter(|_| unit.is_tolerant());
    let Some((verdict, _)) = last.and_then(heaviest) else {
        return;
    };
    if let Some(reading) = read(view, unit, verdict)
        && let Some(mut miner) = view.get::<Miner>(&unit.miner)
    {
        miner.lifetime = reading.lifetime;
        view.put(&unit.miner, &miner);
    }
}
