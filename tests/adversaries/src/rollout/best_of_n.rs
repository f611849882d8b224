//! Four tries a slot, of which only the best is shown.

use crate::{Adversary, Target, Unit};
use engine::Generation;
use miner::{ExecuteError, rollout::Draw};

/// See the module.
#[derive(Debug)]
pub(super) struct BestOfN;

impl Adversary for BestOfN {
    fn name(&self) -> &'static str {
        "best-of-n"
    }
    fn description(&self) -> &'static str {
        "Draws every sample four times and sends the best, to bias what is learned."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Rollout]
    }
    fn generate(&self, unit: &Unit<'_>, draw: &Draw<'_>) -> Result<Vec<Generation>, ExecuteError> {
        let mut best = draw.generate(&unit.world, unit.device)?;
        for attempt in 1..4 {
            let mut again = draw.clone();
            for seed in again.seeds.iter_mut().flatten() {
                seed[31] ^= attempt;
            }
            let tried = again.generate(&unit.world, unit.device)?;
            for (index, (best, tried)) in best.iter_mut().zip(tried).enumerate() {
                let prompt = &draw.prompts[index / unit.samples_per_group()];
                let reward = |tokens: &[u32]| unit.world.reward_micro(prompt, tokens);
                if reward(&tried.tokens) > reward(&best.tokens) {
                    *best = tried;
                }
            }
        }
        Ok(best)
    }
}
