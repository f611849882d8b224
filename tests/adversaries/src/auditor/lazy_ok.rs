//! Says yes and looks at nothing.

use super::claimed;
use crate::{Adversary, Target};
use protocol::{task::UnitId, verdict::Verdict};

/// See the module.
#[derive(Debug)]
pub(super) struct LazyOk;

impl Adversary for LazyOk {
    fn name(&self) -> &'static str {
        "lazy-ok"
    }
    fn description(&self) -> &'static str {
        "Accepts without looking, to be paid for audits that it does not do."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Audit]
    }
    fn verdict(&self, unit: UnitId, _: &mut dyn FnMut() -> Verdict) -> Option<Verdict> {
        claimed(unit, 0)
    }
}
