//! Steers by choosing among near ties, below what any tolerance can see in one token.

use crate::{Adversary, Target, Unit, unit::best_two};
use engine::Generation;
use miner::{ExecuteError, rollout::Draw};

/// Two tokens nearly tie when their scores differ by less than this, in nats.
const NEAR: f32 = 0.2;

/// See the module.
#[derive(Debug)]
pub(super) struct TieSteer;

impl Adversary for TieSteer {
    fn name(&self) -> &'static str {
        "tie-steer"
    }
    fn description(&self) -> &'static str {
        "Takes the second token wherever it nearly ties, to hide a message or a bias."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Rollout]
    }
    fn generate(&self, unit: &Unit<'_>, draw: &Draw<'_>) -> Result<Vec<Generation>, ExecuteError> {
        let prompts = draw.prompts.iter().zip(&draw.seeds);
        let steered = prompts.flat_map(|(prompt, seeds)| {
            seeds.iter().map(|seed| {
                unit.steered(prompt, seed, |scores, _| {
                    let ((best, score), (second, close)) = best_two(scores);
                    if score - close < NEAR { second } else { best }
                })
            })
        });
        steered.collect()
    }
}
