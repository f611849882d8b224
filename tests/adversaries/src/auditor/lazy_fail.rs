//! Says no and looks at nothing.

use super::claimed;
use crate::{Adversary, Target};
use protocol::{task::UnitId, verdict::Verdict};

/// See the module.
#[derive(Debug)]
pub(super) struct LazyFail;

impl Adversary for LazyFail {
    fn name(&self) -> &'static str {
        "lazy-fail"
    }
    fn description(&self) -> &'static str {
        "Rejects without looking, in the hope of a bounty."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Audit]
    }
    fn verdict(&self, unit: UnitId, _: &mut dyn FnMut() -> Verdict) -> Option<Verdict> {
        claimed(unit, 1)
    }
}
