//! The right direction backwards, as far as the others go forwards.

use super::scale;
use crate::{Adversary, Seals, Target};
use engine::Device;
use miner::{
    ExecuteError, GradientInputs, World,
    gradient::{self, Work},
};

/// Inner-product manipulation (arXiv:1903.03936): its norm is no reason to clip it.
#[derive(Debug)]
pub(super) struct InnerProduct;

impl Adversary for InnerProduct {
    fn name(&self) -> &'static str {
        "inner-product"
    }
    fn description(&self) -> &'static str {
        "Sends its pseudo-gradient negated, so that the sum points less far ahead."
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
        scale(&mut learned.values, -1.0);
        learned.sealed(inputs, salts)
    }
}
