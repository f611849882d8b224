//! Proofs of the same model on other tokens.

use crate::{Adversary, Target, Unit, unit::regrouped};
use miner::ExecuteError;
use protocol::rollout::Payload;

/// See the module.
#[derive(Debug)]
pub(super) struct CopiedSketch;

impl Adversary for CopiedSketch {
    fn name(&self) -> &'static str {
        "copied-sketch"
    }
    fn description(&self) -> &'static str {
        "Draws the right tokens and sends every sample its neighbour's proofs."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Rollout]
    }
    fn send(&self, _: &Unit<'_>, payload: Payload) -> Result<Payload, ExecuteError> {
        regrouped(payload, |_, mut samples| {
            let mut proofs: Vec<_> = samples.iter().map(|sample| sample.proofs.clone()).collect();
            proofs.rotate_left(1);
            for (sample, proofs) in samples.iter_mut().zip(proofs) {
                if proofs.as_slice().len() == sample.proofs.as_slice().len() {
                    sample.proofs = proofs;
                }
            }
            samples
        })
    }
}
