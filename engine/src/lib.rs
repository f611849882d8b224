//! The exact engine: the same bits on every machine.
//!
//! A network that pays for computation must know what the right answer is. So this engine has no
//! noise: forward, backward, sampling and optimiser steps give the same bits on every
//! instruction set, with any number of threads, in any batch, and whether tokens are decoded one
//! at a time from a cache or all at once. An honest rollout therefore re-checks with a margin of
//! exactly 0, and a gradient unit with an equal hash.
//!
//! The flow, bottom up:
//!
//! - [`arithmetic`] fixes the order of every operation: matrix products are left folds of fused
//!   multiply-adds, reductions are 16 lanes and a tree, exp and log are polynomials of our own;
//! - [`transformer`](ModelConfig) is a decoder of the Llama, Qwen2 or Qwen3 family, with
//!   hand-written forward and backward passes: [`generate`], [`prefill`], [`logprobs`];
//! - [`sampler`] draws tokens by seeded Gumbel-max;
//! - [`trainer`] has the losses, `AdamW`, `DiLoCo`'s inner loop, compression, order-free
//!   aggregation and the outer step;
//! - `weights` writes and reads canonical safetensors files ([`Parameters::to_safetensors`]) and
//!   Hugging Face directories ([`Parameters::from_directory`]).
//!
//! It knows no chain and imports nothing of the project's.
//!
//! ```
//! use engine::{Family, GenerationOptions, GenerationRequest, ModelConfig, Parameters};
//! use engine::{RopeScaling, Sampling, Threads};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = ModelConfig {
//!     family: Family::Llama,
//!     vocab_size: 32,
//!     hidden_size: 16,
//!     intermediate_size: 32,
//!     num_hidden_layers: 2,
//!     num_attention_heads: 4,
//!     num_key_value_heads: 2,
//!     head_dim: 4,
//!     rms_norm_eps: 1e-5,
//!     rope_theta: 10_000.0,
//!     rope_scaling: RopeScaling::Default,
//!     max_position_embeddings: 64,
//!     tie_word_embeddings: true,
//! };
//! config.validate()?;
//! let model = Parameters::initialize(&config, [7; 32]);
//! let requests = [GenerationRequest { prompt: vec![1, 2, 3], seed: [9; 32] }];
//! let sampling = Sampling::Gumbel { temperature: 1.0 };
//! let options = GenerationOptions { sampling, tokens_max: 8, eos: 0 };
//! let threads = Threads::new(1);
//! let generation = engine::generate(&model, &requests, &options, &threads)?.remove(0);
//!
//! // An auditor recomputes the logits in one pass; the margin of every token is exactly 0.
//! let mut tokens = vec![1, 2, 3];
//! tokens.extend(&generation.tokens);
//! let replay = engine::prefill(&model, &[&tokens], &threads)?.remove(0);
//! for (index, &token) in tokens.iter().enumerate().skip(3) {
//!     let logits = &replay.logits[(index - 1) * 32..][..32];
//!     assert_eq!(engine::sampler::margin(logits, &[9; 32], index as u64, 1.0, token), 0.0);
//! }
//! # Ok(())
//! # }
//! ```

#![expect(
    clippy::cast_precision_loss,
    reason = "sizes become divisors of means; they are below 2^24"
)]

pub mod arithmetic;
pub mod import;
pub mod sampler;
#[cfg(test)]
mod testing;
pub mod trainer;
mod transformer;
#[cfg(test)]
mod vectors;
mod weights;

pub use arithmetic::cpu::KernelPath;
pub use arithmetic::elementary::bf16_bits;
pub use arithmetic::threads::Threads;
pub use sampler::Sampling;
pub use transformer::config::{ConfigError, Family, ModelConfig, RopeScaling};
pub use transformer::decode::{Finish, Generation, GenerationOptions, GenerationRequest, generate};
pub use transformer::parameters::{Layout, Parameters, Tensor};
pub use transformer::prefill::{
    Continuation, Prefill, Replay, logprobs, prefill, replay, response_logprobs,
};
pub use weights::{DirectoryError, LoadError};

/// Why tokens cannot be run through a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// A sequence without tokens.
    #[error("sequence {sequence} is empty")]
    Empty {
        /// Its index.
        sequence: usize,
    },
    /// A sequence longer than the model's context.
    #[error("sequence {sequence} has {length} tokens; the model allows {limit}")]
    Length {
        /// Its index.
        sequence: usize,
        /// Its length.
        length: usize,
        /// The longest allowed.
        limit: usize,
    },
    /// A token the model does not have.
    #[error("sequence {sequence} has token {token}; the vocabulary has {limit}")]
    Token {
        /// Index of the sequence.
        sequence: usize,
        /// The token.
        token: u32,
        /// Number of token ids.
        limit: usize,
    },
    /// A batch whose parts differ in length.
    #[error(
        "batch has {tokens} tokens, {targets} targets and {weights} weights in rows of {length}"
    )]
    Batch {
        /// Number of tokens.
        tokens: usize,
        /// Number of targets.
        targets: usize,
        /// Number of weights.
        weights: usize,
        /// Tokens in a row.
        length: usize,
    },
    /// A rollout whose parts do not fit together.
    #[error(
        "sequence {sequence} has {tokens} tokens, a prompt of {prompt} and {logprobs} logprobs"
    )]
    Response {
        /// Index of the sequence.
        sequence: usize,
        /// Number of tokens.
        tokens: usize,
        /// Tokens of the prompt.
        prompt: usize,
        /// Log-probabilities given.
        logprobs: usize,
    },
}
