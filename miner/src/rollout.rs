//! Rollout units: all samples of a few prompts, with their rewards and proofs. Spec: 02-rollout.
//!
//! The pieces are public because an audit is made of the same ones: prompts, seeds, the rule of
//! how a response ends, proofs of hidden states.

use crate::{ExecuteError, World, model, parallel};
use engine::{
    Device, Generation, GenerationOptions, GenerationRequest, Parameters, Sampling, bf16_bits,
};
use environment::END_OF_SEQUENCE;
use protocol::{
    codec::{BoundedVec, Bytes},
    proof::toploc,
    recipe::Recipe,
    rollout::{Finish, Group, PROOF_CHUNK_TOKENS, PROOF_TOP_COUNT, Payload, Sample},
    task::RolloutTask,
};
use std::borrow::Cow;

/// Everything a rollout unit follows from.
#[derive(Clone, Copy, Debug)]
pub struct RolloutInputs<'a> {
    /// Whose unit, and its seeds.
    pub task: &'a RolloutTask,
    /// The run's recipe.
    pub recipe: &'a Recipe,
    /// The checkpoint that the task names.
    pub model: &'a Parameters,
}

/// Generates, rewards and proves all samples of the unit.
///
/// # Errors
/// When this software cannot execute the recipe, or the model has diverged.
pub fn execute(inputs: &RolloutInputs<'_>, device: &Device) -> Result<Payload, ExecuteError> {
    let world = World::of(inputs.recipe)?;
    let draw = Draw::assigned(inputs, &world);
    let generations = draw.generate(&world, device)?;
    payload(inputs, &world, &draw.prompts, &generations, device)
}

/// How the samples of a unit are drawn. An honest miner has exactly one.
#[derive(Clone, Debug)]
pub struct Draw<'a> {
    /// The weights, borrowed from the task's checkpoint.
    pub model: Cow<'a, Parameters>,
    /// By group.
    pub prompts: Vec<Vec<u32>>,
    /// By group and slot.
    pub seeds: Vec<Vec<[u8; 32]>>,
    /// How a token follows from logits.
    pub sampling: Sampling,
}

impl<'a> Draw<'a> {
    /// The one that the task assigns.
    #[must_use]
    pub fn assigned(inputs: &RolloutInputs<'a>, world: &World) -> Self {
        let reinforce = &inputs.recipe.reinforce;
        let groups = 0..reinforce.groups_per_unit_count;
        let seeds = |group| {
            (0..reinforce.samples_per_group_count)
                .map(|slot| inputs.task.sample_seed(group, slot))
                .collect()
        };
        Self {
            model: Cow::Borrowed(inputs.model),
            prompts: world.prompts(inputs.task, reinforce.groups_per_unit_count),
            seeds: groups.map(seeds).collect(),
            sampling: Sampling::Gumbel {
                temperature: model::number(reinforce.temperature),
            },
        }
    }

    /// All samples, group after group.
    ///
    /// # Errors
    /// A prompt that the model cannot take.
    pub fn generate(
        &self,
        world: &World,
        device: &Device,
    ) -> Result<Vec<Generation>, ExecuteError> {
        let groups = self.prompts.iter().zip(&self.seeds);
        let requests: Vec<_> = groups
            .flat_map(|(prompt, seeds)| {
                seeds.iter().map(|seed| GenerationRequest {
                    prompt: prompt.clone(),
                    seed: *seed,
                })
            })
            .collect();
        let options = GenerationOptions {
            sampling: self.sampling,
            tokens_max: world.environment.response_tokens_max(),
            eos: END_OF_SEQUENCE,
        };
        Ok(device.generate(&self.model, &requests, &options)?)
    }
}

/// The unit's blob, from the samples of all groups in order.
///
/// # Errors
/// When a payload has no room for them, or a hidden state is not a finite number.
pub fn payload(
    inputs: &RolloutInputs<'_>,
    world: &World,
    prompts: &[Vec<u32>],
    generations: &[Generation],
    device: &Device,
) -> Result<Payload, ExecuteError> {
    let per_group = inputs.recipe.reinforce.samples_per_group_count.max(1) as usize;
    let width = inputs.model.config().hidden_size;
    let drawn: Vec<_> = prompts.iter().zip(generations.chunks(per_group)).collect();
    let groups = parallel::map(&drawn, device.threads(), |(prompt, generations)| {
        group(world, prompt, generations, width)
    });
    let groups = groups.into_iter().collect::<Result<_, _>>()?;
    Ok(Payload {
        unit: inputs.task.unit,
        miner: inputs.task.miner,
        groups: BoundedVec::new(groups)?,
    })
}

