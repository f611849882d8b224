//! A better-looking loss than the work had.

use crate::{Adversary, Seals, Target};
use engine::Device;
use miner::{
    ExecuteError, GradientInputs, World,
    gradient::{self, Work},
};

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
        (salts, keep): Seals<'_, '_>,
        device: &Device,
    ) -> Result<Work, ExecuteError> {
        let mut learned = gradient::learn(inputs, &World::of(inputs.recipe)?, keep, device)?;
        for loss in &mut learned.losses_micro {
            *loss = *loss / 2 - 1;
        }
        learned.sealed(inputs, salts)
    }
}
