//! The end of sequence never comes.

use crate::{Adversary, Target, Unit, unit::best_two};
use engine::Generation;
use environment::END_OF_SEQUENCE;
use miner::{ExecuteError, rollout::Draw};

/// See the module.
#[derive(Debug)]
pub(super) struct Padder;

impl Adversary for Padder {
    fn name(&self) -> &'static str {
        "padder"
    }
    fn description(&self) -> &'static str {
        "Never ends a response before the limit, where work is paid by the token."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Rollout]
    }
    fn generate(&self, unit: &Unit<'_>, draw: &Draw<'_>) -> Result<Vec<Generation>, ExecuteError> {
        let prompts = draw.prompts.iter().zip(&draw.seeds);
        let padded = prompts.flat_map(|(prompt, seeds)| {
            seeds.iter().map(|seed| {
                unit.steered(prompt, seed, |scores, _| match best_two(scores) {
                    ((END_OF_SEQUENCE, _), (second, _)) => second,
                    ((best, _), _) => best,
                })
            })
        });
        padded.collect()
    }
}
