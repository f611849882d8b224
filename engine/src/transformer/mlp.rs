//! The gated layer of a block: `x += Wdown swiglu(Wgate_up norm(x))`.
//!
//! ```text
//! forward    [g, u] = Wgate_up norm(x),   h = (g σ(g)) u,   x += Wdown h
//! backward   dh = dx Wdown,   du = dh (g σ),   dg = (dh u) (σ fma(g, 1 - σ, 1))
//!            dx += norm_backward([dg, du] Wgate_up)
//! ```

use super::block::{Backward, Context};
use super::linear::{Linear, LinearBackward};
use super::norm::Norm;
use crate::arithmetic::parallel::{sum, swiglu, swiglu_backward};

/// What the layer computed, all `[rows, …]` row-major.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activations {
    /// Residual stream at the entrance.
    pub(crate) input: Vec<f32>,
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

/// The residual stream after the layer of block `index`: `x = kept.input + …`.
pub(crate) fn forward(
    context: &Context<'_>,
    index: usize,
    kept: &mut Activations,
    x: &mut Vec<f32>,
    branch: &mut Vec<f32>,
) {
    inside(context, index, kept);
    let weight = &context.weights.blocks[index].down;
    Linear::without_bias(weight).forward(context.threads, &kept.gated, branch);
    x.resize(kept.input.len(), 0.0);
    sum(context.threads, x, &kept.input, branch);
}

/// Everything that the backward pass reads, from `kept.input`.
pub(crate) fn inside(context: &Context<'_>, index: usize, kept: &mut Activations) {
    let threads = context.threads;
    let Activations {
        input,
        norm: normed,
        reciprocal,
        gate_up,
        gated,
    } = kept;
    norm(context, index).forward(threads, input, normed, reciprocal);
    let weight = &context.weights.blocks[index].gate_up;
    Linear::without_bias(weight).forward(threads, normed, gate_up);
    gated.resize(gate_up.len() / 2, 0.0);
    let width = context.model.config().intermediate_size;
    swiglu(threads, gate_up, gated, width);
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
    let ranges = context.model.layout().block(index);
    let Backward {
        d_residual,
        wide,
        narrow,
        row,
        packed,
        weights,
    } = pass;
    let weights = &weights.blocks[index];
    let down = LinearBackward::without_bias(&weights.down, &ranges.down);
    down.backward(threads, (&kept.gated, d_residual), gradients, wide, packed);
    let width = context.model.config().intermediate_size;
    swiglu_backward(threads, &mut kept.gate_up, wide, width);
    let gate_up = LinearBackward::without_bias(&weights.gate_up, &ranges.gate_up);
    let inputs = (&kept.norm[..], &kept.gate_up[..]);
    gate_up.backward(threads, inputs, gradients, narrow, packed);
    norm(context, index).backward(
        threads,
        (&kept.input, &kept.reciprocal, narrow),
        d_residual,
        &mut gradients[ranges.norm2.clone()],
        row,
    );
}
