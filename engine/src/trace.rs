//! The trace of an inner step, or of a part of a reinforcement unit ([`PolicyPart`]): every number
//! on its way, for whoever must show where another went wrong.
//!
//! [`engine_trace`] defines the numbers and the dispute about them; here the engine's models and
//! batches become its words, and its kernels compute the large products. A step is taken in a
//! trace only where it is disputed: it computes the same bits as [`InnerState::step`], more slowly,
//! and keeps all of them.
//!
//! [`InnerState::step`]: crate::trainer::InnerState::step

mod products;
mod reinforce;

pub use reinforce::PolicyPart;

use crate::arithmetic::threads::Threads;
use crate::trainer::inner::warmup;
use crate::trainer::{Batch, InnerOptions, InnerState};
use crate::{Family, InputError, ModelConfig};
use engine_trace::schedule::correction;
use engine_trace::{Kind, Model, Numbers, Optimiser, Part, Program, Step, Tensor};
pub use engine_trace::{Trace, clip, dispute, plan, tokens, tree};
use products::Products;

/// A model's shape in the words of a trace.
#[must_use]
pub fn model(config: &ModelConfig) -> Model {
    Model {
        vocab_size: config.vocab_size as u64,
        hidden_size: config.hidden_size as u64,
        intermediate_size: config.intermediate_size as u64,
        layers_count: u32::try_from(config.num_hidden_layers).unwrap_or(u32::MAX),
        heads_count: config.num_attention_heads as u64,
        key_heads_count: config.num_key_value_heads as u64,
        head_dim: config.head_dim as u64,
        eps: config.rms_norm_eps,
        rope_theta: config.rope_theta,
        rope_scaling: config.rope_scaling,
        has_biases: config.family == Family::Qwen2,
        has_head_norms: config.family == Family::Qwen3,
        is_tied: config.tie_word_embeddings,
    }
}

/// The numbers of the optimiser in the step after `step_count` steps.
#[must_use]
pub fn optimiser(options: &InnerOptions, step_count: u64) -> Optimiser {
    let adamw = &options.adamw;
    let step = step_count.saturating_add(1);
    Optimiser {
        lr: adamw.lr * warmup(options, step_count),
        beta1: adamw.beta1,
        beta2: adamw.beta2,
        eps: adamw.eps,
        decay: adamw.weight_decay,
        correction1: correction(adamw.beta1, step),
        correction2: correction(adamw.beta2, step),
        norm_max: options.clip_norm,
    }
}

/// The program of the step after `state`.
#[must_use]
pub fn program(
    config: &ModelConfig,
    step_count: u64,
    parts: &[Batch],
    options: &InnerOptions,
) -> Program {
    let part = |batch: &Batch| Part {
        sequences_count: (batch.tokens.len() / batch.length.max(1)) as u64,
        length: batch.length as u64,
    };
    Program::new(Step {
        model: model(config),
        parts: parts.iter().map(part).collect(),
        optimiser: optimiser(options, step_count),
    })
}

/// Takes the step after `state` and keeps every number on the way.
///
/// # Errors
/// A batch the model cannot take.
pub fn trace(
    state: &InnerState,
    parts: &[Batch],
    options: &InnerOptions,
    threads: &Threads,
) -> Result<Trace, InputError> {
    let config = state.parameters.config();
    for part in parts {
        part.check(config.vocab_size)?;
        for (index, tokens) in part.tokens.chunks_exact(part.length).enumerate() {
            crate::transformer::pass::check(config, index, tokens)?;
        }
    }
    let program = program(config, state.moments.step_count, parts, options);
    let given = |tensor: Tensor| {
        let part = &parts[tensor.part];
        match tensor.kind {
            Kind::Weights => Numbers::Single(state.parameters.as_slice().to_vec()),
            Kind::FirstMoment => Numbers::Single(state.moments.m.clone()),
            Kind::SecondMoment => Numbers::Single(state.moments.v.clone()),
            Kind::Tokens => Numbers::Word(part.tokens.clone()),
            Kind::Targets => Numbers::Word(part.targets.clone()),
            _ => Numbers::Single(part.weights.clone()),
        }
    };
    Trace::new(program, given, &mut Products::new(threads)).map_err(|_| InputError::Batch {
        tokens: parts.iter().map(|part| part.tokens.len()).sum(),
        targets: parts.iter().map(|part| part.targets.len()).sum(),
        weights: parts.iter().map(|part| part.weights.len()).sum(),
        length: parts.first().map_or(0, |part| part.length),
    })
}

#[cfg(test)]
mod tests;
