//! A better-looking loss than the work had.

use crate::{Adversary, Target};
use engine::Device;
use miner::{ExecuteError, GradientInputs, World, gradient};
use protocol::gradient::Payload;

/// See the module.
#[derive(Debug)]
pub(super) struct LossLiar;

impl Adversary for LossLiar {
    fn name(&self) -> &'static str {
        "loss-liar"
    }
    fn description(&self) -> &'static str {
        "Does the work, then claims half of its losses."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Gradient]
    }
    fn gradient(
        &self,
        inputs: &GradientInputs<'_>,
        device: &Device,
    ) -> Result<Payload, ExecuteError> {
        let mut learned = gradient::learn(inputs, &World::of(inputs.recipe)?, device)?;
        for loss in &mut learned.losses_micro {
            *loss = *loss / 2 - 1;
        }
        learned.payload(inputs)
    }
}
