//! Accuses only the honest.

use super::claimed;
use crate::{Adversary, Target};
use protocol::{task::UnitId, verdict::Verdict};

/// See the module.
#[derive(Debug)]
pub(super) struct FalseAccuser;

impl Adversary for FalseAccuser {
    fn name(&self) -> &'static str {
        "false-accuser"
    }
    fn description(&self) -> &'static str {
        "Looks, then accuses those who did their work, to harm them."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Audit]
    }
    fn verdict(&self, unit: UnitId, judge: &mut dyn FnMut() -> Verdict) -> Option<Verdict> {
        let verdict = judge();
        if verdict.accepts() {
            claimed(unit, 1)
        } else {
            Some(verdict)
        }
    }
}
