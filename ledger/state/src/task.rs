//! Tasks: opening a step, assigning its units, and noticing that all are settled. Spec: 01-task.

use crate::{
    View, bond,
    bond::Miner,
    class,
    event::{Event, GradientUnits, MissingUnit},
    feedback, proposal,
    run::{self, Closed, Run, Stage},
    slash,
    unit::{self, Claim, Kept, Outcome, Unit, VoidReason},
    verdict::appeal,
};
use governance::parameters::Name;
use protocol::{
    Address, Height, Micro, RunId, Step,
    class::Listed,
    recipe::{Phase, Recipe},
    task::{Beacon, UnitId, UnitKind, assign},
    verdict::Finding,
};
use std::collections::{BTreeMap, BTreeSet};

/// Blocks between what a beacon selects and the block that yields it.
pub const BEACON_DELAY_BLOCKS: u64 = 2;

/// Rollout units whose samples a gradient unit learns from: the accepted ones of the step before,
/// dealt in turn. Empty for pre-training.
#[must_use]
pub fn gradient_inputs(view: &View<'_>, unit: UnitId) -> Vec<UnitId> {
    let Some(recipe) = run::recipe(view, unit.run) else {
        return Vec::new();
    };
    if recipe.phase(unit.step) != Some(Phase::Reinforce) {
        return Vec::new();
    }
    let rollouts = accepted_rollouts_before(view, unit.run, unit.step);
    let shares = gradient_units_count(&recipe, unit.step, rollouts.len());
    let index = unit.index as usize;
    rollouts
        .into_iter()
        .skip(index)
        .step_by(shares.max(1) as usize)
        .collect()
}

fn accepted_rollouts_before(view: &View<'_>, run: RunId, step: Step) -> Vec<UnitId> {
    let Some(before) = step.get().checked_sub(1) else {
        return Vec::new();
    };
    let accepted = unit::accepted(view, run, Step::new(before), UnitKind::Rollout);
    accepted.into_iter().map(|(id, _, _)| id).collect()
}

/// Gradient units of a step: the recipe's number, but none without anything to learn from.
fn gradient_units_count(recipe: &Recipe, step: Step, rollouts: usize) -> u32 {
    match recipe.phase(step) {
        Some(Phase::Pretrain) => recipe.pretrain.units_count,
        Some(Phase::Reinforce) => {
            let rollouts = u32::try_from(rollouts).unwrap_or(u32::MAX);
            recipe.reinforce.gradient_units_count.min(rollouts)
        }
        None => 0,
    }
}

/// Moves every run forward at the end of a block.
pub fn advance(view: &mut View<'_>, height: Height, drawn: &Beacon) -> Vec<Event> {
    let mut events = Vec::new();
    for (id, run) in view.scan::<Run>(&()) {
        match run.stage {
            Stage::Opening { beacon_at }
                if height >= beacon_at && !proposal::is_paused(view, id, height) =>
            {
                events.extend(open(view, id, run, height, *drawn));
            }
            Stage::Working {
                beacon, deadline, ..
            } => {
                events.extend(expire(view, id, &run, height, deadline));
                events.extend(close(view, id, run, height, beacon));
            }
            Stage::Opening { .. } | Stage::Attesting { .. } | Stage::Finished => {}
        }
    }
    events
}

