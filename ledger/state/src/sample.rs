//! Samples: the draw of audits, two blocks after a blob became available. Spec: 06-sample.

use crate::{
    View,
    event::Event,
    run::{self, Run},
    task::{self, BEACON_DELAY_BLOCKS},
    unit::{Audit, Draw, Opinion, Seat, Stage, Tier, Unit},
    validator::Validator,
};
use governance::{Parameters, parameters::Name};
use protocol::{
    Address, BlockId, Height, Micro,
    sample::{auditor, is_drawn},
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

fn draw_unit(
    view: &mut View<'_>,
    id: UnitId,
    mut unit: Unit,
    beacon: &Beacon,
    (parameters, validators): (&Parameters, &[(Address, Validator)]),
    height: Height,
) -> Option<Event> {
    let commitment = unit.commitment.as_mut()?;
    let rate = Micro::new(parameters.get(Name::AuditRate));
    let drawn = is_drawn(beacon, id, rate)
        .then(|| auditor(beacon, id, &candidates(validators, unit.miner)))
        .flatten();
    commitment.draw = if drawn.is_some() {
        Draw::Drawn
    } else {
        Draw::Spared
    };
    if let Some(auditor) = drawn {
        unit.audits
            .push(open_audit(parameters, Tier::One, &[auditor], height));
    }
    view.put(&id, &unit);
    drawn.map(|auditor| Event::AuditDrawn { unit: id, auditor })
}
