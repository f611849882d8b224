//! Only what went well is sent.

use crate::{Adversary, Target, Unit, unit::regrouped};
use miner::ExecuteError;
use protocol::rollout::Payload;

/// See the module.
#[derive(Debug)]
pub(super) struct DropLow;

impl Adversary for DropLow {
    fn name(&self) -> &'static str {
        "drop-low"
    }
    fn description(&self) -> &'static str {
        "Leaves out the samples that earned less than their group, to bias what is learned."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Rollout]
    }
    fn send(&self, _: &Unit<'_>, payload: Payload) -> Result<Payload, ExecuteError> {
        regrouped(payload, |_, mut samples| {
            let best = samples.iter().map(|sample| sample.reward_micro).max();
            let dropped = samples
                .iter()
                .position(|sample| Some(sample.reward_micro) < best)
                .unwrap_or_default();
            samples.remove(dropped);
            samples
        })
    }
}
