//! Gradient units: inner steps over assigned rows, or a policy gradient over assigned rollouts.
//! Spec: 02-gradient.

pub mod exchange;
pub mod pretrain;
pub mod reinforce;
pub mod start;

pub use start::Start;

use crate::{ExecuteError, World};
use engine::{Device, Parameters};
use protocol::{
    Address, BlobId,
    codec::{BoundedVec, Bytes},
    gradient::{Payload, Salts, Segments, State},
    recipe::{Phase, Recipe},
    rollout::{self, Seal},
    task::{Beacon, RolloutTask, UnitId},
};
use std::io;

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
    /// What the miner's updates lost before, `[parameters]`; nothing where that is all zeros, or
    /// the recipe has no feedback.
    pub feedback: Option<&'a [f32]>,
}

/// The accepted rollouts of the step before that are dealt to a gradient unit.
#[derive(Clone, Debug)]
pub struct Generation<'a> {
    /// The checkpoint that generated them, the behaviour policy.
    pub model: &'a Parameters,
    /// In the order of their units. Their contents are not trusted.
    pub rollouts: Vec<(RolloutTask, rollout::Payload)>,
}

/// What a miner has when a unit is done.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// Shown to everyone.
    pub payload: Payload,
    /// The state after every segment, which the payload seals.
    pub states: Vec<State>,
    /// What the update lost, where the recipe has feedback: the next unit's input.
    pub lost: Option<Vec<f32>>,
}

impl Work {
    /// What names that which the update lost.
    #[must_use]
    pub fn feedback(&self) -> Option<BlobId> {
        self.lost.as_deref().map(exchange::name)
    }
}

/// Where the files of states go, since an audit may ask for them. No more than one is in memory.
pub type Keep<'a> = dyn FnMut(&[u8]) -> io::Result<()> + 'a;

/// Keeps no file: for whoever will not be asked.
///
/// # Errors
/// Never.
pub const fn forget(_: &[u8]) -> io::Result<()> {
    Ok(())
}

/// Executes the unit.
///
/// # Errors
/// When this software cannot execute the recipe, there is nothing to learn from, or the model has
/// diverged.
pub fn execute(
    inputs: &GradientInputs<'_>,
    salts: &Salts,
    keep: &mut Keep<'_>,
    device: &Device,
) -> Result<Work, ExecuteError> {
    let learned = learn(inputs, &World::of(inputs.recipe)?, keep, device)?;
    if learned.tokens_count == 0 {
        return Err(ExecuteError::NothingToLearn { unit: inputs.unit });
    }
    learned.sealed(inputs, salts)
}

/// The payload of a unit whose states nobody will ask for, sealed with salts that are no secret.
///
/// # Errors
/// As [`execute`].
pub fn payload(inputs: &GradientInputs<'_>, device: &Device) -> Result<Payload, ExecuteError> {
    Ok(execute(inputs, &Salts::OPEN, &mut forget, device)?.payload)
}

/// Does the work that the task assigns.
///
/// # Errors
/// As [`execute`], but for a unit with nothing to learn from.
pub fn learn(
    inputs: &GradientInputs<'_>,
    world: &World,
    keep: &mut Keep<'_>,
    device: &Device,
) -> Result<Learned, ExecuteError> {
    match phase(inputs)? {
        Phase::Pretrain => {
            let batches = pretrain::assigned(inputs, world, segments(inputs).all());
            pretrain::learn(inputs, batches, keep, device)
        }
        Phase::Reinforce => {
            let generation = generation(inputs)?;
            let groups = reinforce::groups(inputs.recipe, world, generation);
            reinforce::learn(inputs, generation, &groups, keep, device)
        }
    }
}

/// One segment of a unit, taken again.
#[derive(Clone, Debug, PartialEq)]
pub struct Stretch {
    /// Mean loss of each of its steps, in millionths of a nat.
    pub losses_micro: Vec<i64>,
    /// The state at its end.
    pub state: State,
    /// What the whole unit gives, where the segment is its last.
    pub values: Option<Vec<f32>>,
}

/// Takes one segment again, from the state that it starts from; nothing of the first, which starts
/// from the step's checkpoint, or from no gradient.
///
/// # Errors
/// As [`execute`].
pub fn replay(
    inputs: &GradientInputs<'_>,
    world: &World,
    (segment, start): (u32, Option<&Start>),
    device: &Device,
) -> Result<Stretch, ExecuteError> {
    match phase(inputs)? {
        Phase::Pretrain => {
            let steps = segments(inputs).steps(segment);
            let batches = pretrain::assigned(inputs, world, steps);
            let start = start.and_then(Start::training);
            pretrain::replay(inputs, (segment, start), batches, device)
        }
        Phase::Reinforce => {
            let generation = generation(inputs)?;
            let groups = reinforce::groups(inputs.recipe, world, generation);
            let start = start.and_then(Start::gradient);
            reinforce::replay(inputs, generation, (segment, start), &groups, device)
        }
    }
}

/// Tokens that carry loss in the unit, which needs no model.
///
/// # Errors
/// As [`phase`] and [`generation`].
pub fn tokens_count(inputs: &GradientInputs<'_>, world: &World) -> Result<u32, ExecuteError> {
    match phase(inputs)? {
        Phase::Pretrain => {
            let batches = pretrain::assigned(inputs, world, segments(inputs).all());
            Ok(batches.iter().map(pretrain::tokens_count).sum())
        }
        Phase::Reinforce => {
            let groups = reinforce::groups(inputs.recipe, world, generation(inputs)?);
            Ok(reinforce::tokens_count(&groups))
        }
    }
}

/// How the unit's inner steps are cut.
#[must_use]
pub const fn segments(inputs: &GradientInputs<'_>) -> Segments {
    inputs.recipe.segments(inputs.unit.step)
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
    /// The state after every segment.
    pub states: Vec<State>,
}

impl Learned {
    /// The blob, with every state sealed, and the states.
    ///
    /// # Errors
    /// When the values are not finite, or a payload has no room for them.
    pub fn sealed(self, inputs: &GradientInputs<'_>, salts: &Salts) -> Result<Work, ExecuteError> {
        let Self {
            values,
            tokens_count,
            losses_micro,
            states,
        } = self;
        let (unit, miner) = (inputs.unit, inputs.miner);
        let sent = exchange::compress(inputs, &values)?;
        let payload = Payload {
            unit,
            miner,
            tokens_count,
            losses_micro: BoundedVec::new(losses_micro)?,
            seals: BoundedVec::new(seals((unit, miner), salts, &states))?,
            update: Bytes::new(sent.update)?,
        };
        Ok(Work {
            payload,
            states,
            lost: sent.lost,
        })
    }
}

/// The seals of a unit's states.
#[must_use]
pub fn seals((unit, miner): (UnitId, Address), salts: &Salts, states: &[State]) -> Vec<Seal> {
    let states = (1..).zip(states);
    let seal =
        |(boundary, state): (u32, &State)| state.seal(unit, miner, boundary, salts.at(boundary));
    states.map(seal).collect()
}

/// Inner losses in a unit of this part of the recipe.
#[must_use]
pub const fn losses_count(recipe: &Recipe, phase: Phase) -> u32 {
    match phase {
        Phase::Pretrain => recipe.pretrain.inner_steps_count,
        Phase::Reinforce => recipe.reinforce.segments_count,
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
