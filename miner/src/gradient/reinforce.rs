//! Reinforcement units: one policy gradient over a share of the rollouts.
//! Paper: arXiv:2505.07291 §3.4 (two-sided clip).
//!
//! Nothing a rollout's miner computed about its own tokens is believed: rewards, advantages and
//! log-probabilities are computed here. A group with a sample that breaks a rule is left out
//! whole, so that nobody gains by breaking the rules for the samples it does not like.

use super::{Generation, GradientInputs, Keep, Learned, Stretch, segments, start::keep_files};
use crate::{
    ExecuteError, World,
    model::{micro_of, number},
    rollout::ends_lawfully,
};
use engine::{
    Continuation, Device, Parameters,
    trace::{
        PolicyPart, Trace,
        clip::UNIT_NORM_MAX,
        plan::{self, Plan, PlanError},
    },
    trainer::{Gradients, GrpoOptions, GrpoSequence, advantages, clip_gradient_norm, file},
};
use protocol::{BlobId, gradient::State, recipe::Recipe, rollout, task::RolloutTask};

/// The samples of one prompt, with the rewards that the environment gives.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its tokens.
    pub prompt: Vec<u32>,
    /// By slot.
    pub responses: Vec<Vec<u32>>,
    /// By slot, in millionths.
    pub rewards_micro: Vec<u32>,
}

impl Group {
    fn tokens_count(&self) -> usize {
        self.responses.iter().map(Vec::len).sum()
    }
}

/// All whole groups of the unit's rollouts, in order.
pub fn groups(recipe: &Recipe, world: &World, generation: &Generation<'_>) -> Vec<Group> {
    let all = all_groups(recipe, world, generation).into_iter();
    all.flatten().collect()
}

/// The plan of the unit: how long its sequences are, and how well they did (trace §4).
///
/// # Errors
/// Counts that no plan can say, of a recipe far beyond what a step takes.
pub fn plan(
    recipe: &Recipe,
    world: &World,
    generation: &Generation<'_>,
) -> Result<Plan, PlanError> {
    let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    let planned = |group: Group| {
        let samples = group.responses.iter().zip(group.rewards_micro);
        let sample = |(response, reward_micro): (&Vec<u32>, u32)| plan::Sample {
            response_count: count(response.len()),
            reward_micro,
        };
        plan::Group {
            prompt_count: count(group.prompt.len()),
            samples: samples.map(sample).collect(),
        }
    };
    let groups = all_groups(recipe, world, generation).into_iter();
    let groups: Vec<_> = groups.map(|group| group.map(planned)).collect();
    Plan::new(recipe.reinforce.samples_per_group_count, &groups)
}

/// Every group that the unit's rollouts should have, in order; nothing for one that is not whole.
fn all_groups(recipe: &Recipe, world: &World, generation: &Generation<'_>) -> Vec<Option<Group>> {
    let places = 0..recipe.reinforce.groups_per_unit_count;
    let rollouts = generation.rollouts.iter();
    rollouts
        .flat_map(|(task, payload)| {
            let groups = payload.groups.as_slice().iter().map(Some);
            let groups = places.clone().zip(groups.chain(std::iter::repeat(None)));
            groups.map(|(index, group)| whole(recipe, world, task, index, group?))
        })
        .collect()
}

/// The group, if it has every sample and all of them keep the rules.
fn whole(
    recipe: &Recipe,
    world: &World,
    task: &RolloutTask,
    index: u32,
    group: &rollout::Group,
) -> Option<Group> {
    let samples = group.samples.as_slice();
    let tokens_max = world.environment.response_tokens_max();
    let lawful = |sample: &rollout::Sample| {
        let tokens = sample.tokens.as_slice();
        let known = tokens.iter().all(|token| *token < recipe.model.vocab_size);
        known && ends_lawfully(tokens, sample.finish, tokens_max)
    };
    let complete = samples.len() == recipe.reinforce.samples_per_group_count as usize;
    if !complete || !samples.iter().all(lawful) {
        return None;
    }
    let prompt = world.prompt(task, index);
    let responses = samples.iter().map(|sample| sample.tokens.as_slice());
    Some(Group {
        rewards_micro: responses
            .clone()
            .map(|response| world.reward_micro(&prompt, response))
            .collect(),
        responses: responses.map(<[u32]>::to_vec).collect(),
        prompt,
    })
}

