//! Verdicts: commit, reveal, climb, convict, appeal, contest, settle. Spec: 07-verdict.
//!
//! About one auditor, who drew itself, judges a drawn unit first, blind: it names its own sketch of
//! a rollout before the miner opens the sealed one. If it rejects, if the sketches differ, or if it
//! says nothing in time, three others do; if these disagree, a committee; if that has no quorum,
//! every validator repeats the one group of samples that is contested. Before anyone is slashed,
//! the miner may appeal: to the next round, or, about steps of pre-training, to arithmetic, in a
//! [`dispute`]; and an auditor that found a step wrong and was outvoted may [`contest`] in the same
//! way that the unit is accepted.
//!
//! Facts are computed again, never voted on: honest verdicts are equal, so more than two thirds of
//! one answer is the answer as long as more than two thirds of stake are honest, and without such
//! a quorum nobody is punished.

pub mod appeal;
mod commit;
pub mod contest;
mod decide;
pub mod dispute;
mod fines;
mod ladder;
mod plant;
mod reveal;
pub mod sortition;
mod tolerant;

pub use commit::commit;
pub use reveal::reveal;

use crate::{
    View,
    event::Event,
    opening::{self, Pace},
    reward,
    run::Run,
    task,
    unit::{Draw, Outcome, Stage, Unit, VoidReason},
};
use decide::{Decision, decide};
use fines::Truth;
use protocol::{
    Height,
    class::Level,
    task::{Beacon, UnitId},
    verdict::Finding,
};

/// Settles at the end of a block what can be settled, and draws the rounds that wait for this
/// block's beacon.
pub fn settle(view: &mut View<'_>, height: Height, beacon: &Beacon) -> Vec<Event> {
    let mut events = Vec::new();
    for (run_id, run) in view.scan::<Run>(&()) {
        for (id, _) in task::units(view, run_id, run.step) {
            // Read again: slashing one unit voids others of the same miner.
            if let Some(unit) = view.get::<Unit>(&id) {
                events.extend(settle_unit(view, id, unit, (beacon, height)));
            }
        }
    }
    events
}

fn settle_unit(
    view: &mut View<'_>,
    id: UnitId,
    unit: Unit,
    (beacon, height): (&Beacon, Height),
) -> Vec<Event> {
    let mut unit = unit;
    let Some(commitment) = unit.commitment.as_ref() else {
        return Vec::new();
    };
    if !matches!(unit.stage, Stage::Committed) || commitment.draw == Draw::Pending {
        return Vec::new();
    }
    if let Some(dispute) = dispute::open_of(view, id, &unit) {
        return dispute::settle(view, id, unit, dispute, height);
    }
    if let Some(waiting) = unit.waiting {
        return if height >= waiting.draw_at {
            ladder::draw(view, id, unit, waiting, (beacon, height))
        } else {
            Vec::new()
        };
    }
    if let Some(conviction) = unit.conviction {
        return if height > conviction.appeal_by {
            execute(view, id, unit, conviction.finding, height)
        } else {
            Vec::new()
        };
    }
    if let Some(contest) = unit.contest.clone() {
        return contest::settle(view, id, unit, &contest, height);
    }
    let pace = opening::pace(view, id, &mut unit, height);
    let Some(audit) = unit.audits.last() else {
        return match pace {
            Pace::Ready => reward::accept(view, id, unit, height),
            Pace::Wait => Vec::new(),
            Pace::Late => opening::settle_withheld(view, id, unit, height),
        };
    };
    if pace == Pace::Wait {
        return Vec::new();
    }
    let decision = decide(id, &unit, audit, height);
    if decision == Decision::Wait {
        return Vec::new();
    }
    let decision = tolerant::weigh(view, id, &unit, decision, beacon);
    let mut events = fines::silence(view, id, audit, height);
    events.extend(act(view, id, unit, decision, (beacon, height)));
    events
}

fn act(
    view: &mut View<'_>,
    id: UnitId,
    unit: Unit,
    decision: Decision,
    (beacon, height): (&Beacon, Height),
) -> Vec<Event> {
    match decision {
        Decision::Wait => Vec::new(),
        // Nobody could contest it: whoever did not open is not paid, whoever accepts.
        Decision::Accept if opening::is_hidden(id, &unit) => {
            opening::settle_withheld(view, id, unit, height)
        }
        Decision::Accept => accept(view, id, unit, height),
        Decision::FallBack => ladder::fall_back(view, id, unit, (beacon, height)),
        Decision::Again => plant::again(view, id, unit, height),
        Decision::Void(VoidReason::Withheld) => opening::settle_withheld(view, id, unit, height),
        Decision::Climb => ladder::climb(view, id, unit, height),
        Decision::Void(reason) => task::settle(view, id, unit, reason.outcome(), height),
        Decision::Convict(finding) => ladder::convict(view, id, unit, finding, height),
        Decision::Execute(finding) => execute(view, id, unit, finding, height),
    }
}

/// Accepts a unit, unless auditors that were outvoted may contest it first.
fn accept(view: &mut View<'_>, id: UnitId, mut unit: Unit, height: Height) -> Vec<Event> {
    match contest::begin(view, id, &mut unit, height) {
        Some(event) => vec![event],
        None => settle_accepted(view, id, unit, height),
    }
}

/// Pays for a unit that nobody contests any more, and fines whoever rejected it.
fn settle_accepted(view: &mut View<'_>, id: UnitId, unit: Unit, height: Height) -> Vec<Event> {
    let mut events = fines::overturned(view, id, &unit, Truth::Right);
    tolerant::record(view, &unit);
    events.extend(plant::settle(view, id, &unit));
    events.extend(reward::accept(view, id, unit, height));
    events
}

/// Ends a unit with what was found: it is void, or its miner is slashed.
fn execute(
    view: &mut View<'_>,
    id: UnitId,
    unit: Unit,
    finding: Finding,
    height: Height,
) -> Vec<Event> {
    let mut events = fines::overturned(view, id, &unit, Truth::of(finding));
    if finding.level() == Level::Slash {
        let finders = fines::finders(&unit, finding);
        let proof = (finding, &finders[..]);
        events.extend(task::settle_slashed(view, id, unit, proof, height));
        return events;
    }
    tolerant::record(view, &unit);
    let outcome = Outcome::Void {
        reason: tolerant::void_reason(finding),
        finding: Some(finding),
    };
    events.extend(task::settle(view, id, unit, outcome, height));
    events
}
