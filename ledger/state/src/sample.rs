//! Samples: the draw of audits, two blocks after a blob became available. Spec: 06-sample.

use crate::{
    View,
    bond::Miner,
    event::Event,
    panel, reward,
    run::{self, Run},
    task::{self, BEACON_DELAY_BLOCKS},
    unit::{Challenge, Draw, Stage, Tier, Unit},
};
use governance::{Parameters, parameters::Name};
use protocol::{
    Address, Amount, Height, Micro,
    class::ClassId,
    sample::{Deterrence, is_drawn},
    task::{Beacon, UnitId, UnitKind},
};

/// Draws audits for units whose beacon this block yields.
pub fn draw(view: &mut View<'_>, height: Height, beacon: &Beacon) -> Vec<Event> {
    let parameters = run::parameters(view);
    let mut events = Vec::new();
    for (run_id, run) in view.scan::<Run>(&()) {
        for (id, unit) in task::units(view, run_id, run.step) {
            if is_due(&unit, height) {
                events.extend(draw_unit(view, id, unit, (beacon, &parameters), height));
            }
        }
    }
    events
}

fn is_due(unit: &Unit, height: Height) -> bool {
    let Some(commitment) = unit.commitment.as_ref() else {
        return false;
    };
    let Some(available_at) = commitment.available_at else {
        return false;
    };
    matches!(unit.stage, Stage::Committed)
        && commitment.draw == Draw::Pending
        && height >= available_at.saturating_add(BEACON_DELAY_BLOCKS)
}

/// The probability at which this unit of this miner is audited: a newcomer's always, others' at
/// the rate that makes cheating a loss.
#[must_use]
pub fn rate(view: &View<'_>, parameters: &Parameters, id: UnitId, miner: Address) -> Micro {
    let Some(miner) = view.get::<Miner>(&miner) else {
        return Micro::ONE;
    };
    if miner.judged < parameters.get(Name::NewcomerUnits) {
        return Micro::ONE;
    }
    deterrence(parameters).rate(reward::price(view, id), at_risk(&miner, id.kind))
}

/// What an audit that rejects a unit of this kind costs its miner. Rollouts of a tolerant class
/// that differ forfeit pay that has not vested and leave the bond, so the bond deters nobody there.
fn at_risk(miner: &Miner, kind: UnitKind) -> Amount {
    let is_tolerant = kind == UnitKind::Rollout && miner.class != ClassId::EXACT;
    if is_tolerant {
        miner.vesting_total()
    } else {
        miner.at_risk()
    }
}

/// What makes cheating a loss, by the parameters.
pub(crate) fn deterrence(parameters: &Parameters) -> Deterrence {
    let micro = |name| Micro::new(parameters.get(name));
    Deterrence {
        margin: micro(Name::AuditMargin),
        gain: micro(Name::AuditGain),
        power: micro(Name::AuditPower),
        honest_share: micro(Name::AuditHonestShare),
        floor: micro(Name::AuditRate),
    }
}

fn draw_unit(
    view: &mut View<'_>,
    id: UnitId,
    mut unit: Unit,
    (beacon, parameters): (&Beacon, &Parameters),
    height: Height,
) -> Option<Event> {
    let rate = rate(view, parameters, id, unit.miner);
    let commitment = unit.commitment.as_mut()?;
    let can_be_audited = !panel::candidates(view, unit.miner, height).is_empty();
    let update_rate = update_rate(view, parameters, id);
    let drawn = |rate| can_be_audited && is_drawn(beacon, id, rate);
    (commitment.draw, unit.challenge) = match (drawn(rate), update_rate) {
        (true, _) => (Draw::Drawn { rate }, challenge(view, id, beacon)),
        // The same number decides: whose update is drawn would be audited at that rate.
        (false, Some((update_rate, segments_count))) if drawn(update_rate) => {
            let update = Challenge::update(segments_count);
            (Draw::Update { rate, update_rate }, Some(update))
        }
        (false, _) => {
            commitment.draw = Draw::Spared { rate };
            view.put(&id, &unit);
            return None;
        }
    };
    // Where a miner has states to show first, auditors are drawn once it has.
    let event = match unit.challenge {
        Some(challenge) if challenge.is_update() => Some(Event::UpdateDrawn { unit: id }),
        Some(challenge) if !challenge.is_served() => Some(Event::SegmentDrawn { unit: id }),
        Some(_) | None => open_first(view, id, &mut unit, (beacon, parameters), height),
    };
    view.put(&id, &unit);
    event
}

/// The rate at which at least the update is checked, and the unit's segments.
fn update_rate(view: &View<'_>, parameters: &Parameters, id: UnitId) -> Option<(Micro, u32)> {
    let recipe = run::recipe(view, id.run)?;
    let is_checked = id.kind == UnitKind::Gradient;
    let rate = Micro::new(parameters.get(Name::CompressionAuditRate));
    is_checked.then(|| (rate, recipe.segments(id.step).count()))
}

/// The segment of a gradient unit that is judged.
fn challenge(view: &View<'_>, id: UnitId, beacon: &Beacon) -> Option<Challenge> {
    if id.kind != UnitKind::Gradient {
        return None;
    }
    let segments = run::recipe(view, id.run)?.segments(id.step);
    let segment = segments.drawn(beacon, id);
    Some(Challenge::new(segment, segments.count()))
}

/// Opens a first round of judging, whose auditors draw themselves or are drawn.
pub(crate) fn open_first(
    view: &View<'_>,
    id: UnitId,
    unit: &mut Unit,
    (beacon, parameters): (&Beacon, &Parameters),
    height: Height,
) -> Option<Event> {
    if parameters.get(Name::SortitionStages) > 0 {
        let rate = unit.commitment.as_ref().map(|commitment| commitment.draw);
        let rate = match rate {
            Some(Draw::Drawn { rate } | Draw::Update { rate, .. } | Draw::Spared { rate }) => rate,
            Some(Draw::Pending) | None => Micro::ONE,
        };
        unit.audits
            .push(panel::open_sortition(parameters, (*beacon, rate), height));
        return Some(Event::AuditOpened { unit: id });
    }
    let seats = panel::first(view, (beacon, height), id, unit.miner, 1);
    unit.audits
        .push(panel::open(parameters, Tier::One, &seats, height));
    seats.first().map(|(auditor, _)| Event::AuditDrawn {
        unit: id,
        auditor: *auditor,
    })
}
