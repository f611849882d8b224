//! What an auditor judges in a unit's current round, and what it may know.

use crate::computation::Bound;
use ledger_state::{
    View,
    unit::{Tier, Unit},
};
use protocol::task::UnitId;

/// What of a unit is judged, and with what knowledge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Part {
    pub(super) unit: UnitId,
    /// One group of its samples; nothing for all of them.
    pub(super) group: Option<u32>,
    /// Whether the sketch is known, which it is not in a blind round.
    is_opened: bool,
    /// Whether a planted fault is known.
    is_corrected: bool,
}

impl Part {
    /// What of a unit its current round judges, and what it goes by; nothing of an unbound unit.
    pub(super) fn of(view: &View<'_>, id: UnitId, unit: &Unit) -> Option<(Self, Bound)> {
        let bound = Bound::of(view, id, unit, unit.commitment.as_ref()?.claim);
        let part = Self {
            unit: id,
            group: contested(unit),
            is_opened: bound.opened.is_some(),
            is_corrected: bound.plant.is_some(),
        };
        Some((part, bound))
    }
}

/// The part of a unit that its current round repeats.
fn contested(unit: &Unit) -> Option<u32> {
    match unit.audits.last()?.tier {
        Tier::Everyone { group } => group,
        Tier::One | Tier::Three | Tier::Committee => None,
    }
}
