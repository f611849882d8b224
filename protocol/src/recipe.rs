//! A recipe says, in integers, everything that determines what a run's units compute.
//!
//! Real numbers are [`Micro`]; executors convert them with one IEEE division, so every machine
//! gets the same `f32`. The recipe is part of the genesis (and later of a proposal), so its bytes
//! are bound by the chain's identity.

use crate::{Amount, BlobId, EnvironmentHash, Micro, gradient::Segments};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// Shape of a decoder-only transformer (Llama family, Hugging Face names).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelShape {
    /// Token ids are `0..vocab_size`.
    pub vocab_size: u32,
    /// Width of the residual stream.
    pub hidden_size: u32,
    /// Width of the `SwiGLU`.
    pub intermediate_size: u32,
    /// Blocks.
    pub layers_count: u32,
    /// Query heads.
    pub heads_count: u32,
    /// Key/value heads; divides `heads_count`.
    pub key_value_heads_count: u32,
    /// Width of a head.
    pub head_dim: u32,
    /// Base of the rotary embedding.
    pub rope_theta: u32,
    /// Longest sequence.
    pub positions_max: u32,
}

/// Pre-training by `DiLoCo` (arXiv:2311.08105): inner `AdamW` steps, outer Nesterov.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pretrain {
    /// Steps of the run spent pre-training; they come first.
    pub steps_count: u64,
    /// Gradient units a step.
    pub units_count: u32,
    /// Inner optimiser steps a unit, H.
    pub inner_steps_count: u32,
    /// Inner steps of a segment, of which an audit repeats one; see [`Recipe::segments`].
    pub segment_steps_count: u32,
    /// Rows of the corpus in an inner batch.
    pub corpus_rows_count: u32,
    /// Tokens in a corpus row.
    pub corpus_row_tokens: u32,
    /// Demonstrations of the environment's task in an inner batch.
    pub demonstration_rows_count: u32,
    /// Inner learning rate after warm-up.
    pub learning_rate: Micro,
    /// Inner steps over which the rate rises linearly, at the start of every unit.
    pub warmup_steps_count: u32,
    /// Inner `AdamW` second-moment decay.
    pub beta2: Micro,
    /// Added to the root of the inner second moment, in units of 10⁻⁹. Far below the gradient's
    /// numbers every weight moves about as far; far above them, by its gradient, so that a few
    /// values carry most of a sparse update.
    pub epsilon_nano: u32,
    /// Inner decoupled weight decay.
    pub weight_decay: Micro,
    /// Inner gradient norm limit.
    pub gradient_norm_max: Micro,
    /// Outer learning rate.
    pub outer_learning_rate: Micro,
    /// Outer Nesterov momentum.
    pub outer_momentum: Micro,
    /// How updates are written; those of reinforcement learning are dense.
    pub update: UpdateForm,
}

/// How a pre-training unit's update is written. Spec: arithmetic §8.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(tag = "form", rename_all = "kebab-case", deny_unknown_fields)]
pub enum UpdateForm {
    /// Eight bits a value.
    Dense,
    /// The largest values of every chunk. What is lost is added to the next update of the miner,
    /// multiplied by a decay of at most one.
    Sparse {
        /// β of the error feedback.
        feedback_decay: Micro,
    },
}

impl UpdateForm {
    /// The decay of what an update loses, where that is not lost for good.
    #[must_use]
    pub const fn feedback_decay(self) -> Option<Micro> {
        match self {
            Self::Dense => None,
            Self::Sparse { feedback_decay } => Some(feedback_decay),
        }
    }
}

/// Reinforcement learning by GRPO with two-sided clipping (arXiv:2505.07291).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reinforce {
    /// Steps of the run spent on reinforcement learning; they follow pre-training.
    pub steps_count: u64,
    /// Rollout units a step.
    pub rollout_units_count: u32,
    /// Prompts in a rollout unit.
    pub groups_per_unit_count: u32,
    /// Samples of one prompt, G.
    pub samples_per_group_count: u32,
    /// Sampling temperature.
    pub temperature: Micro,
    /// Gradient units a step; each takes an equal share of the accepted rollout units.
    pub gradient_units_count: u32,
    /// Segments of a gradient unit, of which an audit repeats one; see [`Recipe::segments`].
    pub segments_count: u32,
    /// Ratio clip below one.
    pub clip_low: Micro,
    /// Ratio clip above one.
    pub clip_high: Micro,
    /// Largest ratio for negative advantages, δ.
    pub ratio_max: Micro,
    /// Added to the standard deviation when advantages are normalised.
    pub advantage_floor: Micro,
    /// Peak learning rate of the outer `AdamW`.
    pub learning_rate: Micro,
    /// Steps over which the rate rises linearly.
    pub warmup_steps_count: u64,
    /// Share of the peak rate left at the last step; decay is linear.
    pub final_rate: Micro,
    /// Outer `AdamW` second-moment decay.
    pub beta2: Micro,
    /// Limit on the norm of the aggregated gradient.
    pub gradient_norm_max: Micro,
}

