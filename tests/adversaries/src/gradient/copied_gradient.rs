//! The neighbouring unit's result. In reinforcement learning it is the miner's own: what a
//! neighbour learns from is not among the inputs.

use crate::{Adversary, Seals, Target};
use engine::Device;
use miner::{
    ExecuteError, GradientInputs, World,
    gradient::{self, Work},
};
use protocol::task::UnitId;

/// See the module.
#[derive(Debug)]
pub(super) struct CopiedGradient;

impl Adversary for CopiedGradient {
    fn name(&self) -> &'static str {
        "copied-gradient"
    }
    fn description(&self) -> &'static str {
        "Sends another unit's pre-training result under its own name."
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
        let neighbour = GradientInputs {
            unit: UnitId {
                index: inputs.unit.index ^ 1,
                ..inputs.unit
            },
            ..inputs.clone()
        };
        let learned = gradient::learn(&neighbour, &World::of(inputs.recipe)?, keep, device)?;
        learned.sealed(inputs, salts)
    }
}