/// Tokens of all groups.
pub fn tokens_count(groups: &[Group]) -> u32 {
    let count: usize = groups.iter().map(Group::tokens_count).sum();
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The gradient of the clipped objective over all groups, divided by their response tokens, and the
/// sums on the way to it.
///
/// # Errors
/// A rollout that the model cannot take, a loss that is not finite, or a file that is not kept.
pub fn learn(
    inputs: &GradientInputs<'_>,
    generation: &Generation<'_>,
    groups: &[Group],
    keep: &mut Keep<'_>,
    device: &Device,
) -> Result<Learned, ExecuteError> {
    let unit = Unit::new(inputs, generation, groups);
    let mut sum = Gradients::zeros(inputs.model);
    let (mut losses_micro, mut states) = (Vec::new(), Vec::new());
    for segment in 0..segments(inputs).count() {
        let (loss_micro, added) = unit.add(segment, sum, device)?;
        sum = added;
        losses_micro.push(loss_micro);
        keep_files(keep, &[sum.as_slice()])?;
        states.push(state(segment, sum.as_slice()));
    }
    Ok(Learned {
        values: clipped(sum.into_values(), device),
        tokens_count: unit.tokens_count,
        losses_micro,
        states,
    })
}

/// Adds the gradient of one segment again to that of the segments before; to zeros without one.
///
/// # Errors
/// As [`learn`], and where no group is whole.
pub fn replay(
    inputs: &GradientInputs<'_>,
    generation: &Generation<'_>,
    part: (u32, Option<&[f32]>),
    groups: &[Group],
    device: &Device,
) -> Result<Stretch, ExecuteError> {
    let Added {
        loss_micro,
        state,
        sum,
    } = retake(inputs, generation, part, groups, device)?;
    let is_last = part.0.saturating_add(1) == segments(inputs).count();
    Ok(Stretch {
        losses_micro: vec![loss_micro],
        state,
        values: is_last.then(|| clipped(sum, device)),
    })
}

/// What one segment comes to.
#[derive(Clone, Debug)]
pub struct Added {
    /// Its loss, in millionths of a nat.
    pub loss_micro: i64,
    /// What names the sum up to it.
    pub state: State,
    /// The sum, `[parameters]`, before it is clipped.
    pub sum: Vec<f32>,
}

/// The same with the sum as it is, of whichever segment.
///
/// # Errors
/// As [`replay`].
pub fn retake(
    inputs: &GradientInputs<'_>,
    generation: &Generation<'_>,
    (segment, start): (u32, Option<&[f32]>),
    groups: &[Group],
    device: &Device,
) -> Result<Added, ExecuteError> {
    let unit = Unit::new(inputs, generation, groups);
    if unit.tokens_count == 0 {
        return Err(ExecuteError::NothingToLearn { unit: inputs.unit });
    }
    let (loss_micro, sum) = unit.add(segment, sum_of(inputs, start), device)?;
    Ok(Added {
        loss_micro,
        state: state(segment, sum.as_slice()),
        sum: sum.into_values(),
    })
}

/// Every number of one segment, which goes on from the sum of the segments before; from zeros
/// without one.
///
/// # Errors
/// A rollout that the model cannot take.
pub fn trace(
    inputs: &GradientInputs<'_>,
    generation: &Generation<'_>,
    (segment, start): (u32, Option<&[f32]>),
    groups: &[Group],
    device: &Device,
) -> Result<Trace, ExecuteError> {
    let unit = Unit::new(inputs, generation, groups);
    let part = PolicyPart {
        learner: inputs.model,
        behaviour: generation.model,
        sum: &sum_of(inputs, start),
        sequences: &sequences(unit.part(segment)),
        options: &options(inputs.recipe, unit.tokens_count),
        parts_count: segments(inputs).count(),
    };
    // Whoever plays would hash all of it in the middle of the game.
    Ok(part.trace(device.threads())?.named())
}

/// The sum of the segments before, of which there may be none.
fn sum_of(inputs: &GradientInputs<'_>, start: Option<&[f32]>) -> Gradients {
    let start = start.and_then(|values| Gradients::from_values(inputs.model, values.to_vec()));
    start.unwrap_or_else(|| Gradients::zeros(inputs.model))
}

/// A unit's gradient, of the norm that the compressed form can express.
#[must_use]
pub fn clipped(mut sum: Vec<f32>, device: &Device) -> Vec<f32> {
    clip_gradient_norm(&mut sum, UNIT_NORM_MAX, device.threads());
    sum
}

/// What names the sum of all segments up to one.
fn state(segment: u32, sum: &[f32]) -> State {
    State {
        steps_count: segment.saturating_add(1),
        weights: BlobId::from_bytes(file::name(sum)),
        moments: None,
    }
}

/// What all segments of a unit share.
struct Unit<'a> {
    inputs: &'a GradientInputs<'a>,
    behaviour: &'a Parameters,
    /// Groups whose rewards differ, with their advantages. Others have no gradient.
    taught: Vec<(&'a Group, Vec<f32>)>,
    /// Of all groups.
    tokens_count: u32,
}

impl<'a> Unit<'a> {
    fn new(
        inputs: &'a GradientInputs<'a>,
        generation: &Generation<'a>,
        groups: &'a [Group],
    ) -> Self {
        let floor_micro = inputs.recipe.reinforce.advantage_floor.get();
        let with_advantages =
            |group: &'a Group| (group, advantages(&group.rewards_micro, floor_micro));
        let is_taught = |(_, advantages): &(_, Vec<f32>)| advantages.iter().any(|a| *a != 0.0);
        let taught = groups.iter().map(with_advantages).filter(is_taught);
        Self {
            inputs,
            behaviour: generation.model,
            taught: taught.collect(),
            tokens_count: tokens_count(groups),
        }
    }
    /// The groups of a segment: every segment has as many, give or take one.
    fn part(&self, segment: u32) -> &[(&'a Group, Vec<f32>)] {
        let parts = segments(self.inputs).count().max(1) as usize;
        let bound = |index: usize| self.taught.len() * index / parts;
        let index = segment as usize;
        self.taught
            .get(bound(index)..bound(index + 1))
            .unwrap_or_default()
    }
    /// Adds the gradient of a segment's groups. The loss counts as often as there are segments, so
    /// that the mean over them is the unit's.
    fn add(
        &self,
        segment: u32,
        start: Gradients,
        device: &Device,
    ) -> Result<(i64, Gradients), ExecuteError> {
        let Self {
            inputs, behaviour, ..
        } = self;
        let options = options(inputs.recipe, self.tokens_count);
        let mut sequences = sequences(self.part(segment));
        compare(&mut sequences, (behaviour, options.temperature), device)?;
        let (loss, sum) = device.grpo(inputs.model, &sequences, &options, start)?;
        let inner_step = segment as usize;
        let loss = loss.loss * f64::from(segments(inputs).count());
        let loss = micro_of(loss).ok_or(ExecuteError::LossNotFinite { inner_step })?;
        Ok((loss, sum))
    }
}

#[expect(clippy::cast_precision_loss, reason = "token counts are below 2^24")]
fn options(recipe: &Recipe, tokens_count: u32) -> GrpoOptions {
    let reinforce = &recipe.reinforce;
    GrpoOptions {
        clip_low: number(reinforce.clip_low),
        clip_high: number(reinforce.clip_high),
        delta: number(reinforce.ratio_max),
        temperature: number(reinforce.temperature),
        normaliser: tokens_count.max(1) as f32,
    }
}

/// Prompts with responses and advantages.
fn sequences(groups: &[(&Group, Vec<f32>)]) -> Vec<GrpoSequence> {
    let of_group = |(group, advantages): &(&Group, Vec<f32>)| -> Vec<GrpoSequence> {
        let samples = group.responses.iter().zip(advantages);
        let sequence = |(response, advantage): (&Vec<u32>, &f32)| GrpoSequence {
            tokens: [group.prompt.as_slice(), response].concat(),
            prompt_len: group.prompt.len(),
            advantage: *advantage,
            behaviour_logprobs: Vec::new(),
        };
        samples.map(sequence).collect()
    };
    groups.iter().flat_map(of_group).collect()
}

/// Computes log-probabilities under the behaviour policy.
fn compare(
    sequences: &mut [GrpoSequence],
    (behaviour, temperature): (&Parameters, f32),
    device: &Device,
) -> Result<(), ExecuteError> {
    let continuations = sequences.iter().map(|sequence: &GrpoSequence| {
        let (prompt, response) = sequence.tokens.split_at(sequence.prompt_len);
        Continuation { prompt, response }
    });
    let continuations: Vec<_> = continuations.collect();
    let logprobs = device.response_logprobs(behaviour, &continuations, temperature)?;
    for (sequence, logprobs) in sequences.iter_mut().zip(logprobs) {
        sequence.behaviour_logprobs = logprobs;
    }
    Ok(())
}
