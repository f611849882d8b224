//! Runs: recipe, escrow and the stage of the current step; closed steps' measurements.

use crate::{View, state::Record};
use borsh::{BorshDeserialize, BorshSerialize};
use governance::Parameters;
use protocol::{
    Amount, BlobId, BlockId, ChainId, Height, RunId, Step, checkpoint::Checkpoint, recipe::Recipe,
    task::Beacon,
};
use std::collections::VecDeque;

/// The chain's tip and counters.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Tip {
    /// The chain.
    pub chain: ChainId,
    /// Last applied height.
    pub height: Height,
    /// Last applied block.
    pub block: BlockId,
    /// Its time in milliseconds since 1970.
    pub time_ms: u64,
    /// The beacon of that block.
    pub beacon: Beacon,
    /// Tokens at genesis.
    pub genesis_supply: Amount,
    /// Tokens that there may ever have been.
    pub supply_cap: Amount,
    /// Tokens made since genesis.
    pub minted: Amount,
    /// Tokens burned since.
    pub burned: Amount,
}

impl Record for Tip {
    const TABLE: u8 = 0;
    type Key = ();
}

/// The parameters in force.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct InForce(pub Parameters);

impl Record for InForce {
    const TABLE: u8 = 5;
    type Key = ();
}

/// What a run computes; never changes.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RunRecipe(pub Recipe);

impl Record for RunRecipe {
    const TABLE: u8 = 6;
    type Key = RunId;
}

/// Where the current step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Stage {
    /// Waits for the block that yields the beacon, and for enough miners.
    Opening {
        /// First height whose block may yield it.
        beacon_at: Height,
    },
    /// Units are computed, bound, judged.
    Working {
        /// The step's beacon.
        beacon: Beacon,
        /// When units were assigned.
        assigned_at: Height,
        /// Last height for commitments.
        deadline: Height,
    },
    /// All units are settled; validators compute and attest the next checkpoint.
    Attesting {
        /// The step's beacon.
        beacon: Beacon,
        /// Since when.
        since: Height,
    },
    /// No more steps.
    Finished,
}

/// A run's progress.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Run {
    /// What is left to pay.
    pub escrow: Amount,
    /// The current step.
    pub step: Step,
    /// Where it is.
    pub stage: Stage,
}

impl Record for Run {
    const TABLE: u8 = 7;
    type Key = RunId;
}

/// Agreed checkpoints, by the step that starts from them.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Agreed {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// When it was agreed.
    pub at: Height,
}

impl Record for Agreed {
    const TABLE: u8 = 8;
    type Key = (RunId, Step);
}

/// What a closed step measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Closed {
    /// The beacon that assigned it.
    pub beacon: Beacon,
    /// When its last unit settled.
    pub at: Height,
    /// Token-weighted mean loss of accepted gradient units, millionths of a nat.
    pub loss_micro: Option<i64>,
    /// Samples in accepted rollout units.
    pub samples_count: u64,
    /// Sum of their rewards in millionths.
    pub reward_micro: u64,
    /// How many had full reward.
    pub exact_count: u64,
    /// Accepted, void, slashed and missed units.
    pub units: crate::bond::Units,
}

impl Record for Closed {
    const TABLE: u8 = 9;
    type Key = (RunId, Step);
}

/// How auditors did with faults that miners planted in units drawn for audit.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Plants {
    /// Faults judged, and shown to be faults.
    pub opened_count: u64,
    /// Of those, found.
    pub found_count: u64,
    /// Which of the last [`RECENT_PLANTS_COUNT`] were found, oldest first.
    pub recent: VecDeque<bool>,
}

/// Planted faults over which governance measures how well they are found.
pub const RECENT_PLANTS_COUNT: usize = 1_000;

impl Plants {
    /// Counts one more.
    pub fn judge(&mut self, is_found: bool) {
        self.opened_count = self.opened_count.saturating_add(1);
        self.found_count = self.found_count.saturating_add(is_found.into());
        if self.recent.len() >= RECENT_PLANTS_COUNT {
            self.recent.pop_front();
        }
        self.recent.push_back(is_found);
    }
}

impl Record for Plants {
    const TABLE: u8 = 15;
    type Key = ();
}

/// The chain's tip.
///
/// # Panics
/// When the state has no genesis.
#[must_use]
pub fn tip(view: &View<'_>) -> Tip {
    view.get(&()).expect("invariant: genesis writes the tip")
}

/// The parameters in force.
#[must_use]
pub fn parameters(view: &View<'_>) -> Parameters {
    view.get::<InForce>(&())
        .map(|in_force| in_force.0)
        .unwrap_or_default()
}

/// A run's recipe.
#[must_use]
pub fn recipe(view: &View<'_>, run: RunId) -> Option<Recipe> {
    view.get::<RunRecipe>(&run).map(|recipe| recipe.0)
}

/// The checkpoint from which a step starts, once agreed; step zero's is derived, not agreed.
#[must_use]
pub fn agreed(view: &View<'_>, run: RunId, step: Step) -> Option<Agreed> {
    view.get(&(run, step))
}

/// The name of the weights from which a step starts, where the chain knows it.
#[must_use]
pub fn weights(view: &View<'_>, run: RunId, step: Step) -> Option<BlobId> {
    if step == Step::ZERO {
        return recipe(view, run)?.initial_weights;
    }
    agreed(view, run, step).map(|agreed| agreed.checkpoint.weights)
}

/// The beacon of a step: the current one's once known, or a closed one's.
#[must_use]
pub fn beacon(view: &View<'_>, run: RunId, step: Step) -> Option<Beacon> {
    let current: Run = view.get(&run)?;
    if current.step == step {
        return match current.stage {
            Stage::Working { beacon, .. } | Stage::Attesting { beacon, .. } => Some(beacon),
            Stage::Opening { .. } | Stage::Finished => None,
        };
    }
    view.get::<Closed>(&(run, step)).map(|closed| closed.beacon)
}
