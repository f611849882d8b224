//! The same work on other questions.

use crate::{Adversary, Target, Unit};
use miner::{ExecuteError, rollout::Draw};

/// See the module.
#[derive(Debug)]
pub(super) struct PromptSwap;

impl Adversary for PromptSwap {
    fn name(&self) -> &'static str {
        "prompt-swap"
    }
    fn description(&self) -> &'static str {
        "Answers prompts of its own choice instead of the assigned ones."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Rollout]
    }
    fn draw(&self, unit: &Unit<'_>, draw: &mut Draw<'_>) -> Result<(), ExecuteError> {
        // Prompts that the task would give to groups which the unit does not have.
        let count = unit.inputs.recipe.reinforce.groups_per_unit_count;
        let others = (0..count).map(|group| unit.world.prompt(unit.inputs.task, group + count));
        draw.prompts = others.collect();
        Ok(())
    }
}
