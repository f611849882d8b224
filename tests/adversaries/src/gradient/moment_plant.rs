//! An update that nobody computed, smuggled through the optimiser's memory.

use super::chain::changed;
use crate::{Adversary, Seals, Target};
use engine::Device;
use miner::{
    ExecuteError, GradientInputs,
    gradient::{self, Work},
};
use protocol::recipe::Phase;

/// How many times over the first moments are turned around.
const TIMES: f32 = -8.0;

/// Every step is honest but for what the second segment starts from: moments that walk back what
/// the first has learned. In reinforcement learning there are none.
#[derive(Debug)]
pub(super) struct MomentPlant;

impl Adversary for MomentPlant {
    fn name(&self) -> &'static str {
        "moment-plant"
    }
    fn description(&self) -> &'static str {
        "Trains honestly, from first moments that it planted after its first segment."
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
        if gradient::phase(inputs)? == Phase::Reinforce {
            return gradient::execute(inputs, salts, keep, device);
        }
        changed(inputs, (salts, keep), device, |boundary, _, state| {
            if boundary == 1 {
                state.moments.m.iter_mut().for_each(|m| *m *= TIMES);
            }
        })
    }
}
