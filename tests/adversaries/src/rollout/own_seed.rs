//! Honest in all but the seed.

use crate::{Adversary, Target, Unit};
use miner::{ExecuteError, rollout::Draw};

/// See the module.
#[derive(Debug)]
pub(super) struct OwnSeed;

impl Adversary for OwnSeed {
    fn name(&self) -> &'static str {
        "own-seed"
    }
    fn description(&self) -> &'static str {
        "Draws with seeds of its own choice, so that it can pick the outcome."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Rollout]
    }
    fn draw(&self, _: &Unit<'_>, draw: &mut Draw<'_>) -> Result<(), ExecuteError> {
        for seed in draw.seeds.iter_mut().flatten() {
            seed[0] ^= 1;
        }
        Ok(())
    }
}
