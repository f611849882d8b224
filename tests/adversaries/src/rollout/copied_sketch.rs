//! Proofs of the same model on other tokens.

use super::regrouped;
use crate::{Adversary, Target, Unit};
use miner::ExecuteError;
use protocol::rollout::Sections;

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
    fn prove(&self, _: &Unit<'_>, sections: Sections) -> Result<Sections, ExecuteError> {
        regrouped(sections, |mut group| {
            let mut proofs: Vec<_> = group.iter().map(|own| own.proofs.clone()).collect();
            proofs.rotate_left(1);
            for (section, proofs) in group.iter_mut().zip(proofs) {
                section.proofs = proofs;
            }
            Ok(group)
        })
    }
}