/// Assigns a step's units, once enough miners are there.
fn open(
    view: &mut View<'_>,
    id: RunId,
    mut run: Run,
    height: Height,
    beacon: Beacon,
) -> Vec<Event> {
    let Some(recipe) = run::recipe(view, id) else {
        return Vec::new();
    };
    let shares = bond::shares(view, height);
    let wanted = if run.step == Step::ZERO {
        recipe.schedule.miners_at_start_count
    } else {
        1
    };
    if shares.len() < wanted.max(1) as usize {
        return Vec::new();
    }
    let deadline = height.saturating_add(recipe.schedule.deadline_blocks);
    let plant_rate = Micro::new(run::parameters(view).get(Name::PlantRate));
    let rollouts = accepted_rollouts_before(view, id, run.step).len();
    let counts = [
        (
            UnitKind::Gradient,
            gradient_units_count(&recipe, run.step, rollouts),
        ),
        (UnitKind::Rollout, recipe.rollout_units_count(run.step)),
    ];
    for (kind, count) in counts {
        let owners = assign(&beacon, kind, count, &shares);
        let mut slots = feedback::Slots::default();
        for (index, miner) in (0..count).zip(owners) {
            let unit = UnitId {
                run: id,
                step: run.step,
                kind,
                index,
            };
            let terms = terms(view, unit, miner, plant_rate);
            let assigned = Unit {
                feedback: feedback::before(view, &recipe, unit, (miner, &mut slots)),
                ..Unit::assigned(miner, deadline, terms)
            };
            view.put(&unit, &assigned);
        }
    }
    run.stage = Stage::Working {
        beacon,
        assigned_at: height,
        deadline,
    };
    view.put(&id, &run);
    let units_count = counts
        .iter()
        .fold(0, |sum: u32, (_, count)| sum.saturating_add(*count));
    vec![Event::StepAssigned {
        run: id,
        step: run.step,
        units_count,
        miners_count: shares.len(),
    }]
}

/// The rate of planted faults, and the limits by which a unit is judged. Gradients have no
/// tolerance. A fault in a tolerant unit could hide within its limits, so there are none.
fn terms(
    view: &View<'_>,
    unit: UnitId,
    miner: Address,
    plant_rate: Micro,
) -> (Micro, Option<Listed>) {
    let class = view.get::<Miner>(&miner).map(|miner| miner.class);
    let listed = class
        .filter(|_| unit.kind == UnitKind::Rollout)
        .and_then(|class| class::listed(view, class));
    match listed {
        Some(_) => (Micro::ZERO, listed),
        None => (plant_rate, None),
    }
}

/// All units of a step.
#[must_use]
pub fn units(view: &View<'_>, run: RunId, step: Step) -> Vec<(UnitId, Unit)> {
    view.scan::<Unit>(&(run, step))
}

/// Settles what its miner, or the network, let pass. A step waits for every unit, so each thing
/// that a miner may keep back has a time of its own: the commitment the step's deadline, the blob
/// the blocks after its commitment, what is sealed the window of its opening.
fn expire(
    view: &mut View<'_>,
    id: RunId,
    run: &Run,
    height: Height,
    deadline: Height,
) -> Vec<Event> {
    let Some(recipe) = run::recipe(view, id) else {
        return Vec::new();
    };
    let mut events = Vec::new();
    let all = units(view, id, run.step);
    let mut withholders = withholders(&all);
    for (unit_id, unit) in all {
        let outcome = match unit.stage {
            unit::Stage::Assigned if height > deadline => Outcome::Missed,
            unit::Stage::Committed if is_withheld(&unit, &recipe, height) => {
                // A step waits once for all that one miner withholds, and one bad hour of an
                // honest one is one fine.
                if withholders.insert(unit.miner) {
                    events.extend(slash::keeper(view, unit.miner, unit_id, Kept::Blob));
                }
                VoidReason::Unavailable.outcome()
            }
            unit::Stage::Assigned | unit::Stage::Committed | unit::Stage::Settled { .. } => {
                continue;
            }
        };
        events.extend(settle(view, unit_id, unit, outcome, height));
    }
    // Once a step: a miner that resumes while others are still judged stays active.
    if height == deadline.next() {
        events.extend(charge_absence(view, id, run.step));
    }
    events
}

/// Miners of which a blob was not available in time, in these units of a step.
fn withholders(units: &[(UnitId, Unit)]) -> BTreeSet<Address> {
    let outcome = Some(VoidReason::Unavailable.outcome());
    let withheld = units.iter().filter(|(_, unit)| unit.outcome() == outcome);
    withheld.map(|(_, unit)| unit.miner).collect()
}

