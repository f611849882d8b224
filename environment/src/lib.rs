//! The world a model is trained in: prompts, correct answers, rewards, and a text corpus.
//!
//! A training run names its environment and its corpus by hash. From then on nobody chooses
//! anything: the protocol derives a seed for every unit of work, and this crate turns a seed into
//! *the* prompt, *the* demonstration or *the* corpus slice. A miner and an auditor on the other
//! side of the world therefore see the same tokens and compute the same reward, in integers.
//!
//! The flow is short:
//!
//! 1. A seed (32 bytes) is expanded by BLAKE3 in extendable-output mode ([`Chance`]).
//! 2. An [`Environment`] draws a prompt from it, again and again until the prompt belongs to the
//!    wanted [`Split`]: one prompt in sixteen is *held out*, by a hash of its content, so that an
//!    evaluation prompt can never have been trained on, whatever the seeds were.
//! 3. The model answers; [`Environment::reward`] compares the response with the correct answer and
//!    gives a [`Reward`] in millionths.
//!
//! A token is a byte: the vocabulary has [`VOCABULARY_COUNT`] entries, and byte 0 is
//! [`END_OF_SEQUENCE`].
//!
//! This crate knows no chain and no model, reads no clock and uses no floating point.
//!
//! ```
//! use environment::{Environment, Split, by_name};
//!
//! let sort = by_name("sort-digits-8").expect("registered");
//! let prompt = sort.prompt(&[7; 32], Split::Train);
//! let answer = sort.answer(&prompt).expect("a drawn prompt is well formed");
//! assert!(sort.reward(&prompt, &answer).is_exact());
//! ```
//!
//! Spec: environment.md.
#![forbid(unsafe_code)]
#![deny(
    clippy::float_arithmetic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing
)]

mod addition;
mod chance;
mod corpus;
mod registry;
mod reward;
mod rows;
mod sort;
mod task;

pub use addition::Addition;
pub use chance::Chance;
pub use corpus::Corpus;
pub use registry::{all, by_hash, by_name};
pub use reward::Reward;
pub use rows::Row;
pub use sort::SortDigits;
pub use task::{Environment, Split};

/// The token that ends a response. The byte 0 occurs in no prompt, answer or corpus.
pub const END_OF_SEQUENCE: u32 = 0;

/// The number of tokens: one for each byte.
pub const VOCABULARY_COUNT: u32 = 256;

/// Turns bytes into tokens: one byte, one token.
#[must_use]
pub fn tokens_of(bytes: &[u8]) -> Vec<u32> {
    bytes.iter().copied().map(u32::from).collect()
}

/// Turns tokens back into bytes, or `None` if one of them is outside the vocabulary.
#[must_use]
pub fn bytes_of(tokens: &[u32]) -> Option<Vec<u8>> {
    tokens
        .iter()
        .map(|&token| u8::try_from(token).ok())
        .collect()
}
