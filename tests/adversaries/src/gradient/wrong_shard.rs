//! The whole work, on data that nobody dealt.

use crate::{Adversary, Seals, Target};
use engine::Device;
use miner::{
    ExecuteError, GradientInputs, World,
    gradient::{self, Work},
};
use protocol::task::UnitId;

/// In reinforcement learning it is honest: what it learns from are accepted rollouts, by hash.
#[derive(Debug)]
pub(super) struct WrongShard;

impl Adversary for WrongShard {
    fn name(&self) -> &'static str {
        "wrong-shard"
    }
    fn description(&self) -> &'static str {
        "Pre-trains on rows of its own choice instead of those that the beacon dealt."
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
        let chosen = GradientInputs {
            unit: UnitId {
                index: inputs.unit.index ^ (1 << 16),
                ..inputs.unit
            },
            ..inputs.clone()
        };
        let learned = gradient::learn(&chosen, &World::of(inputs.recipe)?, keep, device)?;
        learned.sealed(inputs, salts)
    }
}
