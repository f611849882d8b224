//! The gated layer of a block: `x += Wdown swiglu(Wgate_up norm(x))`.
//!
//! ```text
//! forward    g = Wgate norm(x),   u = Wup norm(x),   h = (g σ(g)) u,   x += Wdown h
//! backward   dh = dx Wdown,   du = dh (g σ),   dg = (dh u) (σ fma(g, 1 - σ, 1))
//!            dx += norm_backward([dg, du] Wgate_up)
//! ```
//!
//! A block of rows goes through the whole layer before the next, on whichever thread takes it.
//! Only the gradients of the weights, which fold over all rows, wait for the last.

use super::block::{Backward, Context};
use super::linear::{WeightGradient, weight_gradients};
use super::norm::Norm;
use crate::arithmetic::elementwise::{add, swiglu, swiglu_backward};
use crate::arithmetic::gemm::{Output, Start, multiply_here};
use crate::arithmetic::panels::{BLOCK_ROWS, Panels};

/// What the layer computed, all `[rows, …]`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activations {
    /// Residual stream at the entrance, row-major.
    pub(crate) input: Vec<f32>,
    norm: Panels,
    reciprocal: Vec<f32>,
    gate: Panels,
    up: Panels,
    gated: Panels,
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
) {
    x.resize(kept.input.len(), 0.0);
    let width = context.model.config().hidden_size;
    run(
        context,
        index,
        kept,
        x.chunks_mut(BLOCK_ROWS * width).map(Some),
    );
}

/// Everything that the backward pass reads, from `kept.input`.
pub(crate) fn inside(context: &Context<'_>, index: usize, kept: &mut Activations) {
    run(context, index, kept, std::iter::repeat_with(|| None));
}

/// The layer for each block of rows, up to `gated` where no output is wanted.
fn run<'x>(
    context: &Context<'_>,
    index: usize,
    kept: &mut Activations,
    outputs: impl Iterator<Item = Option<&'x mut [f32]>> + Send,
) {
    let (threads, kernels) = (context.threads, context.threads.kernels());
    let config = context.model.config();
    let (d, ff) = (config.hidden_size, config.intermediate_size);
    let rows = kept.input.len() / d;
    kept.reciprocal.resize(rows, 0.0);
    kept.norm.resize(kernels, rows, d);
    for wide in [&mut kept.gate, &mut kept.up, &mut kept.gated] {
        wide.resize(kernels, rows, ff);
    }
    let inputs = kept.input.chunks(BLOCK_ROWS * d).zip(outputs);
    let norms = kept
        .norm
        .blocks_mut()
        .zip(kept.reciprocal.chunks_mut(BLOCK_ROWS));
    let gates = kept.gate.blocks_mut().zip(kept.up.blocks_mut());
    let parts = inputs.zip(norms).zip(gates.zip(kept.gated.blocks_mut()));
    let weights = &context.weights.blocks[index];
    let norm = norm(context, index);
    threads.for_parts(rows * 3 * d * ff, parts, |part| {
        let (((input, output), (mut normed, reciprocal)), ((mut gate, mut up), mut gated)) = part;
        norm.block(kernels, input, &mut normed, reciprocal);
        let normed = normed.read().operand();
        multiply_here(kernels, normed, &weights.gate, gate.output(), Start::Zero);
        multiply_here(kernels, normed, &weights.up, up.output(), Start::Zero);
        let gates = gate.panels_mut().zip(up.panels_mut());
        for ((gate, up), gated) in gates.zip(gated.panels_mut()) {
            swiglu(kernels, gate, up, gated);
        }
        if let Some(x) = output {
            let gated = gated.read().operand();
            let out = Output::rows(kernels, x, d);
            multiply_here(kernels, gated, &weights.down, out, Start::Zero);
            add(kernels, x, input);
        }
    });
}

/// Carries `pass.d_residual` through the layer of block `index`; uses up what it kept.
pub(crate) fn backward(
    context: &Context<'_>,
    index: usize,
    kept: &mut Activations,
    pass: &mut Backward,
    gradients: &mut [f32],
) {
    inside_backward(context, index, kept, pass);
    let config = context.model.config();
    let ranges = context.model.layout().block(index);
    let middle = ranges.gate_up.start + config.intermediate_size * config.hidden_size;
    let [d_gain, d_gate, d_up, d_down] = gradients
        .get_disjoint_mut([
            ranges.norm2.clone(),
            ranges.gate_up.start..middle,
            middle..ranges.gate_up.end,
            ranges.down.clone(),
        ])
        .expect("tensors lie apart");
    let weights = [
        WeightGradient::new(&pass.d_output, &kept.gated, d_down),
        WeightGradient::new(&kept.gate, &kept.norm, d_gate),
        WeightGradient::new(&kept.up, &kept.norm, d_up),
    ];
    weight_gradients(context.threads, weights);
    let inputs = (&kept.input[..], &kept.reciprocal[..], &pass.narrow[..]);
    norm(context, index).backward_gain(context.threads, inputs, d_gain);
}

/// The gradient of everything but the weights: `d_residual`, what it was in `d_output`, those of
/// gate and up in their places, and that of the normalised input in `narrow`.
fn inside_backward(
    context: &Context<'_>,
    index: usize,
    kept: &mut Activations,
    pass: &mut Backward,
) {
    let (threads, kernels) = (context.threads, context.threads.kernels());
    let config = context.model.config();
    let (d, ff) = (config.hidden_size, config.intermediate_size);
    let rows = kept.input.len() / d;
    let Backward {
        d_residual,
        d_output,
        d_last,
        narrow,
        weights,
        ..
    } = pass;
    d_output.resize(kernels, rows, d);
    d_last.resize(kernels, rows, ff);
    narrow.resize(rows * d, 0.0);
    let inputs = kept
        .input
        .chunks(BLOCK_ROWS * d)
        .zip(kept.reciprocal.chunks(BLOCK_ROWS));
    let streams = d_residual
        .chunks_mut(BLOCK_ROWS * d)
        .zip(narrow.chunks_mut(BLOCK_ROWS * d));
    let gates = kept.gate.blocks_mut().zip(kept.up.blocks_mut());
    let slopes = d_output.blocks_mut().zip(d_last.blocks_mut());
    let parts = inputs.zip(streams).zip(slopes.zip(gates));
    let weights = &weights.blocks[index];
    let norm = norm(context, index);
    threads.for_parts(rows * 3 * d * ff, parts, |part| {
        let ((inputs, (dx, d_norm)), ((mut d_output, mut d_gated), (mut gate, mut up))) = part;
        d_output.copy(kernels, dx);
        let slopes = d_output.read().operand();
        multiply_here(
            kernels,
            slopes,
            &weights.down,
            d_gated.output(),
            Start::Zero,
        );
        let gates = gate.panels_mut().zip(up.panels_mut());
        for ((gate, up), d_gated) in gates.zip(d_gated.panels_mut()) {
            swiglu_backward(kernels, gate, up, d_gated);
        }
        for (slopes, weight, start) in [
            (gate, &weights.gate, Start::Zero),
            (up, &weights.up, Start::Output),
        ] {
            let out = Output::rows(kernels, d_norm, d);
            multiply_here(kernels, slopes.read().operand(), weight, out, start);
        }
        norm.backward_block(kernels, inputs, d_norm, dx);
    });
}
