//! Proofs that need no work on the unit: the mean activations of an earlier one, place by place.

use crate::{Adversary, Target, Unit};
use engine::Generation;
use miner::{ExecuteError, rollout::Draw};

/// The mean of what was seen at each of the first `length` values.
fn typical(seen: &[Generation], length: usize) -> Vec<f32> {
    let longest = seen.iter().max_by_key(|rollout| rollout.hidden.len());
    let mean = |index: usize| {
        let values = seen.iter().filter_map(|rollout| rollout.hidden.get(index));
        let (sum, count) =
            values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
        if count > 0.0 { sum / count } else { 0.0 }
    };
    let width = longest.map_or(0, |rollout| rollout.hidden.len());
    (0..length)
        .map(|index| mean(index.min(width.saturating_sub(1))))
        .collect()
}

/// See the module.
#[derive(Debug)]
pub(super) struct ForgedSketch;

impl Adversary for ForgedSketch {
    fn name(&self) -> &'static str {
        "forged-sketch"
    }
    fn description(&self) -> &'static str {
        "Draws the right tokens and proves the activations that are typical at each position."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Rollout]
    }
    fn generate(&self, unit: &Unit<'_>, draw: &Draw<'_>) -> Result<Vec<Generation>, ExecuteError> {
        let mut earlier = draw.clone();
        for seed in earlier.seeds.iter_mut().flatten() {
            seed[0] ^= 0x80;
        }
        // Other prompts as well, or the first chunk would be right.
        let groups_count = unit.inputs.recipe.reinforce.groups_per_unit_count;
        let others = (0..groups_count).map(|group| {
            let other = group + groups_count;
            unit.world.prompt(unit.inputs.task, other)
        });
        earlier.prompts = others.collect();
        let seen = earlier.generate(&unit.world, unit.device)?;
        let mut rollouts = draw.generate(&unit.world, unit.device)?;
        for rollout in &mut rollouts {
            rollout.hidden = typical(&seen, rollout.hidden.len());
        }
        Ok(rollouts)
    }
}
