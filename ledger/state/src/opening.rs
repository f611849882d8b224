//! Openings: a miner shows what it sealed, when it may. Spec: 07-verdict §9.
//!
//! | unit | due | what |
//! |---|---|---|
//! | spared | once the draw is over | whether a fault was planted |
//! | audited, with a planted fault | once the first auditors are bound | the fault; the sketch stays sealed for the round that judges the corrected unit |
//! | audited, without | once the first auditors are bound | that, and the sketch |
//! | audited gradient | once it is drawn | the states that auditors need |
//! | the same | once the first auditors are bound | the state where the segment ends |
//! | gradient whose update is checked | once it is drawn | the state where it ends |
//!
//! Auditors of the first round name their own sketch before they can know the miner's, so that
//! agreement shows that they ran the model. What is opened was bound by the unit's root, so that a
//! miner has one thing to say or nothing.

mod states;
mod withheld;

pub use states::open as open_states;
pub(crate) use withheld::settle as settle_withheld;

use crate::{
    Rejection, View,
    bond::Miner,
    commitment::check_claim,
    event::Event,
    run, task,
    unit::{Audit, Challenge, Claim, Opinion, Plant, Stage, Tier, Unit},
};
use governance::parameters::Name;
use protocol::{
    Address, Height,
    recipe::Recipe,
    rollout::{self, Correction, Shown, Totals, plant},
    task::{UnitId, UnitKind},
    verdict::{Check, Finding},
    vrf::Output,
};

/// Whether everyone in a round has bound a verdict and nobody more may come, or the time for it is
/// over. As long as others may draw themselves, nobody opens what they could copy.
pub(crate) fn is_bound(audit: &Audit, height: Height) -> bool {
    let is_pending = audit
        .seats
        .iter()
        .any(|seat| seat.opinion == Opinion::Pending);
    let is_full = !is_pending && audit.calls_volunteers(height).is_none();
    !audit.seats.is_empty() && (is_full || height > audit.commit_by)
}

/// Whether a unit's miner hides what auditors need, or a sketch that they can make again. Nobody
/// can repeat that of a tolerant unit, whose sections stand in the open, and nobody makes one to
/// check an update.
#[must_use]
pub fn is_sealed(id: UnitId, unit: &Unit) -> bool {
    match id.kind {
        UnitKind::Gradient => unit.audits.is_empty() || !unit.is_update_checked(),
        UnitKind::Rollout => !unit.is_tolerant(),
    }
}

/// Whether a unit is judged blind now: in its first round.
#[must_use]
pub fn is_blind(id: UnitId, unit: &Unit) -> bool {
    let is_first = |audit: &Audit| audit.tier == Tier::One;
    is_sealed(id, unit) && unit.audits.last().is_none_or(is_first)
}

/// Whether auditors of a rollout's blind round see by now what was sealed, and say so when they
/// reveal.
#[must_use]
pub fn is_seen(id: UnitId, unit: &Unit) -> bool {
    let is_rollout = id.kind == UnitKind::Rollout;
    is_rollout && is_blind(id, unit) && unit.opening.sketch.is_some() && !is_planted_round(unit)
}

/// Whether the current round judges a planted fault that is known by now.
#[must_use]
pub fn is_planted_round(unit: &Unit) -> bool {
    let rounds = unit.opening.planted_rounds();
    rounds > 0 && rounds == unit.audits.len()
}

/// Whether a gradient unit was audited and its miner never showed where its segment ends.
pub(crate) fn is_hidden(id: UnitId, unit: &Unit) -> bool {
    let is_gradient = id.kind == UnitKind::Gradient;
    let is_hidden = |challenge: &Challenge| !challenge.is_update() && challenge.end.is_none();
    is_gradient && unit.challenge.as_ref().is_some_and(is_hidden)
}

/// Whether the miner has shown what the current round, or its draw, waits for. A spared gradient
/// unit has nothing to show.
fn is_shown(id: UnitId, unit: &Unit) -> bool {
    if unit.audits.is_empty() {
        match id.kind {
            UnitKind::Rollout => unit.opening.plant.is_some(),
            UnitKind::Gradient => unit.challenge.is_none_or(|challenge| challenge.is_served()),
        }
    } else {
        unit.opening.sketch.is_some() || is_planted_round(unit)
    }
}

/// Whether auditors may open their verdicts: all are bound, and the miner has opened or is late.
#[must_use]
pub fn may_reveal(id: UnitId, unit: &Unit, height: Height) -> bool {
    let Some(audit) = unit.audits.last() else {
        return false;
    };
    let is_late = |by: Height| height > by;
    is_bound(audit, height)
        && (!is_blind(id, unit) || is_shown(id, unit) || unit.opening.open_by.is_some_and(is_late))
}

/// What an unopened unit waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Nothing: it is opened, or nobody has to open it yet.
    Ready,
    /// Its miner.
    Wait,
    /// Nothing any more: its miner is late.
    Late,
}

/// Begins the time in which a unit has to be opened, and says whether it is over.
pub(crate) fn pace(view: &mut View<'_>, id: UnitId, unit: &mut Unit, height: Height) -> Pace {
    let is_due = unit
        .audits
        .last()
        .is_none_or(|audit| is_bound(audit, height));
    if !is_blind(id, unit) || is_shown(id, unit) || !is_due {
        return Pace::Ready;
    }
    match unit.opening.open_by {
        Some(by) if height > by => Pace::Late,
        Some(_) => Pace::Wait,
        None => {
            let blocks = run::parameters(view).get(Name::OpeningBlocks);
            unit.opening.open_by = Some(height.saturating_add(blocks));
            view.put(&id, unit);
            Pace::Wait
        }
    }
}

