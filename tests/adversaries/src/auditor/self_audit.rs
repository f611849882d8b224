//! Judges its own work.

use super::claimed;
use crate::{Adversary, Target, Unit};
use engine::Sampling;
use miner::{ExecuteError, rollout::Draw};
use protocol::{task::UnitId, verdict::Verdict};

/// See the module.
#[derive(Debug)]
pub(super) struct SelfAudit;

impl Adversary for SelfAudit {
    fn name(&self) -> &'static str {
        "self-audit"
    }
    fn description(&self) -> &'static str {
        "Mines and audits under one holder, lies about rollouts, and accepts whatever it is asked."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Rollout, Target::Audit]
    }
    fn draw(&self, _: &Unit<'_>, draw: &mut Draw<'_>) -> Result<(), ExecuteError> {
        draw.sampling = Sampling::Greedy;
        Ok(())
    }
    fn verdict(&self, unit: UnitId, _: &mut dyn FnMut() -> Verdict) -> Option<Verdict> {
        claimed(unit, 0)
    }
}
