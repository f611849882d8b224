//! A colder draw under the right seed.

use crate::{Adversary, Target, Unit};
use engine::Sampling;
use miner::{ExecuteError, rollout::Draw};

/// See the module.
#[derive(Debug)]
pub(super) struct Temperature;

impl Adversary for Temperature {
    fn name(&self) -> &'static str {
        "temperature"
    }
    fn description(&self) -> &'static str {
        "Draws at seven tenths of the temperature, for better-looking rewards."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Rollout]
    }
    fn draw(&self, unit: &Unit<'_>, draw: &mut Draw<'_>) -> Result<(), ExecuteError> {
        draw.sampling = Sampling::Gumbel {
            temperature: unit.temperature() * 0.7,
        };
        Ok(())
    }
}
