//! Weights of half the size.

use crate::{Adversary, Target, Unit};
use engine::bf16_bits;
use miner::{ExecuteError, rollout::Draw};

/// See the module.
#[derive(Debug)]
pub(super) struct LowPrecision;

impl Adversary for LowPrecision {
    fn name(&self) -> &'static str {
        "low-precision"
    }
    fn description(&self) -> &'static str {
        "Runs the model with weights rounded to bf16, to save memory and time."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Rollout]
    }
    fn draw(&self, _: &Unit<'_>, draw: &mut Draw<'_>) -> Result<(), ExecuteError> {
        for value in draw.model.to_mut().as_mut_slice() {
            *value = f32::from_bits(u32::from(bf16_bits(*value)) << 16);
        }
        Ok(())
    }
}
