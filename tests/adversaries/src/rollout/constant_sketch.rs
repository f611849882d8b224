//! A constant polynomial: the value that most activations of a trained model are near.

use super::forged;
use crate::{Adversary, Target, Unit};
use miner::ExecuteError;
use protocol::rollout::Sections;

/// 2.0 as bf16.
const TYPICAL: u16 = 0x4000;

/// See the module.
#[derive(Debug)]
pub(super) struct ConstantSketch;

impl Adversary for ConstantSketch {
    fn name(&self) -> &'static str {
        "constant-sketch"
    }
    fn description(&self) -> &'static str {
        "Draws the right tokens and proves one typical activation everywhere."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Rollout]
    }
    fn prove(&self, _: &Unit<'_>, sections: Sections) -> Result<Sections, ExecuteError> {
        forged(sections, |bytes| {
            bytes.iter_mut().skip(2).for_each(|byte| *byte = 0);
            if let Some(constant) = bytes.get_mut(2..4) {
                constant.copy_from_slice(&TYPICAL.to_be_bytes());
            }
        })
    }
}
