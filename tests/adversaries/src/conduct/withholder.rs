//! Binds a blob that nobody gets.

use super::Conduct;
use crate::{Adversary, Target};

/// See the module.
#[derive(Debug)]
pub(super) struct Withholder;

impl Adversary for Withholder {
    fn name(&self) -> &'static str {
        "withholder"
    }
    fn description(&self) -> &'static str {
        "Binds its work and serves it to nobody, so that nobody can judge it."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Conduct]
    }
    fn conduct(&self) -> Conduct {
        Conduct::WithholdsBlob
    }
}
