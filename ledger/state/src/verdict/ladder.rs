//! The ladder: one, three, a committee, everyone; and what a conviction waits for.

use crate::{
    View,
    bond::Miner,
    event::Event,
    panel, run, sample,
    task::BEACON_DELAY_BLOCKS,
    unit::{Audit, Conviction, Tier, Unit, Waiting},
};
use governance::parameters::Name;
use protocol::{
    Height,
    task::{Beacon, UnitId, UnitKind},
    verdict::Finding,
};
use std::collections::BTreeMap;

/// Goes to the next round. One that is drawn waits for a beacon that nobody knew when the verdicts
/// that lead to it were bound; everyone is asked at once.
pub(super) fn climb(view: &mut View<'_>, id: UnitId, mut unit: Unit, height: Height) -> Vec<Event> {
    let tier = match unit.audits.last().map(|audit| audit.tier) {
        Some(Tier::One) if panel::has_three(view, &unit, height) => Tier::Three,
        None | Some(Tier::One | Tier::Three) => Tier::Committee,
        Some(Tier::Committee | Tier::Everyone { .. }) => Tier::Everyone {
            group: contested(id, &unit),
        },
    };
    let mut events = vec![Event::AuditEscalated { unit: id, tier }];
    match tier {
        Tier::One | Tier::Three | Tier::Committee => {
            let draw_at = height.saturating_add(BEACON_DELAY_BLOCKS);
            unit.waiting = Some(Waiting { tier, draw_at });
            view.put(&id, &unit);
        }
        Tier::Everyone { .. } => {
            let seats = panel::everyone(view);
            events.extend(sit(view, id, unit, (tier, &seats), height));
        }
    }
    events
}

/// Draws a round whose beacon this block yields.
pub(super) fn draw(
    view: &mut View<'_>,
    id: UnitId,
    mut unit: Unit,
    waiting: Waiting,
    (beacon, height): (&Beacon, Height),
) -> Vec<Event> {
    unit.waiting = None;
    let seats = match waiting.tier {
        Tier::One => {
            let parameters = run::parameters(view);
            let drawn = (beacon, &parameters);
            let event = sample::open_first(view, id, &mut unit, drawn, height);
            view.put(&id, &unit);
            return event.into_iter().collect();
        }
        Tier::Three => panel::three(view, (beacon, height), id, &unit),
        Tier::Committee => panel::sixty_four(view, (beacon, height), id, &unit),
        Tier::Everyone { .. } => panel::everyone(view),
    };
    sit(view, id, unit, (waiting.tier, &seats), height)
}

/// Draws three auditors publicly for a first round for which nobody drew itself: otherwise a unit
/// that no auditor cares to check would be as good as spared.
pub(super) fn fall_back(
    view: &mut View<'_>,
    id: UnitId,
    mut unit: Unit,
    (beacon, height): (&Beacon, Height),
) -> Vec<Event> {
    unit.audits.pop();
    let seats = panel::first(view, (beacon, height), id, unit.miner, panel::THREE);
    sit(view, id, unit, (Tier::One, &seats), height)
}

fn sit(
    view: &mut View<'_>,
    id: UnitId,
    mut unit: Unit,
    (tier, seats): (Tier, &[(protocol::Address, u64)]),
    height: Height,
) -> Vec<Event> {
    let audit = panel::open(&run::parameters(view), tier, seats, height);
    unit.audits.push(audit);
    view.put(&id, &unit);
    let drawn = |(auditor, _): &(protocol::Address, u64)| Event::AuditDrawn {
        unit: id,
        auditor: *auditor,
    };
    match tier {
        Tier::One | Tier::Three => seats.iter().map(drawn).collect(),
        Tier::Committee | Tier::Everyone { .. } => Vec::new(),
    }
}

/// The group of samples that everyone repeats: the one that most of the last round that accused
/// the unit named. Nothing, and so all of it, for gradients, for units of a tolerant class, whose
/// measures are about all of them, and where nobody accused.
fn contested(id: UnitId, unit: &Unit) -> Option<u32> {
    if id.kind == UnitKind::Gradient || unit.is_tolerant() {
        return None;
    }
    unit.rounds().iter().rev().find_map(most_named)
}

fn most_named(audit: &Audit) -> Option<u32> {
    let mut named: BTreeMap<u32, u64> = BTreeMap::new();
    for seat in &audit.seats {
        if let Some(finding) = seat.verdict().and_then(|verdict| verdict.contradiction()) {
            let weight = named.entry(finding.group).or_default();
            *weight = weight.saturating_add(seat.weight);
        }
    }
    // The lowest group of those with the largest weight.
    let most = named.into_iter().rev().max_by_key(|(_, weight)| *weight);
    most.map(|(group, _)| group)
}

/// Convicts a unit, and freezes the conviction until its miner has appealed or may not any more.
pub(super) fn convict(
    view: &mut View<'_>,
    id: UnitId,
    mut unit: Unit,
    finding: Finding,
    height: Height,
) -> Vec<Event> {
    let appeal_by = height.saturating_add(run::parameters(view).get(Name::AppealBlocks));
    if !unit.is_accused()
        && let Some(mut miner) = view.get::<Miner>(&unit.miner)
    {
        miner.accused = miner.accused.saturating_add(1);
        view.put(&unit.miner, &miner);
    }
    unit.conviction = Some(Conviction { finding, appeal_by });
    view.put(&id, &unit);
    vec![Event::UnitConvicted {
        unit: id,
        miner: unit.miner,
        finding,
        appeal_by,
    }]
}
