//! Dropping blobs of units long past: `keep_steps` in a node's configuration.
//!
//! A blob is needed until its unit is settled, while later steps learn from it, and until what it
//! earned has vested, for until then it can be challenged. After that only a replay asks for it.

use crate::chain::Chain;
use anyhow::Result;
use governance::parameters::Name;
use ledger_state::{
    View,
    run::{self, Run},
    unit::{self, Stage},
};
use network::FolderStore;
use protocol::{BlobId, Height, RunId, Step, task::UnitKind};
use std::{collections::BTreeMap, sync::Arc};

/// The least that is kept: rollouts are learnt from a few steps later.
pub const KEEP_STEPS_MIN: u64 = 8;
/// Blocks from one look to the next.
const LOOK_BLOCKS: u64 = 20;

/// Drops blobs as the chain goes on; ends at once if all are kept.
pub async fn run(chain: Arc<Chain>, blobs: Arc<FolderStore>, keep_steps: u64) {
    if keep_steps == 0 {
        return;
    }
    let keep = keep_steps.max(KEEP_STEPS_MIN);
    let mut heights = chain.heights();
    let mut due = Height::ZERO;
    let mut swept = BTreeMap::new();
    while heights.changed().await.is_ok() {
        let height = *heights.borrow_and_update();
        if height < due {
            continue;
        }
        due = height.saturating_add(LOOK_BLOCKS);
        let old = chain.view(|view| old(view, keep, &mut swept));
        let blobs = Arc::clone(&blobs);
        let dropped = tokio::task::spawn_blocking(move || drop_all(&blobs, &old)).await;
        match dropped {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("old blobs stay: {error:#}"),
            Err(error) => tracing::warn!("old blobs stay: {error}"),
        }
    }
}

fn drop_all(blobs: &FolderStore, old: &[BlobId]) -> Result<()> {
    for blob in old {
        blobs.remove(blob)?;
    }
    if !old.is_empty() {
        tracing::debug!(count = old.len(), "blobs dropped");
    }
    Ok(())
}

/// Blobs that nobody may ask for any more, of steps from where the last look ended.
fn old(view: &View<'_>, keep: u64, swept: &mut BTreeMap<RunId, Step>) -> Vec<BlobId> {
    let tip = run::tip(view).height;
    let vesting = run::parameters(view).get(Name::VestingBlocks);
    let is_over = |unit: &unit::Unit| match unit.stage {
        Stage::Settled { at, .. } => at.saturating_add(vesting) < tip,
        Stage::Assigned | Stage::Committed => false,
    };
    let mut old = Vec::new();
    for (id, run) in view.scan::<Run>(&()) {
        let mut step = swept.get(&id).copied().unwrap_or(Step::ZERO);
        while step < run.step.saturating_sub(keep) {
            let kinds = [UnitKind::Rollout, UnitKind::Gradient].into_iter();
            let units: Vec<_> = kinds
                .flat_map(|kind| unit::of_step(view, id, step, kind))
                .collect();
            if !units.iter().all(|(_, unit)| is_over(unit)) {
                break;
            }
            let bound = units
                .iter()
                .filter_map(|(_, unit)| unit.commitment.as_ref());
            old.extend(bound.map(|commitment| commitment.blob));
            step = step.next();
        }
        swept.insert(id, step);
    }
    old
}
