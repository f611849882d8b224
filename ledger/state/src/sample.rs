//! Samples: the draw of audits, two blocks after a blob became available. Spec: 06-sample.

use crate::{
    View,
    bond::Miner,
    event::Event,
    reward,
    run::{self, Run},
    task::{self, BEACON_DELAY_BLOCKS},
    unit::{Audit, Draw, Opinion, Seat, Stage, Tier, Unit},
    validator::Validator,
};
use governance::{Parameters, parameters::Name};
use protocol::{
    Address, BlockId, Height, Micro,
    sample::{Deterrence, auditor, is_drawn},
    task::{Beacon, UnitId},
};

/// Opens a round of judging by these validators.
#[must_use]
pub fn open_audit(parameters: &Parameters, tier: Tier, auditors: &[Address], at: Height) -> Audit {
    let seat = |auditor: &Address| Seat {
        auditor: *auditor,
        opinion: Opinion::Pending,
    };
    let commit_by = at.saturating_add(parameters.get(Name::AuditCommitBlocks));
    let reveal_by = commit_by.saturating_add(parameters.get(Name::AuditRevealBlocks));
    Audit {
        tier,
        seats: auditors.iter().map(seat).collect(),
        commit_by,
        reveal_by,
    }
}

/// Draws audits for units whose beacon this block yields.
pub fn draw(view: &mut View<'_>, height: Height, block: BlockId) -> Vec<Event> {
    let beacon = Beacon::of_block(block);
    let parameters = run::parameters(view);
    let validators = view.scan::<Validator>(&());
    let mut events = Vec::new();
    for (run_id, run) in view.scan::<Run>(&()) {
        for (id, unit) in task::units(view, run_id, run.step) {
            if is_due(&unit, height) {
                events.extend(draw_unit(
                    view,
                    id,
                    unit,
                    &beacon,
                    (&parameters, &validators),
                    height,
                ));
            }
        }
    }
    events
}

/// Validators with their power, without one whose own work it is. Other keys of the same person
/// cannot be told apart; escalation and the draw by stake bound what they gain.
fn candidates(validators: &[(Address, Validator)], miner: Address) -> Vec<(Address, u64)> {
    validators
        .iter()
        .filter(|(operator, validator)| *operator != miner && validator.holder != miner)
        .map(|(operator, validator)| (*operator, validator.stake.get()))
        .collect()
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
    let micro = |name| Micro::new(parameters.get(name));
    let deterrence = Deterrence {
        margin: micro(Name::AuditMargin),
        gain: micro(Name::AuditGain),
        power: micro(Name::AuditPower),
        honest_share: micro(Name::AuditHonestShare),
        floor: micro(Name::AuditRate),
    };
    deterrence.rate(reward::price(view, id), miner.at_risk())
}

fn draw_unit(
    view: &mut View<'_>,
    id: UnitId,
    mut unit: Unit,
    beacon: &Beacon,
    (parameters, validators): (&Parameters, &[(Address, Validator)]),
    height: Height,
) -> Option<Event> {
    let rate = rate(view, parameters, id, unit.miner);
    let commitment = unit.commitment.as_mut()?;
    let drawn = is_drawn(beacon, id, rate)
        .then(|| auditor(beacon, id, &candidates(validators, unit.miner)))
        .flatten();
    commitment.draw = if drawn.is_some() {
        Draw::Drawn { rate }
    } else {
        Draw::Spared { rate }
    };
    if let Some(auditor) = drawn {
        unit.audits
            .push(open_audit(parameters, Tier::One, &[auditor], height));
    }
    view.put(&id, &unit);
    drawn.map(|auditor| Event::AuditDrawn { unit: id, auditor })
}
