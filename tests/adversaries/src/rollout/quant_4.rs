//! Weights rounded to 4 bits, one scale for 32 of them.

use super::quantized;
use crate::{Adversary, Target, Unit};
use miner::{ExecuteError, rollout::Draw};

/// See the module.
#[derive(Debug)]
pub(super) struct Quant4;

impl Adversary for Quant4 {
    fn name(&self) -> &'static str {
        "quant-4"
    }
    fn description(&self) -> &'static str {
        "Runs the model with weights of 4 bits, to save memory and time."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Rollout]
    }
    fn draw(&self, _: &Unit<'_>, draw: &mut Draw<'_>) -> Result<(), ExecuteError> {
        quantized(draw.model.to_mut(), Some(32), 7.0);
        Ok(())
    }
}
