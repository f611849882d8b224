//! The right direction, four times as far.

use super::scale;
use crate::{Adversary, Target};
use engine::Device;
use miner::{ExecuteError, GradientInputs, World, gradient};
use protocol::gradient::Payload;

/// See the module.
#[derive(Debug)]
pub(super) struct ScaledGradient;

impl Adversary for ScaledGradient {
    fn name(&self) -> &'static str {
        "scaled-gradient"
    }
    fn description(&self) -> &'static str {
        "Multiplies its pseudo-gradient by four, to weigh more than the others."
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
        scale(&mut learned.values, 4.0);
        learned.payload(inputs)
    }
}
