//! A lie that hides in the spread of honest work.

use super::VALUE_MAX;
use crate::{Adversary, Seals, Target};
use engine::Device;
use miner::{
    ExecuteError, GradientInputs, World,
    gradient::{self, Work},
};
use protocol::{recipe::Phase, task::UnitId};

/// Standard deviations by which every value is off.
const DEVIATIONS: f32 = 1.5;
/// Units whose results it compares.
const UNITS: u32 = 4;

/// ALIE (arXiv:1902.06156): the mean of honest results, every value off by less than they differ.
/// Others' results are estimated by doing units of its own making; in reinforcement learning it
/// has nothing to estimate from, and is honest.
#[derive(Debug)]
pub(super) struct LittleIsEnough;

impl Adversary for LittleIsEnough {
    fn name(&self) -> &'static str {
        "little-is-enough"
    }
    fn description(&self) -> &'static str {
        "Sends what honest miners would, every value off by one and a half of their deviations."
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
        let world = World::of(inputs.recipe)?;
        let mut learned = gradient::learn(inputs, &world, keep, device)?;
        if gradient::phase(inputs)? == Phase::Reinforce {
            return learned.sealed(inputs, salts);
        }
        let mut samples = vec![learned.values.clone()];
        for other in 1..UNITS {
            let unit = UnitId {
                index: inputs.unit.index ^ (other << 16),
                ..inputs.unit
            };
            let inputs = GradientInputs {
                unit,
                ..inputs.clone()
            };
            let other = gradient::learn(&inputs, &world, &mut gradient::forget, device)?;
            samples.push(other.values);
        }
        for (index, value) in learned.values.iter_mut().enumerate() {
            let own = samples.iter().map(|sample| sample[index]);
            let mean = own.clone().sum::<f32>() / UNITS as f32;
            let variance = own.map(|value| (value - mean).powi(2)).sum::<f32>() / UNITS as f32;
            let off = mean - DEVIATIONS * variance.sqrt();
            *value = off.clamp(-VALUE_MAX, VALUE_MAX);
        }
        learned.sealed(inputs, salts)
    }
}