/// Opens units.
///
/// # Errors
/// When one is not the sender's to open, now, like this.
pub fn open(
    view: &mut View<'_>,
    sender: Address,
    openings: &[rollout::Opening],
    height: Height,
) -> Result<Vec<Event>, Rejection> {
    if openings.is_empty() {
        return Err(Rejection::NothingOpened);
    }
    let mut events = Vec::new();
    for opening in openings {
        events.extend(open_one(view, sender, opening, height)?);
    }
    Ok(events)
}

fn open_one(
    view: &mut View<'_>,
    sender: Address,
    opening: &rollout::Opening,
    height: Height,
) -> Result<Vec<Event>, Rejection> {
    let id = opening.unit;
    let mut unit: Unit = view.get(&id).ok_or(Rejection::UnitUnknown { unit: id })?;
    check_due(&unit, id, sender, height)?;
    let recipe = run::recipe(view, id.run).ok_or(Rejection::UnitUnknown { unit: id })?;
    let totals = check_root(&unit, opening, sender)?;
    let output = check_proof(view, opening, sender)?;
    let vocabulary = recipe.model.vocab_size;
    if plant::is_due(&output, unit.plant_rate, &totals, vocabulary) != opening.plant.is_some() {
        let found = (Finding::exact(Check::Plant, 1), &[][..]);
        return Ok(task::settle_slashed(view, id, unit, found, height));
    }
    check_shown(&unit, opening, recipe.reinforce.groups_per_unit_count)?;
    if unit.opening.plant.is_none() {
        unit.opening.plant = Some(planted(&mut unit, opening.plant, output, &recipe, id)?);
    }
    if let Shown::Open { opened } = &opening.shown {
        unit.opening.sketch = Some(opened.clone());
    }
    unit.opening.open_by = None;
    view.put(&id, &unit);
    Ok(vec![Event::UnitOpened {
        unit: id,
        miner: sender,
        correction: opening.plant,
    }])
}

fn check_due(unit: &Unit, id: UnitId, sender: Address, height: Height) -> Result<(), Rejection> {
    if unit.miner != sender {
        return Err(Rejection::NotAssignee {
            unit: id,
            assignee: unit.miner,
        });
    }
    let is_open = unit.stage == Stage::Committed;
    let open_by = unit.opening.open_by.filter(|_| is_open);
    let open_by = open_by.ok_or(Rejection::OpeningNotDue { unit: id })?;
    if height > open_by {
        return Err(Rejection::OpeningLate { height, open_by });
    }
    Ok(())
}

fn check_root(
    unit: &Unit,
    opening: &rollout::Opening,
    sender: Address,
) -> Result<Totals, Rejection> {
    let claim = unit.commitment.as_ref().map(|commitment| commitment.claim);
    match claim {
        Some(Claim::Rollout { root, totals }) if opening.root(sender) == root => Ok(totals),
        Some(Claim::Rollout { .. } | Claim::Gradient { .. }) | None => {
            Err(Rejection::OpeningMismatch { unit: opening.unit })
        }
    }
}

fn check_proof(
    view: &View<'_>,
    opening: &rollout::Opening,
    sender: Address,
) -> Result<Output, Rejection> {
    let id = opening.unit;
    let forged = Rejection::OpeningForged { unit: id };
    let miner: Miner = view
        .get(&sender)
        .ok_or(Rejection::MinerUnknown { sender })?;
    let beacon = run::beacon(view, id.run, id.step).ok_or(forged.clone())?;
    let alpha = plant::alpha(&beacon, id);
    miner.vrf.verify(&alpha, &opening.proof).map_err(|_| forged)
}

/// The sketch is shown exactly where it is due: early, the round that comes would not be blind. It
/// has a part for every group, so that any lie in it names one.
fn check_shown(
    unit: &Unit,
    opening: &rollout::Opening,
    groups_count: u32,
) -> Result<(), Rejection> {
    let is_fault_first = unit.opening.plant.is_none() && opening.plant.is_some();
    let is_due = !unit.audits.is_empty() && !is_fault_first;
    match &opening.shown {
        Shown::Open { opened } if is_due => {
            let found = opened.parts.as_slice().len();
            let has_all = u32::try_from(found) == Ok(groups_count);
            has_all.then_some(()).ok_or(Rejection::SketchParts {
                unit: opening.unit,
                found,
                expected: groups_count,
            })
        }
        Shown::Sealed { .. } if !is_due => Ok(()),
        Shown::Open { .. } | Shown::Sealed { .. } => {
            Err(Rejection::SketchNotDue { unit: opening.unit })
        }
    }
}

/// Takes note of a planted fault; from now on the unit's sums are those without it.
fn planted(
    unit: &mut Unit,
    correction: Option<Correction>,
    output: Output,
    recipe: &Recipe,
    id: UnitId,
) -> Result<Plant, Rejection> {
    let Some(correction) = correction else {
        return Ok(Plant::Absent);
    };
    let rounds_count = u32::try_from(unit.audits.len()).unwrap_or(u32::MAX);
    if let Some(commitment) = unit.commitment.as_mut()
        && let Claim::Rollout { totals, .. } = &mut commitment.claim
    {
        *totals = correction.totals;
        check_claim(recipe, id, commitment.claim)?;
    }
    Ok(Plant::Fault {
        correction,
        output,
        rounds_count,
    })
}
