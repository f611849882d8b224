//! Temperature zero.

use crate::{Adversary, Target, Unit};
use engine::Sampling;
use miner::{ExecuteError, rollout::Draw};

/// See the module.
#[derive(Debug)]
pub(super) struct Greedy;

impl Adversary for Greedy {
    fn name(&self) -> &'static str {
        "greedy"
    }
    fn description(&self) -> &'static str {
        "Takes the likeliest token instead of the drawn one, for better-looking rewards."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Rollout]
    }
    fn draw(&self, _: &Unit<'_>, draw: &mut Draw<'_>) -> Result<(), ExecuteError> {
        draw.sampling = Sampling::Greedy;
        Ok(())
    }
}