/// The samples of one prompt, whose proof they share.
fn group(
    world: &World,
    prompt: &[u32],
    generations: &[Generation],
    width: usize,
) -> Result<Group, ExecuteError> {
    let split = prompt.len() * width;
    let Some(first) = generations.first() else {
        return Ok(Group {
            samples: BoundedVec::new(Vec::new())?,
        });
    };
    let shared = prompt_proof(first.hidden.get(..split).unwrap_or_default(), width)?;
    let samples = generations.iter().map(|generation| {
        let states = generation.hidden.get(split..).unwrap_or_default();
        let proofs = [vec![shared.clone()], response_proofs(states, width)?].concat();
        let proofs = proofs.into_iter().map(Bytes::new);
        Ok(Sample {
            finish: match generation.finish {
                engine::Finish::EndOfSequence => Finish::EndOfSequence,
                engine::Finish::Cap => Finish::Cap,
            },
            reward_micro: world.reward_micro(prompt, &generation.tokens),
            tokens: BoundedVec::new(generation.tokens.clone())?,
            proofs: BoundedVec::new(proofs.collect::<Result<_, _>>()?)?,
        })
    });
    let samples = samples.collect::<Result<_, ExecuteError>>()?;
    Ok(Group {
        samples: BoundedVec::new(samples)?,
    })
}

/// The first proof of every sample of a prompt, as it is sent: `hidden` is `[prompt, width]` f32
/// row-major, the last hidden states of the prompt. A chunk of fewer than 128 values is covered
/// whole.
///
/// # Errors
/// When the hidden states have another layout or are not finite numbers.
pub fn prompt_proof(hidden: &[f32], width: usize) -> Result<Vec<u8>, ExecuteError> {
    // Without a row there is no prompt: asking for one makes that an error.
    let rows = (hidden.len() / width.max(1)).max(1);
    let proofs = proofs(hidden, rows, width)?;
    Ok(proofs.into_iter().flatten().collect())
}

/// The other proofs of a sample, as they are sent.
///
/// `hidden` is `[response - 1, width]` f32 row-major, the last hidden state of every response
/// token that was fed: the last token of a response never is, because nothing is drawn after it.
/// A proof covers 32 tokens, the last maybe fewer.
///
/// # Errors
/// When the hidden states have another layout or are not finite numbers.
pub fn response_proofs(hidden: &[f32], width: usize) -> Result<Vec<Vec<u8>>, ExecuteError> {
    proofs(hidden, 0, width)
}

fn proofs(hidden: &[f32], prompt: usize, width: usize) -> Result<Vec<Vec<u8>>, ExecuteError> {
    let states: Vec<u16> = hidden.iter().map(|value| bf16_bits(*value)).collect();
    let layout = toploc::Layout {
        hidden: width,
        prefill_tokens: prompt,
        chunk_tokens: PROOF_CHUNK_TOKENS,
        top_count: PROOF_TOP_COUNT,
    };
    let proofs = toploc::build(&toploc::Activations::new(&states, layout)?)?;
    Ok(proofs.iter().map(toploc::Proof::to_bytes).collect())
}

/// How many proofs a response of that many tokens has.
#[must_use]
pub fn proofs_count(response_tokens: usize) -> usize {
    1 + response_tokens
        .saturating_sub(1)
        .div_ceil(PROOF_CHUNK_TOKENS)
}

/// Whether a response ends as it must: with its only end-of-sequence token, or at the limit.
#[must_use]
pub fn ends_lawfully(tokens: &[u32], finish: Finish, tokens_max: usize) -> bool {
    let Some((last, before)) = tokens.split_last() else {
        return false;
    };
    let lawful = if *last == END_OF_SEQUENCE {
        Finish::EndOfSequence
    } else {
        Finish::Cap
    };
    let long_enough = lawful == Finish::EndOfSequence || tokens.len() == tokens_max;
    finish == lawful
        && long_enough
        && tokens.len() <= tokens_max
        && !before.contains(&END_OF_SEQUENCE)
}
