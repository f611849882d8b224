//! Half of the work, claimed to be all of it.

use super::{made_up, scale};
use crate::{Adversary, Seals, Target};
use engine::Device;
use miner::{
    ExecuteError, GradientInputs, World,
    gradient::{self, Work, pretrain, reinforce},
};
use protocol::recipe::Phase;

/// See the module.
#[derive(Debug)]
pub(super) struct SkipSteps;

impl Adversary for SkipSteps {
    fn name(&self) -> &'static str {
        "skip-steps"
    }
    fn description(&self) -> &'static str {
        "Takes half of the inner steps, or learns from half of its groups, and scales up."
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
                let batches = pretrain::assigned(inputs, &world, gradient::segments(inputs).all());
                let tokens_count = batches.iter().map(pretrain::tokens_count).sum();
                let (count, half) = (batches.len(), batches.len() / 2);
                let batches = batches.into_iter().take(half);
                let mut learned = pretrain::learn(inputs, batches, keep, device)?;
                scale(&mut learned.values, 2.0);
                made_up(inputs, &mut learned.states, keep)?;
                let last = learned.losses_micro.last().copied().unwrap_or_default();
                learned.losses_micro.resize(count, last);
                learned.tokens_count = tokens_count;
                learned
            }
            Phase::Reinforce => {
                let generation = gradient::generation(inputs)?;
                let groups = reinforce::groups(inputs.recipe, &world, generation);
                let half = groups.get(..groups.len() / 2).unwrap_or_default();
                let mut learned = reinforce::learn(inputs, generation, half, keep, device)?;
                learned.tokens_count = reinforce::tokens_count(&groups);
                learned
            }
        };
        learned.sealed(inputs, salts)
    }
}
