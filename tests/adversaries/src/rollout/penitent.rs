//! Saves work until somebody notices, and is honest from then on.

use super::quantized;
use crate::{Adversary, Past, Target, Unit};
use miner::{ExecuteError, rollout::Draw};

/// See the module.
#[derive(Debug)]
pub(super) struct Penitent;

impl Adversary for Penitent {
    fn name(&self) -> &'static str {
        "penitent"
    }
    fn description(&self) -> &'static str {
        "Runs the model with weights of 4 bits until a unit of its own is convicted or not paid, \
         then does honest work, to keep its bond."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Rollout]
    }
    fn dares(&self, past: Past) -> bool {
        past == Past::default()
    }
    fn draw(&self, _: &Unit<'_>, draw: &mut Draw<'_>) -> Result<(), ExecuteError> {
        quantized(draw.model.to_mut(), Some(32), 7.0);
        Ok(())
    }
}
