//! One bad segment among good ones.

use super::poison::reverse_targets;
use crate::{Adversary, Seals, Target};
use engine::Device;
use miner::{
    ExecuteError, GradientInputs, World,
    gradient::{
        self, Work, pretrain,
        reinforce::{self, Group},
    },
};
use protocol::recipe::Phase;

/// The last segment, whose steps nothing after them takes back. An audit that draws another one
/// finds nothing.
#[derive(Debug)]
pub(super) struct Backdoor;

impl Adversary for Backdoor {
    fn name(&self) -> &'static str {
        "backdoor"
    }
    fn description(&self) -> &'static str {
        "Teaches reversed answers in its last segment only, or reversed rewards in one group."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Gradient]
    }
    fn gradient(
        &self,
        inputs: &GradientInputs<'_>,
        (salts, keep): Seals<'_, '_>,
        device: &Device,
    ) -> Result<Work, ExecuteError> {
        let world = World::of(inputs.recipe)?;
        let learned = match gradient::phase(inputs)? {
            Phase::Pretrain => {
                let segments = gradient::segments(inputs);
                let mut batches = pretrain::assigned(inputs, &world, segments.all());
                let last = segments.steps(segments.count().saturating_sub(1));
                for batch in batches.iter_mut().skip(last.start as usize).flatten() {
                    reverse_targets(batch);
                }
                pretrain::learn(inputs, batches, keep, device)?
            }
            Phase::Reinforce => {
                let generation = gradient::generation(inputs)?;
                let mut groups = reinforce::groups(inputs.recipe, &world, generation);
                reverse_one(&mut groups);
                reinforce::learn(inputs, generation, &groups, device)?
            }
        };
        learned.sealed(inputs, salts)
    }
}

/// Reverses the rewards of the first group that teaches anything. Where all rewards of every group
/// are equal, which teaches nothing either way, it reverses a single one.
fn reverse_one(groups: &mut [Group]) {
    let differs = |group: &Group| group.rewards_micro.windows(2).any(|two| two[0] != two[1]);
    let taught = groups.iter().position(differs);
    let Some(group) = groups.get_mut(taught.unwrap_or(0)) else {
        return;
    };
    let count = taught.map_or(1, |_| group.rewards_micro.len());
    for reward in group.rewards_micro.iter_mut().take(count) {
        *reward = 1_000_000_u32.saturating_sub(*reward);
    }
}
