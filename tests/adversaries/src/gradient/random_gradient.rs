//! Noise, with the number of tokens that the task has and losses that look like a step.

use super::made_up;
use crate::{Adversary, Seals, Target, noise};
use engine::Device;
use miner::{
    ExecuteError, GradientInputs, World,
    gradient::{self, Learned, Work, pretrain, reinforce},
};
use protocol::{
    recipe::Phase,
    task::{RowSource, row_seed},
};

/// See the module.
#[derive(Debug)]
pub(super) struct RandomGradient;

impl Adversary for RandomGradient {
    fn name(&self) -> &'static str {
        "random-gradient"
    }
    fn description(&self) -> &'static str {
        "Sends noise of a plausible size without computing anything."
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
        let _ = device;
        let world = World::of(inputs.recipe)?;
        let phase = gradient::phase(inputs)?;
        let tokens_count = match phase {
            Phase::Pretrain => {
                let batches = pretrain::assigned(inputs, &world, gradient::segments(inputs).all());
                batches.iter().map(pretrain::tokens_count).sum()
            }
            Phase::Reinforce => {
                let generation = gradient::generation(inputs)?;
                reinforce::tokens_count(&reinforce::groups(inputs.recipe, &world, generation))
            }
        };
        let seed = row_seed(inputs.beacon, inputs.unit, u32::MAX, RowSource::Corpus, 0);
        let noise = noise(&seed).map(|byte| (f32::from(byte) - 127.5) / 127.5 * 1e-3);
        let losses_count = gradient::losses_count(inputs.recipe, phase) as usize;
        let mut states = Vec::new();
        made_up(inputs, &mut states, keep)?;
        let learned = Learned {
            states,
            values: noise.take(inputs.model.as_slice().len()).collect(),
            tokens_count,
            losses_micro: vec![2_000_000; losses_count],
        };
        learned.sealed(inputs, salts)
    }
}
