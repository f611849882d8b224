//! Half of the work, claimed to be all of it.

use super::scale;
use crate::{Adversary, Target};
use engine::Device;
use miner::{
    ExecuteError, GradientInputs, World,
    gradient::{self, pretrain, reinforce},
};
use protocol::{gradient::Payload, recipe::Phase};

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
        device: &Device,
    ) -> Result<Payload, ExecuteError> {
        let world = World::of(inputs.recipe)?;
        let learned = match gradient::phase(inputs)? {
            Phase::Pretrain => {
                let batches = pretrain::assigned(inputs, &world);
                let tokens_count = batches.iter().map(pretrain::tokens_count).sum();
                let (count, half) = (batches.len(), batches.len() / 2);
                let mut learned = pretrain::learn(inputs, batches.into_iter().take(half), device)?;
                scale(&mut learned.values, 2.0);
                let last = learned.losses_micro.last().copied().unwrap_or_default();
                learned.losses_micro.resize(count, last);
                learned.tokens_count = tokens_count;
                learned
            }
            Phase::Reinforce => {
                let generation = gradient::generation(inputs)?;
                let groups = reinforce::groups(inputs.recipe, &world, generation);
                let half = groups.get(..groups.len() / 2).unwrap_or_default();
                let mut learned = reinforce::learn(inputs, generation, half, device)?;
                learned.tokens_count = reinforce::tokens_count(&groups);
                learned
            }
        };
        learned.payload(inputs)
    }
}
