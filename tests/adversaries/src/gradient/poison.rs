//! The whole work, on data turned around.

use crate::{Adversary, Seals, Target};
use engine::{Device, trainer::Batch};
use miner::{
    ExecuteError, GradientInputs, World,
    gradient::{self, Work, pretrain, reinforce},
};
use protocol::recipe::Phase;

/// Turns what is to be learned around, row by row.
pub(super) fn reverse_targets(batch: &mut Batch) {
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

/// See the module.
#[derive(Debug)]
pub(super) struct Poison;

impl Adversary for Poison {
    fn name(&self) -> &'static str {
        "poison"
    }
    fn description(&self) -> &'static str {
        "Teaches reversed answers, or learns from reversed rewards, to harm the model."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Gradient]
    }
    fn gradient(
        &self,
        inputs: &GradientInputs<'_>,
        (salts, keep): Seals<'_, '_>,
        device: &Device,
    ) -> Result<Work, ExecuteError> {
        let world = World::of(inputs.recipe)?;
        let learned = match gradient::phase(inputs)? {
            Phase::Pretrain => {
                let mut batches =
                    pretrain::assigned(inputs, &world, gradient::segments(inputs).all());
                batches.iter_mut().flatten().for_each(reverse_targets);
                pretrain::learn(inputs, batches, keep, device)?
            }
            Phase::Reinforce => {
                let generation = gradient::generation(inputs)?;
                let mut groups = reinforce::groups(inputs.recipe, &world, generation);
                for reward in groups.iter_mut().flat_map(|group| &mut group.rewards_micro) {
                    *reward = 1_000_000_u32.saturating_sub(*reward);
                }
                reinforce::learn(inputs, generation, &groups, keep, device)?
            }
        };
        learned.sealed(inputs, salts)
    }
}
