//! Feedback: what a miner's updates lost is where its next ones start. Spec: 02-gradient §5.
//!
//! A sparse update sends a 64th of its values. The rest is not lost for good: the miner adds it to
//! its next update. So a unit has one more input than its task, and the chain names it, like every
//! other: the file that the miner bound with the unit before.
//!
//! A miner may have several units in a step. The first, the second, … of each step are chains of
//! their own, for what one update lost may be sent once. A link that was not accepted breaks its
//! chain, and the next unit starts from zeros: so does who joins, and who has lost its disk passes
//! over a unit.
//!
//! ```text
//! step 0   unit 1 (zeros) ─▶ bound file f1      unit 3 (zeros) ─▶ f3
//! step 1   unit 0 (f1)    ─▶ bound file g0      unit 2 (f3)    ─▶ void
//! step 2   unit 5 (g0)    ─▶ …                  unit 6 (zeros) ─▶ …
//! ```

use crate::{
    View, run,
    state::Record,
    unit::{Claim, Unit},
};
use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{
    Address, BlobId, RunId, Step,
    recipe::Recipe,
    task::{UnitId, UnitKind},
};
use std::collections::BTreeMap;

/// What a miner's updates lost in a run: a file of f32 for its first, second, … unit of a step;
/// nothing where that is all zeros.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Lost(pub Vec<Option<BlobId>>);

impl Record for Lost {
    const TABLE: u8 = 18;
    type Key = (RunId, Address);
}

/// Counts the units of each miner in a step, as they come.
#[derive(Debug, Default)]
pub(crate) struct Slots(BTreeMap<Address, usize>);

impl Slots {
    fn next(&mut self, miner: Address) -> usize {
        let count = self.0.entry(miner).or_default();
        let slot = *count;
        *count = count.saturating_add(1);
        slot
    }
}

/// What the updates of a miner lost, by the place of its units in a step.
#[must_use]
pub fn lost(view: &View<'_>, run: RunId, miner: Address) -> Lost {
    view.get(&(run, miner)).unwrap_or_default()
}

/// Where a unit starts that is assigned now, after those of the step that have a lower index.
pub(crate) fn before(
    view: &View<'_>,
    recipe: &Recipe,
    unit: UnitId,
    (miner, slots): (Address, &mut Slots),
) -> Option<BlobId> {
    if unit.kind != UnitKind::Gradient {
        return None;
    }
    recipe.update(unit.step).feedback_decay()?;
    let slot = slots.next(miner);
    lost(view, unit.run, miner).0.get(slot).copied().flatten()
}

/// Notes what the units of a closed step lost, for the next ones; nothing of units that were not
/// accepted. After the last step that has feedback, nothing is left.
pub(crate) fn carry(view: &mut View<'_>, (run, step): (RunId, Step), units: &[(UnitId, Unit)]) {
    let Some(recipe) = run::recipe(view, run) else {
        return;
    };
    if recipe.update(step).feedback_decay().is_none() {
        return;
    }
    if recipe.update(step.next()).feedback_decay().is_none() {
        for (key, _) in view.scan::<Lost>(&run) {
            view.delete::<Lost>(&key);
        }
        return;
    }
    let mut slots = Slots::default();
    for (id, unit) in units {
        if id.kind != UnitKind::Gradient {
            continue;
        }
        let slot = slots.next(unit.miner);
        let mut lost = lost(view, run, unit.miner);
        if lost.0.len() <= slot {
            lost.0.resize(slot.saturating_add(1), None);
        }
        if let Some(place) = lost.0.get_mut(slot) {
            *place = bound(unit);
        }
        view.put(&(run, unit.miner), &lost);
    }
}

/// What an accepted unit says that it lost.
fn bound(unit: &Unit) -> Option<BlobId> {
    let commitment = unit.commitment.as_ref().filter(|_| unit.is_accepted())?;
    match commitment.claim {
        Claim::Gradient { feedback, .. } => feedback,
        Claim::Rollout { .. } => None,
    }
}
