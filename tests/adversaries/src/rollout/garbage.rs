//! Random tokens, random activations: all pay, no work.

use crate::{Adversary, Target, Unit, noise};
use engine::{Finish, Generation};
use miner::{ExecuteError, rollout::Draw};

/// See the module.
#[derive(Debug)]
pub(super) struct Garbage;

impl Adversary for Garbage {
    fn name(&self) -> &'static str {
        "garbage"
    }
    fn description(&self) -> &'static str {
        "Sends random tokens and random proofs without running any model."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Rollout]
    }
    fn generate(&self, unit: &Unit<'_>, draw: &Draw<'_>) -> Result<Vec<Generation>, ExecuteError> {
        let groups = draw.prompts.iter().zip(&draw.seeds);
        let made_up = groups.flat_map(|(prompt, seeds)| {
            let rows = prompt.len() + unit.tokens_max() - 1;
            seeds.iter().map(move |seed| {
                let mut noise = noise(seed);
                let digits = noise.by_ref().map(|byte| u32::from(b'0' + byte % 10));
                let tokens = digits.take(unit.tokens_max()).collect();
                let values = noise.map(|byte| f32::from(byte) / 64.0 - 2.0);
                Generation {
                    tokens,
                    finish: Finish::Cap,
                    hidden: values.take(rows * unit.config().hidden_size).collect(),
                }
            })
        });
        Ok(made_up.collect())
    }
}
