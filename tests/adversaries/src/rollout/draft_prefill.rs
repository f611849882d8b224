//! A small model draws, and the right model only reads: what proofs of activations cannot see.

use super::small_draft::small;
use crate::{Adversary, Target, Unit};
use engine::Generation;
use miner::{ExecuteError, rollout::Draw};
use std::borrow::Cow;

/// See the module.
#[derive(Debug)]
pub(super) struct DraftPrefill;

impl Adversary for DraftPrefill {
    fn name(&self) -> &'static str {
        "draft-prefill"
    }
    fn description(&self) -> &'static str {
        "Draws tokens with a small model, then proves the right activations on them."
    }
    fn targets(&self) -> &'static [Target] {
        &[Target::Rollout]
    }
    fn generate(&self, unit: &Unit<'_>, draw: &Draw<'_>) -> Result<Vec<Generation>, ExecuteError> {
        let small = Draw {
            model: Cow::Owned(small(unit)),
            ..draw.clone()
        };
        let drafts = small.generate(&unit.world, unit.device)?;
        let prompts = draw
            .prompts
            .iter()
            .zip(drafts.chunks(unit.samples_per_group()));
        let read = prompts.flat_map(|(prompt, drafts)| {
            drafts
                .iter()
                .map(|draft| unit.fed(&draw.model, prompt, draft.tokens.clone()))
        });
        read.collect()
    }
}
