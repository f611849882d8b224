//! Units that their miner did not open.

use crate::{
    View,
    event::Event,
    slash, task,
    unit::{Kept, Unit, VoidReason},
};
use protocol::{Height, task::UnitId};

/// Settles a unit that nobody proved wrong, but that its miner did not open: void, with a penalty.
/// Opening honest work costs nothing, so whoever does not has something to hide or was away.
pub(crate) fn settle(view: &mut View<'_>, id: UnitId, unit: Unit, height: Height) -> Vec<Event> {
    let fined = slash::keeper(view, unit.miner, id, Kept::Opening);
    let outcome = VoidReason::Withheld.outcome();
    let settled = task::settle(view, id, unit, outcome, height);
    fined.into_iter().chain(settled).collect()
}
