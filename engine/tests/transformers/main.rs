//! The engine against Hugging Face `transformers`.
//!
//! The files in `golden` are made by its scripts. Both sides compute in f32, so they agree up to
//! rounding: hidden states and logits to 1e-5, gradients to 1e-4, both as the largest difference
//! over the largest value and as the norm of the difference over the norm.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "tests; a mean loss is rounded to f32 on purpose"
)]

mod expected;
mod families;
mod smollm2;
