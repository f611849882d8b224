//! Signs two commitments to one unit.

use super::Conduct;
use crate::{Adversary, Target};

/// See the module.
#[derive(Debug)]
pub(super) struct Equivocator;

impl Adversary for Equivocator {
    fn name(&self) -> &'static str {
        "equivocator"
    }
    fn description(&self) -> &'static str {
        "Shows one root to some nodes and another to others, to choose later."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Conduct]
    }
    fn conduct(&self) -> Conduct {
        Conduct::Equivocates
    }
}
