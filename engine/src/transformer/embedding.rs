//! The first layer: a row of the embedding matrix for every token.
//!
//! ```text
//! forward    x[t]  = E[token t]
//! backward   dE[v] = Σ dx[t] over ascending rows t whose token is v, started from +0
//! ```
//!
//! With a tied head the same matrix also receives the head's gradient; the sum above is kept
//! apart and added once, after all rows.

use super::parameters::Parameters;
use crate::arithmetic::cpu::Kernels;
use crate::arithmetic::elementwise::add;

/// Copies the embedding of each token to `x`, `[tokens, hidden_size]`.
pub(crate) fn forward(model: &Parameters, tokens: impl Iterator<Item = u32>, x: &mut Vec<f32>) {
    let d = model.config().hidden_size;
    let table = model.get(&model.layout().embedding());
    x.clear();
    for token in tokens {
        x.extend_from_slice(&table[token as usize * d..][..d]);
    }
}

/// Adds each row of `dx` to its token's row of `d_table`, `[vocab_size, hidden_size]`.
pub(crate) fn backward(
    kernels: Kernels,
    tokens: impl Iterator<Item = u32>,
    dx: &[f32],
    width: usize,
    d_table: &mut [f32],
) {
    for (token, row) in tokens.zip(dx.chunks_exact(width)) {
        add(
            kernels,
            &mut d_table[token as usize * width..][..width],
            row,
        );
    }
}
