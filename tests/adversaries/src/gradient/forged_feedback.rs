//! What an update is said to have lost, and did not lose.

use crate::{Adversary, Seals, Target};
use engine::Device;
use miner::{
    ExecuteError, GradientInputs,
    gradient::{self, Work},
};

/// How many times over what was lost is bound.
const TIMES: f32 = -4.0;

/// The unit's own update is right; the next one would send what this one planted. Where updates are
/// dense nothing is lost, and it is honest.
#[derive(Debug)]
pub(super) struct ForgedFeedback;

impl Adversary for ForgedFeedback {
    fn name(&self) -> &'static str {
        "forged-feedback"
    }
    fn description(&self) -> &'static str {
        "Sends the right sparse update, binds four times the opposite of what it lost, appeals."
    }
    fn insists(&self) -> bool {
        true
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
        let mut work = gradient::execute(inputs, salts, keep, device)?;
        let lost = work.lost.iter_mut().flatten();
        lost.for_each(|value| *value *= TIMES);
        Ok(work)
    }
}