/// How far accepted updates may pull the model, whatever they say: some may be lies that no audit
/// drew. Spec: arithmetic §8.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aggregation {
    /// Largest norm of an update.
    pub norm_max: Micro,
    /// The same as a multiple of the median norm.
    pub norm_ratio: Micro,
    /// Largest share of the weight that the updates of one bonded account have together.
    pub weight_cap: Micro,
    /// How far an update pulls at most, as a multiple of the median distance from the centre.
    pub center_ratio: Micro,
    /// Times that the centre moves; with 0, clipped updates are averaged.
    pub center_rounds_count: u32,
}

impl Aggregation {
    /// What fits every recipe: norms of one and a half medians, distances of one, and four tenths
    /// of the weight.
    pub const DEFAULT: Self = Self {
        norm_max: Micro::new(1_000_000_000),
        norm_ratio: Micro::new(1_500_000),
        weight_cap: Micro::new(400_000),
        center_ratio: Micro::ONE,
        center_rounds_count: 3,
    };
}

/// When steps close and what is measured.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Miners that must be active before the first step is assigned.
    pub miners_at_start_count: u32,
    /// Blocks from assignment until units not yet committed count as missed.
    pub deadline_blocks: u64,
    /// Blocks after a unit's commitment in which validators must come to hold its blob.
    pub availability_blocks: u64,
    /// Gradient units that must be accepted for the model to move.
    pub gradient_units_min: u32,
    /// Held-out greedy evaluation happens when a step's number is a multiple of this.
    pub evaluation_every_steps: u64,
    /// Held-out prompts in an evaluation.
    pub evaluation_prompts_count: u32,
}

/// What work earns, paid from the run's escrow.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pay {
    /// For an accepted gradient unit.
    pub gradient_unit: Amount,
    /// For an accepted rollout unit; independent of its reward.
    pub rollout_unit: Amount,
    /// For an audit, whatever its verdict.
    pub audit: Amount,
}

/// Everything that determines a run.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The model.
    pub model: ModelShape,
    /// Seed of the initial weights.
    pub seed: EnvironmentHash,
    /// Plain BLAKE3 of these weights, f32 little-endian in the order of the model's tensors: the
    /// name by which the chain knows them. Without it, steps of the first units cannot be disputed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_weights: Option<BlobId>,
    /// The verifiable task.
    pub environment: EnvironmentHash,
    /// The text for pre-training.
    pub corpus: EnvironmentHash,
    /// First part.
    pub pretrain: Pretrain,
    /// Second part.
    pub reinforce: Reinforce,
    /// From updates to one.
    pub aggregation: Aggregation,
    /// Deadlines and evaluation.
    pub schedule: Schedule,
    /// Prices.
    pub pay: Pay,
}

/// Which part of the recipe a step belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Gradient units over the corpus.
    Pretrain,
    /// Gradient units over rollouts.
    Reinforce,
}

impl Recipe {
    /// Steps in all.
    #[must_use]
    pub const fn steps_count(&self) -> u64 {
        self.pretrain
            .steps_count
            .saturating_add(self.reinforce.steps_count)
    }
    /// The part that a step's gradient units belong to; nothing once the run is over.
    #[must_use]
    pub const fn phase(&self, step: crate::Step) -> Option<Phase> {
        if step.get() < self.pretrain.steps_count {
            Some(Phase::Pretrain)
        } else if step.get() < self.steps_count() {
            Some(Phase::Reinforce)
        } else {
            None
        }
    }
    /// Rollout units generated during a step, for the gradients of the next one.
    #[must_use]
    pub const fn rollout_units_count(&self, step: crate::Step) -> u32 {
        let next = crate::Step::new(step.get().saturating_add(1));
        match self.phase(next) {
            Some(Phase::Reinforce) => self.reinforce.rollout_units_count,
            Some(Phase::Pretrain) | None => 0,
        }
    }
    /// How a step's updates are written.
    #[must_use]
    pub const fn update(&self, step: crate::Step) -> UpdateForm {
        match self.phase(step) {
            Some(Phase::Pretrain) => self.pretrain.update,
            Some(Phase::Reinforce) | None => UpdateForm::Dense,
        }
    }
    /// How a step's gradient units are cut into segments. A segment of a reinforcement unit is a
    /// part of its groups, and one step.
    #[must_use]
    pub const fn segments(&self, step: crate::Step) -> Segments {
        match self.phase(step) {
            Some(Phase::Pretrain) => Segments::new(
                self.pretrain.inner_steps_count,
                self.pretrain.segment_steps_count,
            ),
            Some(Phase::Reinforce) | None => Segments::new(self.reinforce.segments_count, 1),
        }
    }
    /// Samples in a full rollout unit.
    #[must_use]
    pub const fn samples_per_unit_count(&self) -> u32 {
        self.reinforce
            .groups_per_unit_count
            .saturating_mul(self.reinforce.samples_per_group_count)
    }
    /// Whether checkpoint `step` is evaluated: on the rhythm, and at the end.
    #[must_use]
    pub const fn is_evaluated(&self, step: crate::Step) -> bool {
        let every = self.schedule.evaluation_every_steps;
        step.get() == self.steps_count() || (every != 0 && step.get().is_multiple_of(every))
    }
}
