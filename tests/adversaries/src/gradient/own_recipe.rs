//! A recipe of its own, in which it believes.

use crate::{Adversary, Target};
use protocol::{Micro, recipe::Recipe};

/// See the module.
#[derive(Debug)]
pub(super) struct OwnRecipe;

impl Adversary for OwnRecipe {
    fn name(&self) -> &'static str {
        "own-recipe"
    }
    fn description(&self) -> &'static str {
        "Trains with settings that it prefers, appeals, and disputes every step."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Gradient]
    }
    fn recipe(&self, recipe: &Recipe) -> Recipe {
        let mut own = recipe.clone();
        own.pretrain.weight_decay = Micro::new(123_456);
        own.reinforce.advantage_floor = Micro::new(777_777);
        own
    }
}
