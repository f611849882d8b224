//! Never fetches a checkpoint.

use crate::{Adversary, Seals, Target, Unit};
use engine::Device;
use miner::{
    ExecuteError, GradientInputs,
    gradient::{self, Work},
    model,
    rollout::Draw,
};
use std::borrow::Cow;

/// See the module.
#[derive(Debug)]
pub(super) struct StaleCheckpoint;

impl Adversary for StaleCheckpoint {
    fn name(&self) -> &'static str {
        "stale-checkpoint"
    }
    fn description(&self) -> &'static str {
        "Works from the first checkpoint for ever, to save the downloads."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Rollout, Target::Gradient]
    }
    fn draw(&self, unit: &Unit<'_>, draw: &mut Draw<'_>) -> Result<(), ExecuteError> {
        draw.model = Cow::Owned(model::initial_model(unit.inputs.recipe)?);
        Ok(())
    }
    fn gradient(
        &self,
        inputs: &GradientInputs<'_>,
        (salts, keep): Seals<'_, '_>,
        device: &Device,
    ) -> Result<Work, ExecuteError> {
        let first = model::initial_model(inputs.recipe)?;
        let stale = GradientInputs {
            model: &first,
            ..inputs.clone()
        };
        gradient::execute(&stale, salts, keep, device)
    }
}
