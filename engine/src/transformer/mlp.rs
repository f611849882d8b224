//! The gated layer of a block: `x += Wdown swiglu(Wgate_up norm(x))`.
//!
//! ```text
//! forward    [g, u] = Wgate_up norm(x),   h = (g σ(g)) u,   x += Wdown h
//! backward   dh = dx Wdown,   du = dh (g σ),   dg = (dh u) (σ fma(g, 1 - σ, 1))
//!            dx += norm_backward([dg, du] Wgate_up)
//! ```

use super::block::{Backward, Context, Keep};
use super::linear::{Linear, LinearBackward};
use super::norm::Norm;
use crate::arithmetic::elementwise::{add, swiglu, swiglu_backward};

/// What the layer computed, all `[rows, …]` row-major.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activations {
    /// Residual stream at the entrance.
    input: Vec<f32>,
    norm: Vec<f32>,
    reciprocal: Vec<f32>,
    gate_up: Vec<f32>,
    gated: Vec<f32>,
}

fn norm<'a>(context: &Context<'a>, index: usize) -> Norm<'a> {
    Norm {
        gain: context
            .model
            .get(&context.model.layout().block(index).norm2),
        eps: context.model.config().rms_norm_eps,
    }
}

/// Adds the layer of block `index` to `x`. `branch` is a buffer.
pub(crate) fn forward(
    context: &Context<'_>,
    index: usize,
    keep: Keep,
    x: &mut [f32],
    kept: &mut Activations,
    branch: &mut Vec<f32>,
) {
    let threads = context.threads;
    let kernels = threads.kernels();
    let weights = &context.weights.blocks[index];
    let Activations {
        input,
        norm: normed,
        reciprocal,
        gate_up,
        gated,
    } = kept;
    keep.copy(x, input);
    norm(context, index).forward(kernels, x, normed, reciprocal);
    linear(&weights.gate_up).forward(threads, normed, gate_up);
    gated.resize(gate_up.len() / 2, 0.0);
    swiglu(
        kernels,
        gate_up,
        gated,
        context.model.config().intermediate_size,
    );
    linear(&weights.down).forward(threads, gated, branch);
    add(kernels, x, branch);
}

fn linear(weight: &crate::arithmetic::gemm::Packed) -> Linear<'_> {
    Linear { weight, bias: None }
}

/// Carries `pass.d_residual` through the layer of block `index`; uses up what it kept.
pub(crate) fn backward(
    context: &Context<'_>,
    index: usize,
    kept: &mut Activations,
    pass: &mut Backward,
    gradients: &mut [f32],
) {
    let threads = context.threads;
    let kernels = threads.kernels();
    let ranges = context.model.layout().block(index);
    let Backward {
        d_residual,
        wide,
        narrow,
        row,
        packed,
        weights,
        ..
    } = pass;
    let weights = &weights.blocks[index];
    let down = LinearBackward {
        weight: &weights.down,
        range: &ranges.down,
        bias: None,
    };
    down.backward(threads, (&kept.gated, d_residual), gradients, wide, packed);
    let width = context.model.config().intermediate_size;
    swiglu_backward(kernels, &mut kept.gate_up, wide, width);
    let gate_up = LinearBackward {
        weight: &weights.gate_up,
        range: &ranges.gate_up,
        bias: None,
    };
    let inputs = (&kept.norm[..], &kept.gate_up[..]);
    gate_up.backward(threads, inputs, gradients, narrow, packed);
    norm(context, index).backward(
        kernels,
        (&kept.input, &kept.reciprocal, narrow),
        d_residual,
        &mut gradients[ranges.norm2.clone()],
        row,
    );
}
