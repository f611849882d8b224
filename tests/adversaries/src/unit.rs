//! A rollout unit as its adversary sees it, and what several of them do with one.

use engine::{Device, Finish, Generation, ModelConfig, Parameters, prefill, sampler};
use environment::END_OF_SEQUENCE;
use miner::{ExecuteError, RolloutInputs, World, model::number};
use protocol::{
    codec::BoundedVec,
    rollout::{Group, Payload, Sample},
};

/// A rollout unit, the world it is about, and what it is computed on.
#[derive(Clone, Copy, Debug)]
pub struct Unit<'a> {
    /// What the task assigns.
    pub inputs: &'a RolloutInputs<'a>,
    /// The recipe's environment.
    pub world: World,
    /// Where honest work runs.
    pub device: &'a Device,
}

impl Unit<'_> {
    /// The longest response.
    #[must_use]
    pub fn tokens_max(&self) -> usize {
        self.world.environment.response_tokens_max()
    }

    /// The recipe's sampling temperature.
    #[must_use]
    pub fn temperature(&self) -> f32 {
        number(self.inputs.recipe.reinforce.temperature)
    }

    /// The description of the assigned model.
    #[must_use]
    pub fn config(&self) -> &ModelConfig {
        self.inputs.model.config()
    }

    /// Samples of one prompt.
    #[must_use]
    pub fn samples_per_group(&self) -> usize {
        self.inputs.recipe.reinforce.samples_per_group_count.max(1) as usize
    }

    /// The rollout of these tokens after this prompt with the activations that `model` has on them,
    /// whoever drew them.
    ///
    /// # Errors
    /// Tokens that the model cannot take.
    pub fn fed(
        &self,
        model: &Parameters,
        prompt: &[u32],
        tokens: Vec<u32>,
    ) -> Result<Generation, ExecuteError> {
        let drawn = tokens.split_last().map_or(&[][..], |(_, fed)| fed);
        let fed = [prompt, drawn].concat();
        let pass = prefill(model, &[&fed], self.device.threads())?;
        Ok(Generation {
            finish: if tokens.last() == Some(&END_OF_SEQUENCE) {
                Finish::EndOfSequence
            } else {
                Finish::Cap
            },
            tokens,
            hidden: pass.into_iter().flat_map(|pass| pass.hidden).collect(),
        })
    }

    /// Draws a response in which `choose` picks every token from the scores that the seeded draw
    /// compares; the honest choice is the largest.
    ///
    /// # Errors
    /// A prompt that the model cannot take.
    pub fn steered(
        &self,
        prompt: &[u32],
        seed: &[u8; 32],
        mut choose: impl FnMut(&[f32], usize) -> u32,
    ) -> Result<Generation, ExecuteError> {
        let mut tokens = prompt.to_vec();
        let width = self.config().vocab_size;
        while tokens.len() < prompt.len() + self.tokens_max() {
            let passes = prefill(self.inputs.model, &[&tokens], self.device.threads())?;
            let logits = passes.first().map_or(&[][..], |pass| &pass.logits);
            let last = logits.chunks_exact(width).next_back().unwrap_or_default();
            let scores = sampler::scores(last, seed, tokens.len() as u64, self.temperature());
            let token = choose(&scores, tokens.len() - prompt.len());
            tokens.push(token);
            if token == END_OF_SEQUENCE {
                break;
            }
        }
        let response = tokens.split_off(prompt.len());
        self.fed(self.inputs.model, prompt, response)
    }
}

/// The two tokens with the largest scores, best first.
pub(crate) fn best_two(scores: &[f32]) -> ((u32, f32), (u32, f32)) {
    let mut best = (0, f32::NEG_INFINITY);
    let mut second = best;
    for (token, &score) in (0..).zip(scores) {
        if score > best.1 {
            second = std::mem::replace(&mut best, (token, score));
        } else if score > second.1 {
            second = (token, score);
        }
    }
    (best, second)
}

/// The payload with every group changed.
pub(crate) fn regrouped(
    payload: Payload,
    change: impl Fn(usize, Vec<Sample>) -> Vec<Sample>,
) -> Result<Payload, ExecuteError> {
    let groups = payload.groups.into_vec().into_iter().enumerate();
    let groups = groups.map(|(index, group)| {
        let samples = BoundedVec::new(change(index, group.samples.into_vec()))?;
        Ok(Group { samples })
    });
    Ok(Payload {
        groups: BoundedVec::new(groups.collect::<Result<_, ExecuteError>>()?)?,
        ..payload
    })
}

/// The payload with every sample changed.
pub(crate) fn altered(
    payload: Payload,
    change: impl Fn(&mut Sample),
) -> Result<Payload, ExecuteError> {
    regrouped(payload, |_, mut samples| {
        samples.iter_mut().for_each(&change);
        samples
    })
}
