//! Gradient units: inner steps over assigned rows, or a policy gradient over assigned rollouts.
//! Spec: 02-gradient.

pub mod pretrain;
pub mod reinforce;

use crate::{ExecuteError, World};
use engine::{Device, Parameters, trainer::CompressedUpdate};
use protocol::{
    Address,
    codec::{BoundedVec, Bytes},
    gradient::Payload,
    recipe::{Phase, Recipe},
    rollout,
    task::{Beacon, RolloutTask, UnitId},
};

/// Everything a gradient unit follows from.
#[derive(Clone, Debug)]
pub struct GradientInputs<'a> {
    /// The unit.
    pub unit: UnitId,
    /// Who computes it.
    pub miner: Address,
    /// The run's recipe.
    pub recipe: &'a Recipe,
    /// The step's beacon.
    pub beacon: &'a Beacon,
    /// The step's checkpoint, `K_s`.
    pub model: &'a Parameters,
    /// What to learn from, in reinforcement learning.
    pub generation: Option<Generation<'a>>,
}

/// The accepted rollouts of the step before that are dealt to a gradient unit.
#[derive(Clone, Debug)]
pub struct Generation<'a> {
    /// The checkpoint that generated them, the behaviour policy.
    pub model: &'a Parameters,
    /// In the order of their units. Their contents are not trusted.
    pub rollouts: Vec<(RolloutTask, rollout::Payload)>,
}

/// Executes the unit.
///
/// # Errors
/// When this software cannot execute the recipe, there is nothing to learn from, or the model has
/// diverged.
pub fn execute(inputs: &GradientInputs<'_>, device: &Device) -> Result<Payload, ExecuteError> {
    let learned = learn(inputs, &World::of(inputs.recipe)?, device)?;
    if learned.tokens_count == 0 {
        return Err(ExecuteError::NothingToLearn { unit: inputs.unit });
    }
    learned.payload(inputs)
}

/// Does the work that the task assigns.
///
/// # Errors
/// As [`execute`], but for a unit with nothing to learn from.
pub fn learn(
    inputs: &GradientInputs<'_>,
    world: &World,
    device: &Device,
) -> Result<Learned, ExecuteError> {
    match phase(inputs)? {
        Phase::Pretrain => pretrain::learn(inputs, pretrain::assigned(inputs, world), device),
        Phase::Reinforce => {
            let generation = generation(inputs)?;
            let groups = reinforce::groups(inputs.recipe, world, generation);
            reinforce::learn(inputs, generation, &groups, device)
        }
    }
}

/// The part of the recipe that the unit belongs to.
///
/// # Errors
/// A step after the run's last.
pub fn phase(inputs: &GradientInputs<'_>) -> Result<Phase, ExecuteError> {
    let step = inputs.unit.step;
    inputs.recipe.phase(step).ok_or(ExecuteError::StepOver {
        step,
        steps_count: inputs.recipe.steps_count(),
    })
}

/// The rollouts of a reinforcement unit.
///
/// # Errors
/// When none were given.
pub fn generation<'a, 'b>(
    inputs: &'b GradientInputs<'a>,
) -> Result<&'b Generation<'a>, ExecuteError> {
    let unit = inputs.unit;
    inputs
        .generation
        .as_ref()
        .ok_or(ExecuteError::GenerationMissing { unit })
}

/// What a unit found out.
#[derive(Clone, Debug)]
pub struct Learned {
    /// The pseudo-gradient, or the gradient.
    pub values: Vec<f32>,
    /// Tokens that carried loss.
    pub tokens_count: u32,
    /// Mean loss of each inner step, in millionths of a nat.
    pub losses_micro: Vec<i64>,
}

impl Learned {
    /// The blob.
    ///
    /// # Errors
    /// When the values are not finite, or a payload has no room for them.
    pub fn payload(self, inputs: &GradientInputs<'_>) -> Result<Payload, ExecuteError> {
        let Self {
            values,
            tokens_count,
            losses_micro,
        } = self;
        Ok(Payload {
            unit: inputs.unit,
            miner: inputs.miner,
            tokens_count,
            losses_micro: BoundedVec::new(losses_micro)?,
            update: Bytes::new(CompressedUpdate::compress(&values)?.encode())?,
        })
    }
}

/// Inner losses in a unit of this part of the recipe.
#[must_use]
pub const fn losses_count(recipe: &Recipe, phase: Phase) -> u32 {
    match phase {
        Phase::Pretrain => recipe.pretrain.inner_steps_count,
        Phase::Reinforce => 1,
    }
}

/// The most tokens that can carry loss in a unit of this part of the recipe: no unit may claim a
/// larger weight.
#[must_use]
pub fn tokens_count_max(recipe: &Recipe, world: &World, phase: Phase) -> u64 {
    let response = world.environment.response_tokens_max() as u64;
    match phase {
        Phase::Pretrain => {
            let pretrain = &recipe.pretrain;
            let row = u64::from(pretrain.corpus_row_tokens.saturating_sub(1));
            let text = row.saturating_mul(pretrain.corpus_rows_count.into());
            let answers = response.saturating_mul(pretrain.demonstration_rows_count.into());
            text.saturating_add(answers)
                .saturating_mul(pretrain.inner_steps_count.into())
        }
        Phase::Reinforce => response
            .saturating_mul(recipe.samples_per_unit_count().into())
            .saturating_mul(recipe.reinforce.rollout_units_count.into()),
    }
}
