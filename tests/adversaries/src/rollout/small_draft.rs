//! A small cheap model draws the tokens, and its own activations are proven.

use crate::{Adversary, Target, Unit};
use engine::{ModelConfig, Parameters};
use miner::{ExecuteError, rollout::Draw};
use std::borrow::Cow;

/// A model with the first layer only, and the right one's weights where it has them: the best draft
/// that costs a fraction.
pub(super) fn small(unit: &Unit<'_>) -> Parameters {
    let full = unit.inputs.model;
    let config = ModelConfig {
        num_hidden_layers: 1,
        ..full.config().clone()
    };
    let mut small = Parameters::initialize(&config, [0; 32]);
    let ranges = small.layout().tensors().iter().map(|to| {
        let from = full.layout().tensor(&to.name).map(engine::Tensor::range);
        (to.range(), from)
    });
    let ranges: Vec<_> = ranges.collect();
    for (to, from) in ranges {
        let from = from.and_then(|from| full.as_slice().get(from));
        if let (Some(to), Some(from)) = (small.as_mut_slice().get_mut(to), from)
            && to.len() == from.len()
        {
            to.copy_from_slice(from);
        }
    }
    small
}

/// See the module.
#[derive(Debug)]
pub(super) struct SmallDraft;

impl Adversary for SmallDraft {
    fn name(&self) -> &'static str {
        "small-draft"
    }
    fn description(&self) -> &'static str {
        "Runs a model of one layer in place of the right one, and proves its activations."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Rollout]
    }
    fn draw(&self, unit: &Unit<'_>, draw: &mut Draw<'_>) -> Result<(), ExecuteError> {
        draw.model = Cow::Owned(small(unit));
        Ok(())
    }
}
