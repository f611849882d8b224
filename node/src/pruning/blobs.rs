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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use governance::Parameters;
    use ledger_state::{
        State,
        run::{InForce, Stage as RunStage, Tip},
        unit::{Claim, Commitment, Draw, Outcome, Unit},
    };
    use protocol::{
        Address, Amount, BlockId, ChainId, Micro, rollout::Root, task::Beacon, task::UnitId,
    };

    const RUN: RunId = RunId::new(3);

    fn tip(height: u64) -> Tip {
        Tip {
            chain: ChainId::from_bytes([1; 32]),
            height: Height::new(height),
            block: BlockId::from_bytes([2; 32]),
            time_ms: 0,
            beacon: Beacon::from_bytes([3; 32]),
            genesis_supply: Amount::ZERO,
            supply_cap: Amount::ZERO,
            minted: Amount::ZERO,
            burned: Amount::ZERO,
        }
    }

    fn blob(step: u64) -> BlobId {
        BlobId::of(&step.to_le_bytes())
    }

    /// A unit of a step that was settled at a height, or is still open.
    fn put(view: &mut View<'_>, step: u64, settled_at: Option<u64>) {
        let id = UnitId {
            run: RUN,
            step: Step::new(step),
            kind: UnitKind::Gradient,
            index: 0,
        };
        let (miner, deadline) = (Address::from_bytes([4; 32]), Height::new(1));
        let mut unit = Unit::assigned(miner, deadline, (Micro::ZERO, None));
        unit.commitment = Some(Commitment {
            blob: blob(step),
            blob_bytes: 8,
            claim: Claim::Gradient {
                root: Root::from_bytes([5; 32]),
                tokens_count: 1,
                loss_micro: 1,
                feedback: None,
            },
            at: Height::new(1),
            attested_by: Vec::new(),
            available_at: None,
            draw: Draw::Pending,
        });
        unit.stage = settled_at.map_or(Stage::Committed, |at| Stage::Settled {
            outcome: Outcome::Accepted { paid: Amount::ZERO },
            at: Height::new(at),
        });
        view.put(&id, &unit);
    }

    /// A run at step 20 whose units up to there were settled ten blocks a step.
    fn world() -> State {
        let mut state = State::default();
        let mut view = state.view();
        view.put(&(), &InForce(Parameters::default()));
        view.put(&(), &tip(0));
        let run = Run {
            escrow: Amount::ZERO,
            step: Step::new(20),
            stage: RunStage::Finished,
        };
        view.put(&RUN, &run);
        (0..20).for_each(|step| put(&mut view, step, Some(10 * (step + 1))));
        let writes = view.into_writes();
        state.advance(writes);
        state
    }

    fn at(state: &State, height: u64, swept: &mut BTreeMap<RunId, Step>) -> Vec<BlobId> {
        let mut view = state.view();
        view.put(&(), &tip(height));
        old(&view, 8, swept)
    }

    #[test]
    fn blobs_go_when_their_pay_has_vested_and_later_steps_need_them_no_more() {
        let state = world();
        let vesting = run::parameters(&state.view()).get(Name::VestingBlocks);
        let mut swept = BTreeMap::new();
        let blobs = |steps: std::ops::Range<u64>| -> Vec<BlobId> { steps.map(blob).collect() };
        // Settled, but what it earned may still be challenged away.
        assert_eq!(at(&state, 10 + vesting, &mut swept), []);
        assert_eq!(at(&state, 11 + vesting, &mut swept), blobs(0..1));
        // Each once, in order, and never of the last steps, however old.
        assert_eq!(at(&state, 41 + vesting, &mut swept), blobs(1..4));
        assert_eq!(at(&state, 10_000 + vesting, &mut swept), blobs(4..12));
        assert_eq!(at(&state, 20_000 + vesting, &mut swept), []);
    }

    #[test]
    fn an_open_unit_holds_its_step_and_all_later_ones() {
        let mut state = world();
        let mut view = state.view();
        put(&mut view, 2, None);
        let writes = view.into_writes();
        state.advance(writes);
        let late = 10_000 + run::parameters(&state.view()).get(Name::VestingBlocks);
        let mut swept = BTreeMap::new();
        assert_eq!(at(&state, late, &mut swept), [blob(0), blob(1)]);
        assert_eq!(at(&state, late, &mut swept), []);
    }

    #[test]
    fn dropped_blobs_are_gone_from_the_disk_and_others_stay() {
        let home = tempfile::tempdir().unwrap();
        let blobs = FolderStore::open(home.path()).unwrap();
        let (one, other) = (blobs.insert(b"one").unwrap(), blobs.insert(b"two").unwrap());
        // One that this node never had is no failure.
        drop_all(&blobs, &[one, BlobId::of(b"never")]).unwrap();
        assert_eq!(blobs.get(&one).unwrap(), None);
        assert!(blobs.get(&other).unwrap().is_some());
    }
}
