//! Never opens what it sealed.

use super::Conduct;
use crate::{Adversary, Target};

/// See the module.
#[derive(Debug)]
pub(super) struct SilentOpener;

impl Adversary for SilentOpener {
    fn name(&self) -> &'static str {
        "silent-opener"
    }
    fn description(&self) -> &'static str {
        "Lets its seals stay closed, so that nobody sees whether they hide the truth."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Conduct]
    }
    fn conduct(&self) -> Conduct {
        Conduct::WithholdsOpening
    }
}
