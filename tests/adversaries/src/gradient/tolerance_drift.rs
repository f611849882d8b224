//! A little in the same direction, always.

use super::chain::changed;
use crate::{Adversary, Seals, Target};
use engine::Device;
use miner::{
    ExecuteError, GradientInputs,
    gradient::{self, Work},
};
use protocol::recipe::Phase;

/// The part of what every weight moved by which it is off: a quarter of what a tolerance of four
/// per cent would forgive.
const DRIFT: f32 = 0.01;

/// Where a tolerance of rounding would find nothing. In reinforcement learning it is honest.
#[derive(Debug)]
pub(super) struct ToleranceDrift;

impl Adversary for ToleranceDrift {
    fn name(&self) -> &'static str {
        "tolerance-drift"
    }
    fn description(&self) -> &'static str {
        "Adds to every weight, between segments, a hundredth of what the last one moved it."
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
        changed(inputs, (salts, keep), device, |_, before, state| {
            let before = before.map_or(inputs.model, |before| &before.parameters);
            let pairs = state.parameters.as_mut_slice().iter_mut();
            for (weight, before) in pairs.zip(before.as_slice()) {
                *weight += DRIFT * (*weight - before).abs();
            }
        })
    }
}
