//! Dishonest gradient units.

use super::{Cheat, noise};
use crate::{
    ExecuteError, World,
    gradient::{self, GradientInputs, Learned, pretrain, reinforce},
    model,
};
use engine::{Device, trainer::Batch};
use protocol::{
    gradient::Payload,
    recipe::Phase,
    task::{RowSource, UnitId, row_seed},
};

/// Largest magnitude that a cheat writes, inside the range of the compressed form.
const VALUE_MAX: f32 = 1.9;

/// Does the unit as this cheat does it; honestly if the cheat is not about this kind of gradient.
///
/// # Errors
/// As [`gradient::execute`].
pub fn execute(
    cheat: Cheat,
    inputs: &GradientInputs<'_>,
    device: &Device,
) -> Result<Payload, ExecuteError> {
    let world = World::of(inputs.recipe)?;
    match cheat {
        Cheat::StaleModel => {
            let first = model::initial_model(inputs.recipe)?;
            let stale = GradientInputs {
                model: &first,
                ..inputs.clone()
            };
            gradient::execute(&stale, device)
        }
        Cheat::CopiedGradient => copied(inputs, device),
        Cheat::SkipSteps => skipped(inputs, &world, device)?.payload(inputs),
        Cheat::RandomGradient => random(inputs, &world)?.payload(inputs),
        Cheat::Poison => poisoned(inputs, &world, device)?.payload(inputs),
        Cheat::ScaledGradient => {
            let mut learned = honest(inputs, &world, device)?;
            scale(&mut learned.values, 4.0);
            learned.payload(inputs)
        }
        Cheat::LossLiar => {
            let mut learned = honest(inputs, &world, device)?;
            for loss in &mut learned.losses_micro {
                *loss = *loss / 2 - 1;
            }
            learned.payload(inputs)
        }
        _ => gradient::execute(inputs, device),
    }
}

fn honest(
    inputs: &GradientInputs<'_>,
    world: &World,
    device: &Device,
) -> Result<Learned, ExecuteError> {
    gradient::learn(inputs, world, device)
}

fn scale(values: &mut [f32], factor: f32) {
    for value in values {
        *value = (*value * factor).clamp(-VALUE_MAX, VALUE_MAX);
    }
}

/// The neighbouring unit's result. In reinforcement learning it is the miner's own: what a
/// neighbour learns from is not among the inputs.
fn copied(inputs: &GradientInputs<'_>, device: &Device) -> Result<Payload, ExecuteError> {
    let neighbour = GradientInputs {
        unit: UnitId {
            index: inputs.unit.index ^ 1,
            ..inputs.unit
        },
        ..inputs.clone()
    };
    Ok(Payload {
        unit: inputs.unit,
        ..gradient::execute(&neighbour, device)?
    })
}

/// Half of the work, claimed to be all of it.
fn skipped(
    inputs: &GradientInputs<'_>,
    world: &World,
    device: &Device,
) -> Result<Learned, ExecuteError> {
    match gradient::phase(inputs)? {
        Phase::Pretrain => {
            let batches = pretrain::assigned(inputs, world);
            let tokens_count = batches.iter().map(pretrain::tokens_count).sum();
            let (count, half) = (batches.len(), batches.len() / 2);
            let mut learned = pretrain::learn(inputs, batches.into_iter().take(half), device)?;
            scale(&mut learned.values, 2.0);
            let last = learned.losses_micro.last().copied().unwrap_or_default();
            learned.losses_micro.resize(count, last);
            learned.tokens_count = tokens_count;
            Ok(learned)
        }
        Phase::Reinforce => {
            let generation = gradient::generation(inputs)?;
            let groups = reinforce::groups(inputs.recipe, world, generation);
            let half = groups.get(..groups.len() / 2).unwrap_or_default();
            let mut learned = reinforce::learn(inputs, generation, half, device)?;
            learned.tokens_count = reinforce::tokens_count(&groups);
            Ok(learned)
        }
    }
}

/// Noise, with the number of tokens that the task has and losses that look like a step's.
fn random(inputs: &GradientInputs<'_>, world: &World) -> Result<Learned, ExecuteError> {
    let phase = gradient::phase(inputs)?;
    let tokens_count = match phase {
        Phase::Pretrain => {
            let batches = pretrain::assigned(inputs, world);
            batches.iter().map(pretrain::tokens_count).sum()
        }
        Phase::Reinforce => {
            let generation = gradient::generation(inputs)?;
            reinforce::tokens_count(&reinforce::groups(inputs.recipe, world, generation))
        }
    };
    let seed = row_seed(inputs.beacon, inputs.unit, u32::MAX, RowSource::Corpus, 0);
    let noise = noise(&seed).map(|byte| (f32::from(byte) - 127.5) / 127.5 * 1e-3);
    let losses_count = gradient::losses_count(inputs.recipe, phase) as usize;
    Ok(Learned {
        values: noise.take(inputs.model.as_slice().len()).collect(),
        tokens_count,
        losses_micro: vec![2_000_000; losses_count],
    })
}

/// The whole work, on data turned around.
fn poisoned(
    inputs: &GradientInputs<'_>,
    world: &World,
    device: &Device,
) -> Result<Learned, ExecuteError> {
    match gradient::phase(inputs)? {
        Phase::Pretrain => {
            let mut batches = pretrain::assigned(inputs, world);
            batches.iter_mut().flatten().for_each(reverse_targets);
            pretrain::learn(inputs, batches, device)
        }
        Phase::Reinforce => {
            let generation = gradient::generation(inputs)?;
            let mut groups = reinforce::groups(inputs.recipe, world, generation);
            for reward in groups.iter_mut().flat_map(|group| &mut group.rewards_micro) {
                *reward = 1_000_000_u32.saturating_sub(*reward);
            }
            reinforce::learn(inputs, generation, &groups, device)
        }
    }
}

/// Turns what is to be learned around, row by row.
fn reverse_targets(batch: &mut Batch) {
    for (row, targets) in batch.targets.chunks_mut(batch.length).enumerate() {
        let weights = batch.weights.get(row * batch.length..).unwrap_or_default();
        let learned: Vec<usize> = (0..targets.len())
            .filter(|index| weights.get(*index).is_some_and(|weight| *weight > 0.0))
            .collect();
        let values: Vec<u32> = learned.iter().map(|index| targets[*index]).collect();
        for (index, value) in learned.iter().zip(values.into_iter().rev()) {
            targets[*index] = value;
        }
    }
}
