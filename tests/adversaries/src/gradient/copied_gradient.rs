//! The neighbouring unit's result. In reinforcement learning it is the miner's own: what a
//! neighbour learns from is not among the inputs.

use crate::{Adversary, Target};
use engine::Device;
use miner::{ExecuteError, GradientInputs, gradient};
use protocol::{gradient::Payload, task::UnitId};

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
        device: &Device,
    ) -> Result<Payload, ExecuteError> {
        let neighbour = GradientInputs {
            unit: UnitId {
                index: inputs.unit.index ^ 1,
                ..inputs.unit
            },
            ..inputs.clone()
        };
        Ok(Payload {
            unit: inputs.unit,
            ..gradient::execute(&neighbour, device)?
        })
    }
}
