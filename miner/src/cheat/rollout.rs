//! Dishonest rollout units.

use super::{Cheat, noise};
use crate::{
    ExecuteError, World, model,
    rollout::{Draw, RolloutInputs, payload},
};
use engine::{Device, Finish, Generation, ModelConfig, Parameters, Sampling, bf16_bits, prefill};
use environment::END_OF_SEQUENCE;
use protocol::{
    codec::{BoundedVec, Bytes},
    rollout::{Group, Payload, Sample},
};

/// Does the unit as this cheat does it; honestly if the cheat is not about rollouts.
///
/// # Errors
/// As [`crate::rollout::execute`].
pub fn execute(
    cheat: Cheat,
    inputs: &RolloutInputs<'_>,
    device: &Device,
) -> Result<Payload, ExecuteError> {
    let world = World::of(inputs.recipe)?;
    let mut draw = Draw::assigned(inputs, &world);
    let reinforce = &inputs.recipe.reinforce;
    let replacement = replacement(cheat, inputs)?;
    match cheat {
        Cheat::Greedy => draw.sampling = Sampling::Greedy,
        Cheat::OwnSeed => {
            for seed in draw.seeds.iter_mut().flatten() {
                seed[0] ^= 1;
            }
        }
        Cheat::EasyPrompt => {
            // Prompts that the task would assign to groups which the unit does not have.
            let count = reinforce.groups_per_unit_count;
            let others = (0..count).map(|group| world.prompt(inputs.task, group + count));
            draw.prompts = others.collect();
        }
        Cheat::LowPrecision | Cheat::StaleModel | Cheat::DraftModel => {
            draw.model = replacement.as_ref().unwrap_or(inputs.model);
        }
        _ => {}
    }
    let mut generations = match cheat {
        Cheat::Garbage => garbage(&draw, &world, inputs.model.config()),
        _ => draw.generate(&world, device)?,
    };
    if matches!(cheat, Cheat::DraftModel | Cheat::EarlyStop) {
        if cheat == Cheat::EarlyStop {
            generations.iter_mut().for_each(stop);
        }
        feed(inputs, &draw.prompts, &mut generations, device)?;
    }
    let honest = payload(inputs, &world, &draw.prompts, &generations, device)?;
    match cheat {
        Cheat::RewardLiar => altered(honest, |sample| sample.reward_micro = 1_000_000),
        Cheat::ZeroProof => altered(honest, blank),
        _ => Ok(honest),
    }
}

/// The model that the cheat uses in place of the assigned one.
fn replacement(
    cheat: Cheat,
    inputs: &RolloutInputs<'_>,
) -> Result<Option<Parameters>, ExecuteError> {
    Ok(match cheat {
        Cheat::StaleModel => Some(model::initial_model(inputs.recipe)?),
        Cheat::DraftModel => {
            let config = ModelConfig {
                num_hidden_layers: 1,
                ..inputs.model.config().clone()
            };
            Some(Parameters::initialize(
                &config,
                *inputs.recipe.seed.as_bytes(),
            ))
        }
        Cheat::LowPrecision => {
            let mut rounded = inputs.model.clone();
            for value in rounded.as_mut_slice() {
                *value = f32::from_bits(u32::from(bf16_bits(*value)) << 16);
            }
            Some(rounded)
        }
        _ => None,
    })
}

/// Responses and activations made up from the seeds.
fn garbage(draw: &Draw<'_>, world: &World, config: &ModelConfig) -> Vec<Generation> {
    let tokens_max = world.environment.response_tokens_max();
    let made_up = |prompt: &Vec<u32>, seed: &[u8; 32]| {
        let mut noise = noise(seed);
        let letters = noise.by_ref().map(|byte| u32::from(b'0' + byte % 10));
        let tokens: Vec<u32> = letters.take(tokens_max).collect();
        let rows = prompt.len() + tokens.len() - 1;
        let hidden = noise.map(|byte| f32::from(byte) / 64.0 - 2.0);
        Generation {
            tokens,
            finish: Finish::Cap,
            hidden: hidden.take(rows * config.hidden_size).collect(),
        }
    };
    let groups = draw.prompts.iter().zip(&draw.seeds);
    groups
        .flat_map(|(prompt, seeds)| seeds.iter().map(move |seed| made_up(prompt, seed)))
        .collect()
}

/// Puts the end of sequence in the first place.
fn stop(generation: &mut Generation) {
    generation.tokens = vec![END_OF_SEQUENCE];
    generation.finish = Finish::EndOfSequence;
}

/// Computes the assigned model's activations on tokens that it did not draw.
fn feed(
    inputs: &RolloutInputs<'_>,
    prompts: &[Vec<u32>],
    generations: &mut [Generation],
    device: &Device,
) -> Result<(), ExecuteError> {
    let per_group = inputs.recipe.reinforce.samples_per_group_count as usize;
    for (prompt, group) in prompts.iter().zip(generations.chunks_mut(per_group)) {
        for generation in group {
            let response = generation
                .tokens
                .split_last()
                .map_or(&[][..], |(_, fed)| fed);
            let fed = [prompt.as_slice(), response].concat();
            let replay = prefill(inputs.model, &[&fed], device.threads())?;
            generation.hidden = replay.into_iter().flat_map(|pass| pass.hidden).collect();
        }
    }
    Ok(())
}

/// Replaces every proof by one of the same length whose polynomial is zero.
fn blank(sample: &mut Sample) {
    let proofs = sample.proofs.as_slice().iter().map(|proof| {
        let mut bytes = vec![0; proof.as_slice().len()];
        for (to, from) in bytes.iter_mut().zip(proof.as_slice().iter().take(2)) {
            *to = *from;
        }
        Bytes::new(bytes)
    });
    if let Ok(proofs) = proofs.collect::<Result<Vec<_>, _>>()
        && let Ok(proofs) = BoundedVec::new(proofs)
    {
        sample.proofs = proofs;
    }
}

/// The payload with every sample changed.
fn altered(payload: Payload, change: impl Fn(&mut Sample)) -> Result<Payload, ExecuteError> {
    let groups = payload.groups.into_vec().into_iter().map(|group| {
        let mut samples = group.samples.into_vec();
        samples.iter_mut().for_each(&change);
        let samples = BoundedVec::new(samples)?;
        Ok(Group { samples })
    });
    Ok(Payload {
        unit: payload.unit,
        miner: payload.miner,
        groups: BoundedVec::new(groups.collect::<Result<_, ExecuteError>>()?)?,
    })
}
