//! Reinforcement units: one policy gradient over a share of the rollouts.
//! Paper: arXiv:2505.07291 §3.4 (two-sided clip).
//!
//! Nothing a rollout's miner computed about its own tokens is believed: rewards, advantages and
//! log-probabilities are computed here. A group with a sample that breaks a rule is left out
//! whole, so that nobody gains by breaking the rules for the samples it does not like.

use super::{Generation, GradientInputs, Learned};
use crate::{
    ExecuteError, World,
    model::{micro_of, number},
    rollout::ends_lawfully,
};
use engine::{
    Continuation, Device,
    trainer::{GrpoOptions, GrpoSequence, file},
};
use protocol::{BlobId, Micro, gradient::State, recipe::Recipe, rollout, task::RolloutTask};

/// Largest norm of a unit's gradient: no element can then leave the range of about 1.98 that the
/// compressed form has. Gradients of a healthy run are far below.
const UNIT_NORM_MAX: f32 = 1.9;

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
    let rollouts = generation.rollouts.iter();
    rollouts
        .flat_map(|(task, payload)| {
            let groups = 0..recipe.reinforce.groups_per_unit_count;
            let groups = groups.zip(payload.groups.as_slice());
            groups.filter_map(|(index, group)| whole(recipe, world, task, index, group))
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

/// `(r - mean) / (σ + floor)` over a group, σ being the population's standard deviation.
///
/// With `d_i = n r_i - Σ r` and `v = Σ d²`, both exact integers, the advantage is
/// `d_i / (sqrt(v / n) + n floor)`: two divisions, one root and one sum in f64, rounded to f32
/// once. Equal rewards have advantage 0, whatever the floor.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "integers become f64 and the quotient f32, each rounded to nearest once"
)]
pub fn advantages(rewards_micro: &[u32], floor: Micro) -> Vec<f32> {
    let count = i64::try_from(rewards_micro.len()).unwrap_or(i64::MAX);
    let sum: i64 = rewards_micro.iter().map(|reward| i64::from(*reward)).sum();
    let deviations: Vec<i64> = rewards_micro
        .iter()
        .map(|reward| count * i64::from(*reward) - sum)
        .collect();
    let squares: i128 = deviations
        .iter()
        .map(|deviation| i128::from(*deviation) * i128::from(*deviation))
        .sum();
    if squares == 0 {
        return vec![0.0; rewards_micro.len()];
    }
    let count = count as f64;
    let scale = (squares as f64 / count).sqrt() + count * floor.get() as f64;
    let advantage = |deviation: &i64| (*deviation as f64 / scale) as f32;
    deviations.iter().map(advantage).collect()
}

/// Tokens of all groups.
pub fn tokens_count(groups: &[Group]) -> u32 {
    let count: usize = groups.iter().map(Group::tokens_count).sum();
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The gradient of the clipped objective over all groups, divided by their response tokens.
///
/// A group whose rewards are all equal has no gradient; it is not computed, and its tokens count.
///
/// # Errors
/// A rollout that the model cannot take, or a loss that is not finite.
pub fn learn(
    inputs: &GradientInputs<'_>,
    generation: &Generation<'_>,
    groups: &[Group],
    device: &Device,
) -> Result<Learned, ExecuteError> {
    let tokens_count = tokens_count(groups);
    let options = options(inputs.recipe, tokens_count);
    let sequences = sequences(inputs.recipe, generation, groups, device)?;
    let (loss, mut gradients) = device.grpo(inputs.model, &sequences, &options)?;
    gradients.clip_norm(UNIT_NORM_MAX, device.threads());
    let inner_step = 0;
    let loss = micro_of(loss.loss).ok_or(ExecuteError::LossNotFinite { inner_step })?;
    let values = gradients.into_values();
    let state = State {
        steps_count: 1,
        weights: BlobId::from_bytes(file::name(&values)),
        moments: None,
    };
    Ok(Learned {
        values,
        tokens_count,
        losses_micro: vec![loss],
        states: vec![state],
    })
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

/// Prompts with responses, advantages, and log-probabilities under the behaviour policy.
fn sequences(
    recipe: &Recipe,
    generation: &Generation<'_>,
    groups: &[Group],
    device: &Device,
) -> Result<Vec<GrpoSequence>, ExecuteError> {
    let mut sequences = Vec::new();
    for group in groups {
        let advantages = advantages(&group.rewards_micro, recipe.reinforce.advantage_floor);
        if advantages.iter().all(|advantage| *advantage == 0.0) {
            continue;
        }
        for (response, advantage) in group.responses.iter().zip(advantages) {
            sequences.push(GrpoSequence {
                tokens: [group.prompt.as_slice(), response].concat(),
                prompt_len: group.prompt.len(),
                advantage,
                behaviour_logprobs: Vec::new(),
            });
        }
    }
    let continuations = sequences.iter().map(|sequence: &GrpoSequence| {
        let (prompt, response) = sequence.tokens.split_at(sequence.prompt_len);
        Continuation { prompt, response }
    });
    let continuations: Vec<_> = continuations.collect();
    let temperature = number(recipe.reinforce.temperature);
    let model = generation.model;
    let behaviour = device.response_logprobs(model, &continuations, temperature)?;
    for (sequence, behaviour) in sequences.iter_mut().zip(behaviour) {
        sequence.behaviour_logprobs = behaviour;
    }
    Ok(sequences)
}

#[cfg(test)]
mod tests {
    use super::advantages;
    use protocol::Micro;

    #[test]
    fn advantages_are_deviations_over_spread_and_floor() {
        // Mean 1/2, deviation 1/2, floor 1/2: half a deviation over one.
        let rewards = [0, 1_000_000, 0, 1_000_000];
        let found = advantages(&rewards, Micro::new(500_000));
        assert_eq!(found, [-0.5, 0.5, -0.5, 0.5]);
        let unfloored = advantages(&rewards, Micro::ZERO);
        assert_eq!(unfloored, [-1.0, 1.0, -1.0, 1.0]);
    }

    #[test]
    fn equal_rewards_have_no_advantage_even_without_a_floor() {
        for rewards in [&[][..], &[7], &[437_500; 16]] {
            let found = advantages(rewards, Micro::ZERO);
            assert_eq!(found, vec![0.0; rewards.len()]);
        }
    }

    #[test]
    fn advantages_do_not_depend_on_the_order_of_samples() {
        let mut rewards: Vec<u32> = (0..16).map(|index| index * index * 3_000).collect();
        let floor = Micro::new(150_000);
        let forward = advantages(&rewards, floor);
        rewards.reverse();
        let mut backward = advantages(&rewards, floor);
        backward.reverse();
        assert_eq!(forward, backward);
        assert!(forward.iter().sum::<f32>().abs() < 1e-5);
    }
}
