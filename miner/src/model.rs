//! From the integers of a recipe to the numbers of the engine.

use crate::ExecuteError;
pub use engine::schedule::{ADAM_EPSILON, BETA1, NORM_EPSILON};
use engine::{
    Family, Layout, ModelConfig, Parameters, RopeScaling,
    schedule::of_micro,
    trainer::{OuterOptimizer, OuterState, Robustness, file},
};
use protocol::{
    BlobId, Micro, Step,
    recipe::{Aggregation, ModelShape, Phase, Recipe},
};

/// A recipe's number as the engine uses it.
#[must_use]
pub fn number(micro: Micro) -> f32 {
    of_micro(micro.get())
}

/// The engine's description of a model shape.
///
/// # Errors
/// When the engine cannot run it.
pub fn config(shape: &ModelShape) -> Result<ModelConfig, ExecuteError> {
    let &ModelShape {
        vocab_size,
        hidden_size,
        intermediate_size,
        layers_count,
        heads_count,
        key_value_heads_count,
        head_dim,
        rope_theta,
        positions_max,
    } = shape;
    #[expect(clippy::cast_precision_loss, reason = "rounds to nearest")]
    let rope_theta = rope_theta as f32;
    let config = ModelConfig {
        family: Family::Llama,
        vocab_size: vocab_size as usize,
        hidden_size: hidden_size as usize,
        intermediate_size: intermediate_size as usize,
        num_hidden_layers: layers_count as usize,
        num_attention_heads: heads_count as usize,
        num_key_value_heads: key_value_heads_count as usize,
        head_dim: head_dim as usize,
        rms_norm_eps: NORM_EPSILON,
        rope_theta,
        rope_scaling: RopeScaling::Default,
        max_position_embeddings: positions_max as usize,
        tie_word_embeddings: true,
    };
    config.validate()?;
    Ok(config)
}

/// How many parameters the recipe's model has.
///
/// # Errors
/// When the engine cannot run it.
pub fn parameters_count(recipe: &Recipe) -> Result<usize, ExecuteError> {
    Ok(Layout::new(&config(&recipe.model)?).length())
}

/// The weights of checkpoint 0, which follow from the recipe alone.
///
/// # Errors
/// When the engine cannot run the recipe's model, or the recipe names other weights.
pub fn initial_model(recipe: &Recipe) -> Result<Parameters, ExecuteError> {
    let model = drawn(recipe)?;
    let Some(expected) = recipe.initial_weights else {
        return Ok(model);
    };
    let found = name(&model);
    if found != expected {
        return Err(ExecuteError::InitialWeights { found, expected });
    }
    Ok(model)
}

/// The name of the weights that a recipe's seed gives.
///
/// # Errors
/// When the engine cannot run the recipe's model.
pub fn initial_weights(recipe: &Recipe) -> Result<BlobId, ExecuteError> {
    drawn(recipe).map(|model| name(&model))
}

fn drawn(recipe: &Recipe) -> Result<Parameters, ExecuteError> {
    let config = config(&recipe.model)?;
    Ok(Parameters::initialize(&config, *recipe.seed.as_bytes()))
}

fn name(model: &Parameters) -> BlobId {
    BlobId::from_bytes(file::name(model.as_slice()))
}

/// The outer optimiser's state of checkpoint 0.
///
/// # Errors
/// When the engine cannot run the recipe's model.
pub fn initial_outer(recipe: &Recipe) -> Result<OuterState, ExecuteError> {
    let config = config(&recipe.model)?;
    Ok(OuterState::new(
        &outer_optimizer(recipe, Step::ZERO),
        &config,
    ))
}

/// The rule by which the gradients of `step` move the model. After the last step it stays that of
/// the recipe's last part.
#[must_use]
pub fn outer_optimizer(recipe: &Recipe, step: Step) -> OuterOptimizer {
    match recipe.phase(step) {
        Some(Phase::Pretrain) => OuterOptimizer::Nesterov {
            lr: number(recipe.pretrain.outer_learning_rate),
            momentum: number(recipe.pretrain.outer_momentum),
        },
        Some(Phase::Reinforce) | None => OuterOptimizer::AdamW {
            lr: reinforce_rate(recipe, step),
            beta1: BETA1,
            beta2: number(recipe.reinforce.beta2),
            eps: ADAM_EPSILON,
            weight_decay: 0.0,
            clip_norm: number(recipe.reinforce.gradient_norm_max),
        },
    }
}

/// How far an update may pull the aggregate.
#[must_use]
pub const fn robustness(recipe: &Recipe) -> Robustness {
    let Aggregation {
        norm_max,
        norm_ratio,
        weight_cap,
        center_ratio,
        center_rounds_count,
    } = &recipe.aggregation;
    Robustness {
        norm_max: norm_max.get(),
        norm_ratio: norm_ratio.get(),
        weight_cap: weight_cap.get(),
        center_ratio: center_ratio.get(),
        center_rounds_count: *center_rounds_count,
    }
}

/// The learning rate of a reinforcement step: the n-th of N such steps (from 1) has the peak rate
/// times `min(1, n / warmup)`, and after the warm-up
/// `1 - (1 - final) (n - warmup) / (N - warmup)`; all in f64, rounded once.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "counts are far below 2^53; the rate is rounded to f32 on purpose"
)]
fn reinforce_rate(recipe: &Recipe, step: Step) -> f32 {
    let reinforce = &recipe.reinforce;
    let total = reinforce.steps_count;
    let position = step
        .saturating_sub(recipe.pretrain.steps_count)
        .next()
        .get()
        .min(total);
    let warmup = reinforce.warmup_steps_count;
    let factor = if position < warmup {
        position as f64 / warmup as f64
    } else {
        let last = reinforce.final_rate.get() as f64 / 1e6;
        let passed = position.saturating_sub(warmup) as f64;
        1.0 - (1.0 - last) * passed / total.saturating_sub(warmup).max(1) as f64
    };
    (reinforce.learning_rate.get() as f64 / 1e6 * factor) as f32
}

/// Nats as millionths, rounded to nearest, ties to even; nothing for what is not finite.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    reason = "a float that is converted saturates, and no loss comes near"
)]
pub(crate) fn micro_of(nats: f64) -> Option<i64> {
    nats.is_finite()
        .then(|| (nats * 1e6).round_ties_even() as i64)
}

#[cfg(test)]
mod tests;
