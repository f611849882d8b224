//! A recipe of its own for what updates lost, in which it believes.

use crate::{Adversary, Target};
use protocol::{
    Micro,
    recipe::{Recipe, UpdateForm},
};

/// Its first update is right, for nothing was lost before. Where updates are dense nothing is
/// lost, and it is honest.
#[derive(Debug)]
pub(super) struct OwnDecay;

impl Adversary for OwnDecay {
    fn name(&self) -> &'static str {
        "own-decay"
    }
    fn description(&self) -> &'static str {
        "Forgets half of what its sparse updates lost, appeals, and disputes every value."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Gradient]
    }
    fn recipe(&self, recipe: &Recipe) -> Recipe {
        let mut own = recipe.clone();
        if let UpdateForm::Sparse { feedback_decay } = &mut own.pretrain.update {
            *feedback_decay = Micro::new(500_000);
        }
        own
    }
}