/// Whether validators should hold a unit's blob by now, and do not.
fn is_withheld(unit: &Unit, recipe: &Recipe, height: Height) -> bool {
    let blocks = recipe.schedule.availability_blocks;
    unit.commitment.as_ref().is_some_and(|commitment| {
        commitment.available_at.is_none() && height > commitment.at.saturating_add(blocks)
    })
}

/// Writes an outcome, counts it for the miner, and ends its appeals.
pub(crate) fn settle(
    view: &mut View<'_>,
    id: UnitId,
    mut unit: Unit,
    outcome: Outcome,
    at: Height,
) -> Vec<Event> {
    let ended = appeal::end(view, id, &unit, outcome);
    unit.waiting = None;
    unit.stage = unit::Stage::Settled { outcome, at };
    view.put(&id, &unit);
    if let Some(mut miner) = view.get::<Miner>(&unit.miner) {
        let counter = match outcome {
            Outcome::Accepted { .. } => &mut miner.units.accepted,
            Outcome::Void { .. } => &mut miner.units.void,
            Outcome::Slashed { .. } => &mut miner.units.slashed,
            Outcome::Missed => &mut miner.units.missed,
        };
        *counter = counter.saturating_add(1);
        match outcome {
            Outcome::Accepted { .. } => miner.trust(),
            Outcome::Void { reason, .. } if reason.is_for_fault() => {
                miner.judged = 0;
                miner.halve_quota();
            }
            // Gaps are charged together, when the deadline is over.
            Outcome::Void { .. } | Outcome::Slashed { .. } | Outcome::Missed => {}
        }
        view.put(&unit.miner, &miner);
    }
    let forfeited = match outcome {
        Outcome::Void { reason, .. } if reason.is_beyond_class() => slash::forfeit(view, id, &unit),
        Outcome::Accepted { .. }
        | Outcome::Void { .. }
        | Outcome::Slashed { .. }
        | Outcome::Missed => None,
    };
    let settled = Event::UnitSettled {
        unit: id,
        miner: unit.miner,
        outcome,
    };
    let settled = std::iter::once(settled).chain(forfeited);
    settled.chain(ended).collect()
}

/// A miner's units of a step, and how many of them it missed.
#[derive(Default)]
struct Absence {
    units_count: u64,
    missed_count: u64,
}

/// Halves the quota for every unit that a miner passed over. One that missed all its units was
/// away rather than choosing: it is halved once, and given no more until it resumes.
fn charge_absence(view: &mut View<'_>, run: RunId, step: Step) -> Vec<Event> {
    let mut absences: BTreeMap<Address, Absence> = BTreeMap::new();
    for (_, unit) in units(view, run, step) {
        let absence = absences.entry(unit.miner).or_default();
        absence.units_count = absence.units_count.saturating_add(1);
        if unit.outcome() == Some(Outcome::Missed) {
            absence.missed_count = absence.missed_count.saturating_add(1);
        }
    }
    let mut events = Vec::new();
    for (address, absence) in absences {
        let Some(mut miner) = view.get::<Miner>(&address) else {
            continue;
        };
        let is_away = absence.missed_count == absence.units_count;
        let halvings = if is_away { 1 } else { absence.missed_count };
        for _ in 0..halvings {
            miner.halve_quota();
        }
        if is_away && miner.status == bond::Status::Active {
            miner.status = bond::Status::Idle;
            events.push(Event::MinerIdle { miner: address });
        }
        if halvings > 0 {
            view.put(&address, &miner);
        }
    }
    events
}

/// Closes the step when every unit is settled.
fn close(
    view: &mut View<'_>,
    id: RunId,
    mut run: Run,
    height: Height,
    beacon: Beacon,
) -> Vec<Event> {
    let units = units(view, id, run.step);
    if units.iter().any(|(_, unit)| unit.outcome().is_none()) {
        return Vec::new();
    }
    feedback::carry(view, (id, run.step), &units);
    let closed = measure(&units, beacon, height);
    view.put(&(id, run.step), &closed);
    run.stage = Stage::Attesting {
        beacon,
        since: height,
    };
    view.put(&id, &run);
    vec![Event::StepClosed {
        run: id,
        step: run.step,
        accepted_count: closed.units.accepted,
        gradients: gradients(view, id, &units),
    }]
}

