//! Lets its turn to propose pass when it dislikes the beacon.

use super::Conduct;
use crate::{Adversary, Target};

/// See the module.
#[derive(Debug)]
pub(super) struct BeaconWithhold;

impl Adversary for BeaconWithhold {
    fn name(&self) -> &'static str {
        "beacon-withhold"
    }
    fn description(&self) -> &'static str {
        "Proposes no block where its randomness would give a beacon that it dislikes."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Conduct]
    }
    fn conduct(&self) -> Conduct {
        Conduct::WithholdsBlock
    }
}
