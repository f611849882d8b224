//! Drawn, and silent.

use crate::{Adversary, Target};
use protocol::{task::UnitId, verdict::Verdict};

/// See the module.
#[derive(Debug)]
pub(super) struct SilentWinner;

impl Adversary for SilentWinner {
    fn name(&self) -> &'static str {
        "silent-winner"
    }
    fn description(&self) -> &'static str {
        "Says nothing about the units that it is to audit, so that they go unseen."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Audit]
    }
    fn verdict(&self, _: UnitId, _: &mut dyn FnMut() -> Verdict) -> Option<Verdict> {
        None
    }
}
