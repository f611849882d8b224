//! The attention layer of a block: `x += Wo mix(rope(head_norm(Wqkv norm(x) + b)))`.
//!
//! Queries, keys and values are one matrix product and stand side by side in a row of `qkv`. The
//! bias is Qwen2's, the norm of each query and key head is Qwen3's.
//!
//! ```text
//! forward    qkv = Wqkv norm(x) + b;  normalise and turn q and k;  x += Wo mix(q, k, v)
//! backward   d_mix = dx Wo;  dq, dk, dv from mix;  turn back;  head norms back;
//!            dx += norm_backward(d_qkv Wqkv)
//! ```
//!
//! [`mix`] is the softmax-weighted mixture itself, over all rows of a pass; [`cache`] is the same
//! mixture for one new row of a sequence whose keys and values are stored.

pub(crate) mod cache;
mod causal;
mod head_norm;
pub(crate) mod heads;
pub(crate) mod mix;

use super::block::{Backward, Context};
use super::linear::{WeightGradient, weight_gradients};
use super::norm::Norm;
use super::rope::Direction;
use crate::arithmetic::elementwise::{SoftmaxRow, add};
use crate::arithmetic::gemm::{Operand, Output, Start, View, multiply_here};
use crate::arithmetic::panels::{BLOCK_ROWS, Panels};
use head_norm::HeadNorm;
use heads::Heads;

pub(crate) use causal::{BLOCK_ROWS_MAX, Scratch};

/// What the layer computed, all `[rows, …]`; row-major but for the norm.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activations {
    /// Residual stream at the entrance.
    pub(crate) input: Vec<f32>,
    norm: Panels,
    reciprocal: Vec<f32>,
    /// Queries and keys before their norms, where a model has those.
    head_norm: head_norm::Kept,
    /// Queries and keys turned to their positions, values.
    pub(crate) qkv: Vec<f32>,
    pub(crate) attended: Vec<f32>,
    /// Of every row's weights, `[rows, queries]`.
    normalisers: Vec<SoftmaxRow>,
}

fn norm<'a>(context: &Context<'a>, index: usize) -> Norm<'a> {
    Norm {
        gain: context
            .model
            .get(&context.model.layout().block(index).norm1),
        eps: context.model.config().rms_norm_eps,
    }
}

/// The residual stream after the layer of block `index`: `x = kept.input + …`.
pub(crate) fn forward(
    context: &Context<'_>,
    index: usize,
    kept: &mut Activations,
    x: &mut Vec<f32>,
    scratch: &mut Vec<Scratch>,
) {
    project(context, index, kept);
    let heads = Heads::new(context.model.config());
    let rows = context.rows.count();
    kept.attended.resize(rows * heads.out_row(), 0.0);
    kept.normalisers
        .resize(rows * heads.queries, SoftmaxRow::default());
    let outputs = (&mut kept.attended[..], &mut kept.normalisers[..]);
    mix::forward(
        context.threads,
        heads,
        context.rows,
        &kept.qkv,
        outputs,
        scratch,
    );
    output(context, index, kept, x);
}

