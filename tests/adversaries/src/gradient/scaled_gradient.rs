//! The right direction, four times as far.

use super::scale;
use crate::{Adversary, Seals, Target};
use engine::Device;
use miner::{
    ExecuteError, GradientInputs, World,
    gradient::{self, Work},
};

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
        (salts, keep): Seals<'_, '_>,
        device: &Device,
    ) -> Result<Work, ExecuteError> {
        let mut learned = gradient::learn(inputs, &World::of(inputs.recipe)?, keep, device)?;
        scale(&mut learned.values, 4.0);
        learned.sealed(inputs, salts)
    }
}
