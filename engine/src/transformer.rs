//! The decoder-only transformer: configuration, parameters, forward, backward, decoding.
//!
//! A block is `x += Wo attention(rope(Wqkv norm(x)))`, then `x += Wdown swiglu(Wgate_up norm(x))`.
//! Sequences of different lengths are laid end to end as rows; nothing is padded.

pub(crate) mod attention;
pub(crate) mod block;
pub(crate) mod config;
pub(crate) mod decode;
pub(crate) mod embedding;
pub(crate) mod head;
pub(crate) mod linear;
pub(crate) mod mlp;
pub(crate) mod norm;
pub(crate) mod packed;
pub(crate) mod parameters;
pub(crate) mod pass;
pub(crate) mod prefill;
pub(crate) mod rope;
pub(crate) mod rows;

#[cfg(test)]
mod tests;
