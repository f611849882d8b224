//! States of gradient units: those that auditors need before they begin, and the one that they
//! name before it is shown.

use super::check_due;
use crate::{
    Rejection, View,
    event::Event,
    run,
    task::BEACON_DELAY_BLOCKS,
    unit::{Challenge, Claim, Tier, Unit, Waiting},
};
use protocol::{
    Address, Height,
    codec::BoundedVec,
    gradient::{OpenedState, Segments, StateOpening},
    recipe::Phase,
    rollout::{Opened, Root},
    task::UnitId,
};

/// Opens states of a gradient unit: exactly those that are due.
///
/// # Errors
/// When they are not the sender's to open, now, or are not those.
pub fn open(
    view: &mut View<'_>,
    sender: Address,
    opening: &StateOpening,
    height: Height,
) -> Result<Vec<Event>, Rejection> {
    let id = opening.unit;
    let mut unit: Unit = view.get(&id).ok_or(Rejection::UnitUnknown { unit: id })?;
    check_due(&unit, id, sender, height)?;
    let not_due = Rejection::OpeningNotDue { unit: id };
    let mut challenge = unit.challenge.ok_or(not_due)?;
    let recipe = run::recipe(view, id.run).ok_or(Rejection::UnitUnknown { unit: id })?;
    let is_first = unit.audits.is_empty();
    let states = opening.states.as_slice();
    check_boundaries(id, states, challenge, is_first)?;
    let root = root(&unit).ok_or(Rejection::OpeningMismatch { unit: id })?;
    for opened in states {
        check_state(id, opened, (root, sender), recipe.segments(id.step))?;
        let is_pretraining = recipe.phase(id.step) == Some(Phase::Pretrain);
        if opened.state.moments.is_some() != is_pretraining {
            return Err(Rejection::StateIncomplete { unit: id });
        }
        challenge.show(opened.boundary(), opened.state);
    }
    unit.challenge = Some(challenge);
    unit.opening.open_by = None;
    if is_first {
        // Auditors are drawn by a beacon that the miner cannot have known when it showed them.
        let draw_at = height.saturating_add(BEACON_DELAY_BLOCKS);
        let tier = Tier::One;
        unit.waiting = Some(Waiting { tier, draw_at });
    } else {
        unit.opening.sketch = states.first().and_then(|opened| {
            Some(Opened {
                salt: opened.salt,
                parts: BoundedVec::new(vec![opened.state.part()]).ok()?,
            })
        });
    }
    view.put(&id, &unit);
    Ok(vec![Event::UnitOpened {
        unit: id,
        miner: sender,
        correction: None,
    }])
}

fn root(unit: &Unit) -> Option<Root> {
    match unit.commitment.as_ref()?.claim {
        Claim::Gradient { root, .. } => Some(root),
        Claim::Rollout { .. } => None,
    }
}

/// Early, the round that comes would not be blind.
fn check_boundaries(
    id: UnitId,
    states: &[OpenedState],
    challenge: Challenge,
    is_first: bool,
) -> Result<(), Rejection> {
    let due = if is_first {
        challenge.needed()
    } else {
        vec![challenge.ends_at()]
    };
    if states.iter().map(OpenedState::boundary).eq(due) {
        Ok(())
    } else {
        Err(Rejection::StatesNotDue { unit: id })
    }
}

fn check_state(
    id: UnitId,
    opened: &OpenedState,
    (root, miner): (Root, Address),
    segments: Segments,
) -> Result<(), Rejection> {
    if opened.root(id, miner) != Some(root) {
        return Err(Rejection::OpeningMismatch { unit: id });
    }
    let expected = segments.steps_at(opened.boundary());
    let steps_count = opened.state.steps_count;
    if steps_count != expected {
        return Err(Rejection::StateMisplaced {
            unit: id,
            steps_count,
            expected,
        });
    }
    Ok(())
}
