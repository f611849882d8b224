//! Pre-training units: H steps of `AdamW` from the checkpoint, over rows that the beacon draws.
//!
//! An inner batch has two parts of different length, corpus rows and demonstrations; both add to
//! one gradient, which is divided by the number of tokens that carried loss. Of a demonstration
//! only the answer carries loss: the prompt is chance, and there is nothing to learn about it.
//! Measured with 0.62 million parameters on `sort-digits-8`, 14 steps of 4 units of 10 inner steps,
//! three seeds: 45, 61 and 45 % of held-out prompts answered exactly, against 20, 5 and 2 % with
//! loss on all tokens.

use super::{GradientInputs, Learned};
use crate::{
    ExecuteError, World,
    model::{ADAM_EPSILON, BETA1, micro_of, number},
};
use engine::{
    Device,
    trainer::{AdamW, Batch, InnerOptions},
};
use environment::{END_OF_SEQUENCE, Split};
use protocol::{
    recipe::Pretrain,
    task::{RowSource, row_seed},
};

/// The parts of one inner batch; empty parts are left out.
pub type Parts = Vec<Batch>;

/// The batches that the beacon assigns to the unit, in the order of inner steps.
pub fn assigned(inputs: &GradientInputs<'_>, world: &World) -> Vec<Parts> {
    (0..inputs.recipe.pretrain.inner_steps_count)
        .map(|inner_step| parts(inputs, world, inner_step))
        .collect()
}

fn parts(inputs: &GradientInputs<'_>, world: &World, inner_step: u32) -> Parts {
    let pretrain = &inputs.recipe.pretrain;
    let seed = |source, row| row_seed(inputs.beacon, inputs.unit, inner_step, source, row);
    let length = pretrain.corpus_row_tokens as usize;
    let runs: Vec<u32> = (0..pretrain.corpus_rows_count)
        .flat_map(|row| {
            let seed = seed(RowSource::Corpus, row);
            world.corpus.tokens(&seed, length, Split::Train)
        })
        .collect();
    let rows: Vec<Vec<u32>> = (0..pretrain.demonstration_rows_count)
        .map(|row| {
            let seed = seed(RowSource::Demonstration, row);
            world.environment.demonstration(&seed)
        })
        .collect();
    let corpus = Batch::next_token(&runs, length.saturating_sub(1));
    let demonstrations = demonstrations(&rows, world);
    let parts = [corpus, demonstrations].into_iter();
    parts.filter(|part| !part.tokens.is_empty()).collect()
}

/// Rows of equal length, padded with the end of sequence; loss on answers only.
fn demonstrations(rows: &[Vec<u32>], world: &World) -> Batch {
    let prompt = world.environment.prompt_tokens();
    let length = prompt + world.environment.response_tokens_max() - 1;
    let mut batch = Batch {
        tokens: Vec::new(),
        targets: Vec::new(),
        weights: Vec::new(),
        length,
    };
    for row in rows {
        for position in 0..length {
            let at = |index: usize| row.get(index).copied();
            let target = at(position + 1);
            let carries_loss = target.is_some() && position + 1 >= prompt;
            batch.tokens.push(at(position).unwrap_or(END_OF_SEQUENCE));
            batch.targets.push(target.unwrap_or(END_OF_SEQUENCE));
            batch.weights.push(if carries_loss { 1.0 } else { 0.0 });
        }
    }
    batch
}

/// Tokens of a batch that carry loss.
pub fn tokens_count(parts: &Parts) -> u32 {
    let weights = parts.iter().flat_map(|part| &part.weights);
    u32::try_from(weights.filter(|weight| **weight > 0.0).count()).unwrap_or(u32::MAX)
}

/// Takes one inner step on every batch and gives `theta_0 - theta_H`.
///
/// # Errors
/// A batch that the model cannot take, or a loss that is not finite.
pub fn learn(
    inputs: &GradientInputs<'_>,
    batches: impl IntoIterator<Item = Parts>,
    device: &Device,
) -> Result<Learned, ExecuteError> {
    let options = options(&inputs.recipe.pretrain);
    let mut training = device.train(inputs.model);
    let mut losses_micro = Vec::new();
    let mut tokens = 0_u32;
    for (inner_step, parts) in batches.into_iter().enumerate() {
        tokens = tokens.saturating_add(tokens_count(&parts));
        let loss = training.step(parts, &options)?;
        losses_micro.push(micro_of(loss.mean()).ok_or(ExecuteError::LossNotFinite { inner_step })?);
    }
    Ok(Learned {
        values: training.pseudo_gradient()?,
        tokens_count: tokens,
        losses_micro,
    })
}

/// The inner optimiser: fresh moments at the start of every unit.
fn options(pretrain: &Pretrain) -> InnerOptions {
    InnerOptions {
        adamw: AdamW {
            lr: number(pretrain.learning_rate),
            beta1: BETA1,
            beta2: number(pretrain.beta2),
            eps: ADAM_EPSILON,
            weight_decay: number(pretrain.weight_decay),
        },
        warmup_steps: pretrain.warmup_steps_count.into(),
        first_step: 0,
        clip_norm: number(pretrain.gradient_norm_max),
    }
}
