//! The end of sequence comes first.

use crate::{Adversary, Target, Unit};
use engine::Generation;
use environment::END_OF_SEQUENCE;
use miner::{ExecuteError, rollout::Draw};

/// See the module.
#[derive(Debug)]
pub(super) struct Truncator;

impl Adversary for Truncator {
    fn name(&self) -> &'static str {
        "truncator"
    }
    fn description(&self) -> &'static str {
        "Ends every response after one token, to save the rest of the work."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Rollout]
    }
    fn generate(&self, unit: &Unit<'_>, draw: &Draw<'_>) -> Result<Vec<Generation>, ExecuteError> {
        let prompts = draw.prompts.iter().zip(&draw.seeds);
        let ended = prompts.flat_map(|(prompt, seeds)| {
            seeds
                .iter()
                .map(|_| unit.fed(&draw.model, prompt, vec![END_OF_SEQUENCE]))
        });
        ended.collect()
    }
}