/// Fills `kept.qkv` from `kept.input`, a block of rows at a time.
pub(crate) fn project(context: &Context<'_>, index: usize, kept: &mut Activations) {
    let (threads, kernels) = (context.threads, context.threads.kernels());
    let heads = Heads::new(context.model.config());
    let (rows, d, width) = (
        context.rows.count(),
        context.model.config().hidden_size,
        heads.row(),
    );
    kept.norm.resize(kernels, rows, d);
    kept.reciprocal.resize(rows, 0.0);
    kept.qkv.resize(rows * width, 0.0);
    let ranges = context.model.layout().block(index);
    let bias = ranges.qkv_bias.as_ref();
    let bias = bias.map(|range| context.model.get(range));
    let head_norm = HeadNorm::new(context.model, index);
    let norms = kept
        .norm
        .blocks_mut()
        .zip(kept.reciprocal.chunks_mut(BLOCK_ROWS));
    let inputs = kept.input.chunks(BLOCK_ROWS * d).zip(norms);
    let outputs = kept.qkv.chunks_mut(BLOCK_ROWS * width);
    let outputs = outputs.zip(head_norm::blocks(
        head_norm.as_ref(),
        rows,
        &mut kept.head_norm,
    ));
    let weight = &context.weights.blocks[index].qkv;
    let norm = norm(context, index);
    let parts = inputs.zip(outputs).enumerate();
    threads.for_parts(rows * d * width, parts, |(block, (input, (qkv, head)))| {
        let (input, (mut normed, reciprocal)) = input;
        norm.block(kernels, input, &mut normed, reciprocal);
        let out = Output::rows(kernels, qkv, width);
        multiply_here(kernels, normed.read().operand(), weight, out, Start::Zero);
        if let Some(bias) = bias {
            qkv.chunks_exact_mut(width)
                .for_each(|row| add(kernels, row, bias));
        }
        if let (Some(norm), Some(kept)) = (&head_norm, head) {
            norm.forward(kernels, qkv, kept);
        }
        rotate(context, block * BLOCK_ROWS, qkv, Direction::Forward);
    });
}

/// `x = kept.input + Wo kept.attended`.
pub(crate) fn output(context: &Context<'_>, index: usize, kept: &Activations, x: &mut Vec<f32>) {
    let (threads, kernels) = (context.threads, context.threads.kernels());
    let weight = &context.weights.blocks[index].out;
    let (inputs, outputs) = (weight.depth(), weight.columns());
    let rows = kept.input.len() / outputs;
    x.resize(rows * outputs, 0.0);
    let streams = x
        .chunks_mut(BLOCK_ROWS * outputs)
        .zip(kept.input.chunks(BLOCK_ROWS * outputs));
    let parts = kept.attended.chunks(BLOCK_ROWS * inputs).zip(streams);
    threads.for_parts(rows * inputs * outputs, parts, |(attended, (x, input))| {
        let attended = View::new(attended, attended.len() / inputs, inputs);
        let out = Output::rows(kernels, x, outputs);
        multiply_here(kernels, Operand::rows(attended), weight, out, Start::Zero);
        add(kernels, x, input);
    });
}

/// Turns the queries and keys of rows from `first` on to (or back from) their positions.
fn rotate(context: &Context<'_>, first: usize, qkv: &mut [f32], direction: Direction) {
    let heads = Heads::new(context.model.config());
    let rows = qkv.chunks_exact_mut(heads.row());
    for (row, &position) in rows.zip(&context.rows.positions()[first..]) {
        let turned = &mut row[..heads.turned()];
        let kernels = context.threads.kernels();
        context.rope.apply(kernels, turned, position, direction);
    }
}

/// Carries `pass.d_residual` through the layer of block `index`; uses up what it kept.
pub(crate) fn backward(
    context: &Context<'_>,
    index: usize,
    kept: &mut Activations,
    scratch: &mut Vec<Scratch>,
    pass: &mut Backward,
    gradients: &mut [f32],
) {
    let threads = context.threads;
    let heads = Heads::new(context.model.config());
    output_backward(context, index, kept, pass);
    let d_qkv = &mut pass.d_qkv.0;
    d_qkv.resize(kept.qkv.len(), 0.0);
    let inputs = (&kept.qkv[..], &kept.normalisers[..], &pass.narrow[..]);
    mix::backward(threads, heads, context.rows, inputs, d_qkv, scratch);
    if let Some(norm) = HeadNorm::new(context.model, index) {
        // Its gains fold over all rows and heads, one after another.
        rotate(context, 0, d_qkv, Direction::Inverse);
        let buffer = &mut pass.row;
        norm.backward(threads.kernels(), &kept.head_norm, d_qkv, gradients, buffer);
    }
    project_backward(context, index, kept, pass);
    let ranges = context.model.layout().block(index);
    let [d_gain, d_qkv, d_out] = gradients
        .get_disjoint_mut([ranges.norm1.clone(), ranges.qkv.clone(), ranges.out.clone()])
        .expect("tensors lie apart");
    let weights = [
        WeightGradient::new(&pass.d_qkv.1, &kept.norm, d_qkv),
        WeightGradient::new(&pass.d_output, &pass.last, d_out),
    ];
    weight_gradients(threads, weights);
    let inputs = (&kept.input[..], &kept.reciprocal[..], &pass.narrow[..]);
    norm(context, index).backward_gain(threads, inputs, d_gain);
    if let Some(bias) = &ranges.qkv_bias {
        for row in pass.d_qkv.0.chunks_exact(heads.row()) {
            add(threads.kernels(), &mut gradients[bias.clone()], row);
        }
    }
}

