//! One piece of work, paid twice: prompts and seeds bind the unit.

use crate::{Adversary, Target, Unit};
use engine::Generation;
use miner::{ExecuteError, RolloutInputs, rollout::Draw};
use protocol::task::{RolloutTask, UnitId};

/// See the module.
#[derive(Debug)]
pub(super) struct Replayer;

impl Adversary for Replayer {
    fn name(&self) -> &'static str {
        "replayer"
    }
    fn description(&self) -> &'static str {
        "Sends an earlier unit of its own again, for double pay."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Rollout]
    }
    fn generate(&self, unit: &Unit<'_>, _: &Draw<'_>) -> Result<Vec<Generation>, ExecuteError> {
        let task = &unit.inputs.task;
        let earlier = RolloutTask {
            unit: UnitId {
                index: task.unit.index ^ 1,
                ..task.unit
            },
            ..RolloutTask::clone(task)
        };
        let inputs = RolloutInputs {
            task: &earlier,
            ..*unit.inputs
        };
        Draw::assigned(&inputs, &unit.world).generate(&unit.world, unit.device)
    }
}