/// What became of the gradient units among a step's units.
#[must_use]
pub fn gradients(view: &View<'_>, run: RunId, units: &[(UnitId, Unit)]) -> GradientUnits {
    let recipe = run::recipe(view, run);
    let mut gradients = GradientUnits {
        assigned_count: 0,
        accepted_count: 0,
        minimum_count: recipe.map_or(1, |recipe| recipe.schedule.gradient_units_min.max(1)),
        missing: Vec::new(),
    };
    for (id, unit) in units {
        if id.kind != UnitKind::Gradient {
            continue;
        }
        gradients.assigned_count = gradients.assigned_count.saturating_add(1);
        match unit.outcome() {
            Some(Outcome::Accepted { .. }) => {
                gradients.accepted_count = gradients.accepted_count.saturating_add(1);
            }
            Some(outcome) => gradients.missing.push(MissingUnit {
                unit: *id,
                miner: unit.miner,
                outcome,
            }),
            None => {}
        }
    }
    gradients
}

fn measure(units: &[(UnitId, Unit)], beacon: Beacon, at: Height) -> Closed {
    let mut closed = Closed {
        beacon,
        at,
        loss_micro: None,
        samples_count: 0,
        reward_micro: 0,
        exact_count: 0,
        units: bond::Units::default(),
    };
    let (mut loss_sum, mut loss_weight) = (0_i128, 0_i128);
    for (_, unit) in units {
        count_outcome(&mut closed.units, unit.outcome());
        let Some(commitment) = unit.commitment.as_ref().filter(|_| unit.is_accepted()) else {
            continue;
        };
        match commitment.claim {
            Claim::Rollout { totals, .. } => {
                let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
                add(&mut closed.samples_count, u64::from(totals.samples_count));
                add(&mut closed.reward_micro, totals.reward_micro);
                add(&mut closed.exact_count, u64::from(totals.exact_count));
            }
            Claim::Gradient {
                tokens_count,
                loss_micro,
                ..
            } => {
                let weight = i128::from(tokens_count);
                let weighted = i128::from(loss_micro).saturating_mul(weight);
                loss_sum = loss_sum.saturating_add(weighted);
                loss_weight = loss_weight.saturating_add(weight);
            }
        }
    }
    closed.loss_micro = loss_sum
        .checked_div(loss_weight)
        .and_then(|mean| i64::try_from(mean).ok());
    closed
}

fn count_outcome(units: &mut bond::Units, outcome: Option<Outcome>) {
    let counter = match outcome {
        Some(Outcome::Accepted { .. }) => &mut units.accepted,
        Some(Outcome::Void { .. }) => &mut units.void,
        Some(Outcome::Slashed { .. }) => &mut units.slashed,
        Some(Outcome::Missed) => &mut units.missed,
        None => return,
    };
    *counter = counter.saturating_add(1);
}

/// Voids what a slashed miner still has open, wherever it is.
pub(crate) fn void_open_units(view: &mut View<'_>, miner: Address, height: Height) -> Vec<Event> {
    let mut events = Vec::new();
    for (id, run) in view.scan::<Run>(&()) {
        for (unit_id, unit) in units(view, id, run.step) {
            if unit.miner == miner && unit.outcome().is_none() {
                let outcome = VoidReason::MinerSlashed.outcome();
                events.extend(settle(view, unit_id, unit, outcome, height));
            }
        }
    }
    events
}

/// Settles a unit by proof: the miner is slashed, its other open units are void.
pub(crate) fn settle_slashed(
    view: &mut View<'_>,
    id: UnitId,
    unit: Unit,
    (finding, finders): (Finding, &[Address]),
    height: Height,
) -> Vec<Event> {
    let miner = unit.miner;
    let mut events = settle(view, id, unit, Outcome::Slashed { finding }, height);
    events.extend(slash::miner(view, miner, id, (finding, finders), height));
    events.extend(void_open_units(view, miner, height));
    events
}
