//! The last layers: the final norm, and the output head `logits = hidden Wᵀ`.
//!
//! ```text
//! forward    hidden = norm(x),   logits = hidden Wᵀ      W is the embedding where it is tied
//! backward   d_hidden = d_logits W,   dW = fold over rows of d_logitsᵀ hidden
//!            dx = norm_backward(d_hidden)
//! ```

use super::block::{Backward, Context};
use super::linear;
use super::norm::Norm;
use super::packed::PackedWeights;
use super::parameters::Parameters;
use crate::arithmetic::threads::Threads;

fn final_norm(model: &Parameters) -> Norm<'_> {
    Norm {
        gain: model.get(&model.layout().norm()),
        eps: model.config().rms_norm_eps,
    }
}

/// `hidden` `[rows, hidden_size]` from the residual stream after all blocks.
pub(crate) fn hidden(
    context: &Context<'_>,
    x: &[f32],
    hidden: &mut Vec<f32>,
    reciprocal: &mut Vec<f32>,
) {
    final_norm(context.model).forward(context.threads, x, hidden, reciprocal);
}

/// `logits` `[rows, vocab_size]`.
pub(crate) fn logits(
    threads: &Threads,
    weights: &PackedWeights,
    hidden: &[f32],
    logits: &mut Vec<f32>,
) {
    linear::forward(threads, &weights.head, hidden, logits);
}

/// Adds to the head's gradient and writes `d_hidden`.
pub(crate) fn logits_backward(
    threads: &Threads,
    model: &Parameters,
    (hidden, d_logits): (&[f32], &[f32]),
    pass: &mut Backward,
    gradients: &mut [f32],
    d_hidden: &mut [f32],
) {
    let d_weight = &mut gradients[model.layout().head()];
    let buffers = (&mut pass.last, &mut pass.d_output);
    let inputs = (hidden, d_logits);
    let weight = &pass.weights.head;
    linear::backward(threads, weight, inputs, d_hidden, d_weight, buffers);
}

/// Writes `pass.d_residual` from `d_hidden`; `x` and `reciprocal` as [`hidden`] left them.
pub(crate) fn hidden_backward(
    context: &Context<'_>,
    (x, reciprocal, d_hidden): (&[f32], &[f32], &[f32]),
    pass: &mut Backward,
    gradients: &mut [f32],
) {
    pass.d_residual.clear();
    pass.d_residual.resize(d_hidden.len(), 0.0);
    final_norm(context.model).backward(
        context.threads,
        (x, reciprocal, d_hidden),
        &mut pass.d_residual,
        &mut gradients[context.model.layout().norm()],
        &mut pass.row,
    );
}