/// From `pass.d_residual` to the gradient of `kept.attended` in `pass.narrow`; both operands of
/// the output's weight gradient.
fn output_backward(context: &Context<'_>, index: usize, kept: &Activations, pass: &mut Backward) {
    let (threads, kernels) = (context.threads, context.threads.kernels());
    let weight = &pass.weights.blocks[index].out;
    let (d, width) = (weight.depth(), weight.columns());
    let rows = kept.input.len() / d;
    pass.d_output.resize(kernels, rows, d);
    pass.last.resize(kernels, rows, width);
    pass.narrow.resize(rows * width, 0.0);
    let slopes = pass.d_residual.chunks(BLOCK_ROWS * d);
    let slopes = slopes.zip(pass.d_output.blocks_mut());
    let inputs = kept.attended.chunks(BLOCK_ROWS * width);
    let inputs = inputs.zip(pass.last.blocks_mut());
    let outputs = pass.narrow.chunks_mut(BLOCK_ROWS * width);
    let parts = slopes.zip(inputs).zip(outputs);
    threads.for_parts(rows * d * width, parts, |part| {
        let (((dx, mut d_output), (attended, mut panels)), d_attended) = part;
        d_output.copy(kernels, dx);
        panels.copy(kernels, attended);
        let out = Output::rows(kernels, d_attended, width);
        let slopes = d_output.read().operand();
        multiply_here(kernels, slopes, weight, out, Start::Zero);
    });
}

/// From the gradient of `kept.qkv` to that of the residual stream: turned back, through the
/// product and the norm.
fn project_backward(context: &Context<'_>, index: usize, kept: &Activations, pass: &mut Backward) {
    let (threads, kernels) = (context.threads, context.threads.kernels());
    let weight = &pass.weights.blocks[index].qkv;
    let (width, d) = (weight.depth(), weight.columns());
    let rows = kept.input.len() / d;
    let (d_qkv, panels) = &mut pass.d_qkv;
    panels.resize(kernels, rows, width);
    pass.narrow.resize(rows * d, 0.0);
    let slopes = d_qkv.chunks_mut(BLOCK_ROWS * width);
    let slopes = slopes.zip(panels.blocks_mut());
    let inputs = kept.input.chunks(BLOCK_ROWS * d);
    let inputs = inputs.zip(kept.reciprocal.chunks(BLOCK_ROWS));
    let streams = pass.d_residual.chunks_mut(BLOCK_ROWS * d);
    let streams = streams.zip(pass.narrow.chunks_mut(BLOCK_ROWS * d));
    let parts = slopes.zip(inputs).zip(streams).enumerate();
    let turned_back = HeadNorm::new(context.model, index).is_some();
    let norm = norm(context, index);
    threads.for_parts(rows * d * width, parts, |(block, part)| {
        let (((d_qkv, mut panels), inputs), (dx, d_norm)) = part;
        if !turned_back {
            rotate(context, block * BLOCK_ROWS, d_qkv, Direction::Inverse);
        }
        panels.copy(kernels, d_qkv);
        let out = Output::rows(kernels, d_norm, d);
        multiply_here(kernels, panels.read().operand(), weight, out, Start::Zero);
        norm.backward_block(kernels, inputs, d_norm, dx);
    });
}
