//! The environment is never asked.

use crate::{Adversary, Target, Unit, unit::altered};
use miner::ExecuteError;
use protocol::rollout::Payload;

/// See the module.
#[derive(Debug)]
pub(super) struct RewardLiar;

impl Adversary for RewardLiar {
    fn name(&self) -> &'static str {
        "reward-liar"
    }
    fn description(&self) -> &'static str {
        "Does the work, then claims the full reward for every sample."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Rollout]
    }
    fn send(&self, _: &Unit<'_>, payload: Payload) -> Result<Payload, ExecuteError> {
        altered(payload, |sample| sample.reward_micro = 1_000_000)
    }
}
