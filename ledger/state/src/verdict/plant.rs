//! What becomes of a round that judged a planted fault: who missed it, and a fresh round.

use crate::{
    View,
    event::Event,
    run::Plants,
    slash,
    task::BEACON_DELAY_BLOCKS,
    unit::{Audit, AuditFault, Seat, Tier, Unit, Waiting},
};
use protocol::{Height, task::UnitId, verdict::Verdict};

/// Has the corrected unit judged: blind again, by auditors that a later beacon draws.
pub(super) fn again(view: &mut View<'_>, id: UnitId, mut unit: Unit, height: Height) -> Vec<Event> {
    unit.waiting = Some(Waiting {
        tier: Tier::One,
        draw_at: height.saturating_add(BEACON_DELAY_BLOCKS),
    });
    view.put(&id, &unit);
    Vec::new()
}

/// Once the corrected unit is right, the fault was one: whoever accepted it did not look.
pub(super) fn settle(view: &mut View<'_>, id: UnitId, unit: &Unit) -> Vec<Event> {
    let rounds = unit.audits.get(..unit.opening.planted_rounds());
    let rounds: Vec<&Audit> = rounds.unwrap_or_default().iter().collect();
    if rounds.is_empty() {
        return Vec::new();
    }
    let seats = || rounds.iter().flat_map(|audit| &audit.seats);
    let is_found = seats().any(|seat| seat.verdict().is_some_and(|verdict| !verdict.accepts()));
    let mut plants: Plants = view.get(&()).unwrap_or_default();
    plants.judge(is_found);
    view.put(&(), &plants);
    let mut events = vec![Event::PlantJudged { unit: id, is_found }];
    let missed = |seat: &&Seat| seat.verdict().is_some_and(Verdict::accepts);
    for seat in seats().filter(missed) {
        events.extend(slash::auditor(
            view,
            seat.auditor,
            id,
            AuditFault::MissedPlant,
        ));
    }
    events
}
