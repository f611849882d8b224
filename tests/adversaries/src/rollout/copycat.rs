//! Another's work under one's own name: seeds bind the owner, so it is worth nothing.

use crate::{Adversary, Target, Unit};
use miner::{ExecuteError, rollout::Draw};
use protocol::{Address, task::RolloutTask};

/// See the module.
#[derive(Debug)]
pub(super) struct Copycat;

impl Adversary for Copycat {
    fn name(&self) -> &'static str {
        "copycat"
    }
    fn description(&self) -> &'static str {
        "Sends what another miner would draw for the unit, as if it had done the work."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Rollout]
    }
    fn draw(&self, unit: &Unit<'_>, draw: &mut Draw<'_>) -> Result<(), ExecuteError> {
        let [first, rest @ ..] = *unit.inputs.task.miner.as_bytes();
        let mut other = [first ^ 1; 32];
        other[1..].copy_from_slice(&rest);
        let task = RolloutTask {
            miner: Address::from_bytes(other),
            ..unit.inputs.task.clone()
        };
        for (group, seeds) in (0..).zip(&mut draw.seeds) {
            for (slot, seed) in (0..).zip(seeds) {
                *seed = task.sample_seed(group, slot);
            }
        }
        Ok(())
    }
}
