//! Covers for those who pay it: nothing that it finds is said.

use super::claimed;
use crate::{Adversary, Target};
use protocol::{task::UnitId, verdict::Verdict};

/// See the module.
#[derive(Debug)]
pub(super) struct ColludeOk;

impl Adversary for ColludeOk {
    fn name(&self) -> &'static str {
        "collude-ok"
    }
    fn description(&self) -> &'static str {
        "Looks, then accepts whatever it saw, for a share of the gain."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Audit]
    }
    fn verdict(&self, unit: UnitId, judge: &mut dyn FnMut() -> Verdict) -> Option<Verdict> {
        judge();
        claimed(unit, 0)
    }
}
