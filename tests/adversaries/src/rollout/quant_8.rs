//! Weights rounded to 8 bits, one scale a row.

use super::quantized;
use crate::{Adversary, Target, Unit};
use miner::{ExecuteError, rollout::Draw};

/// See the module.
#[derive(Debug)]
pub(super) struct Quant8;

impl Adversary for Quant8 {
    fn name(&self) -> &'static str {
        "quant-8"
    }
    fn description(&self) -> &'static str {
        "Runs the model with weights of 8 bits, to save memory and time."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Rollout]
    }
    fn draw(&self, _: &Unit<'_>, draw: &mut Draw<'_>) -> Result<(), ExecuteError> {
        quantized(draw.model.to_mut(), None, 127.0);
        Ok(())
    }
}
