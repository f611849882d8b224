//! Proofs of the right length whose polynomial is zero.

use super::forged;
use crate::{Adversary, Target, Unit};
use miner::ExecuteError;
use protocol::rollout::Sections;

/// See the module.
#[derive(Debug)]
pub(super) struct ZeroSketch;

impl Adversary for ZeroSketch {
    fn name(&self) -> &'static str {
        "zero-sketch"
    }
    fn description(&self) -> &'static str {
        "Draws the right tokens and sends proofs of zeros."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Rollout]
    }
    fn prove(&self, _: &Unit<'_>, sections: Sections) -> Result<Sections, ExecuteError> {
        forged(sections, |bytes| {
            bytes.iter_mut().skip(2).for_each(|byte| *byte = 0);
        })
    }
}
