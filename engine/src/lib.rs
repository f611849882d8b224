//! The exact engine: the same bits on every machine.
//!
//! A network that pays for computation, and takes money from those who lie about it, must know
//! what the right answer is: not nearly, but which bits. This engine has no noise. Forward,
//! backward, sampling and optimiser steps give the same bits on every instruction set, CPU or
//! GPU, with any number of threads, in any batch, and whether tokens are decoded one at a time
//! from a cache or all at once. An honest rollout re-checks with a margin of exactly 0, and an
//! honest gradient with an equal hash.
//!
//! # Why two machines disagree
//!
//! Each IEEE 754 operation has one right answer: `a + b`, `a × b`, `a / b`, `√a` and `fma(a, b, c)`
//! are rounded once, the same everywhere. What differs is which operations are done. Addition of
//! rounded numbers is not associative, and a fast library adds in whatever order suits the
//! machine: lanes as wide as its vectors, sums cut at its cache sizes, shares for its threads,
//! another kernel for another batch. Compilers contract `a × b + c` here and not there. `exp` and
//! `log` come from a library whose last bits nobody promised. Each choice is harmless, and their
//! sum is a difference in the seventh digit: room in which a cheat can hide, and an honest miner
//! can be framed.
//!
//! # Why this one agrees
//!
//! Three rules leave no such choice:
//!
//! 1. **An element of a matrix product is one left fold**, `acc = fma(a[k], b[k], acc)` over
//!    ascending `k`, with one accumulator. That sounds slow and is not: a good kernel keeps one
//!    accumulator for each of some hundred outputs in registers and walks `k` anyway. How many
//!    outputs stand side by side (vector width, tile, thread, GPU block) is free, because outputs
//!    never meet. Only cutting a fold in two and adding the halves is forbidden.
//! 2. **A reduction is 16 strided lanes and a fixed tree**, as wide as the widest common vector.
//!    A narrower machine takes two or four registers, a GPU sixteen threads.
//! 3. **Elementary functions are short polynomials of our own**, made of the operations above.
//!
//! The rest follows. A row of a transformer depends on itself and on the rows before it, so the
//! batch around it does not matter, a prompt may be computed once for all its samples, and a
//! decoder that sees one row at a time does what the teacher-forced pass does. A weight's gradient
//! folds over ascending rows and may pause anywhere, so long batches run in short stretches.
//! Updates of many miners are added as integers, in any order. And what is computed twice, to save
//! memory, is computed the same.
//!
//! What is left to trust is IEEE 754. `spec/arithmetic.md` has every formula, and an independent C
//! program that follows its text (`spec/arithmetic/`) repeats every vector under
//! `spec/vectors/arithmetic/`.
//!
//! # The flow, bottom up
//!
//! - [`arithmetic`]: the kernels, each compiled for three instruction sets and chosen at run time;
//! - [`transformer`](ModelConfig): the Llama, Qwen2 and Qwen3 families, one layer a file, forward
//!   and backward side by side: [`generate`], [`prefill`], [`replay`], [`logprobs`];
//! - [`sampler`]: tokens by seeded Gumbel-max, so that a draw has no free variable;
//! - [`trainer`]: losses, `AdamW`, `DiLoCo`'s inner loop, compression, order-free aggregation, the
//!   outer step;
//! - `weights`: canonical safetensors files ([`Parameters::to_safetensors`]) and Hugging Face
//!   directories ([`Parameters::from_directory`]); [`import`] reads GGUF.
//!
//! It knows no chain and imports nothing of the project's but `engine_trace`, which says what each
//! number is, one by one, so that two who disagree can find the first wrong one.
//! `examples/train_tiny.rs` trains a model
//! in forty lines; this draws from one and audits the draw:
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
pub mod cuda;
mod device;
pub mod import;
mod plan;
pub mod projection;
pub mod sampler;
#[cfg(test)]
mod testing;
#[cfg(feature = "tokenizer")]
pub mod tokenizer;
pub mod trace;
pub mod trainer;
mod transformer;
#[cfg(test)]
mod vectors;
mod weights;

pub use arithmetic::cpu::KernelPath;
pub use arithmetic::elementary::bf16_bits;
pub use arithmetic::threads::Threads;
pub use device::{Device, DeviceChoice, DeviceChoiceError, Training};
pub use engine_trace::schedule;
pub use plan::Plan;
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
