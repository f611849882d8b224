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

use super::block::{Backward, Context, Scratch as BlockScratch};
use super::linear::{Linear, LinearBackward};
use super::norm::Norm;
use super::rope::Direction;
use crate::arithmetic::parallel::{self, sum};
use crate::arithmetic::threads::Threads;
use head_norm::HeadNorm;
use heads::Heads;

pub(crate) use causal::{BLOCK_ROWS_MAX, Scratch};

/// What the layer computed, all `[rows, …]` row-major.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activations {
    /// Residual stream at the entrance.
    pub(crate) input: Vec<f32>,
    norm: Vec<f32>,
    reciprocal: Vec<f32>,
    /// Queries and keys before their norms, where a model has those.
    head_norm: head_norm::Kept,
    /// Queries and keys turned to their positions, values.
    pub(crate) qkv: Vec<f32>,
    pub(crate) attended: Vec<f32>,
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
    scratch: &mut BlockScratch,
) {
    project(context, index, kept);
    let heads = Heads::new(context.model.config());
    kept.attended
        .resize(context.rows.count() * heads.out_row(), 0.0);
    mix::forward(
        context.threads,
        heads,
        context.rows,
        &kept.qkv,
        &mut kept.attended,
        &mut scratch.attention,
    );
    output(context, index, kept, x, &mut scratch.branch);
}

/// Fills `kept.qkv` from `kept.input`.
pub(crate) fn project(context: &Context<'_>, index: usize, kept: &mut Activations) {
    let kernels = context.threads.kernels();
    let ranges = context.model.layout().block(index);
    let Activations {
        input,
        norm: normed,
        reciprocal,
        head_norm,
        qkv,
        ..
    } = kept;
    norm(context, index).forward(context.threads, input, normed, reciprocal);
    let linear = Linear {
        weight: &context.weights.blocks[index].qkv,
        bias: ranges
            .qkv_bias
            .as_ref()
            .map(|range| context.model.get(range)),
    };
    linear.forward(context.threads, normed, qkv);
    if let Some(norm) = HeadNorm::new(context.model, index) {
        norm.forward(kernels, qkv, head_norm);
    }
    rotate(context, qkv, Direction::Forward);
}

/// `x = kept.input + Wo kept.attended`.
pub(crate) fn output(
    context: &Context<'_>,
    index: usize,
    kept: &Activations,
    x: &mut Vec<f32>,
    branch: &mut Vec<f32>,
) {
    let weight = &context.weights.blocks[index].out;
    Linear::without_bias(weight).forward(context.threads, &kept.attended, branch);
    x.resize(kept.input.len(), 0.0);
    sum(context.threads, x, &kept.input, branch);
}

/// Turns the queries and keys of every row to (or back from) its position.
fn rotate(context: &Context<'_>, qkv: &mut [f32], direction: Direction) {
    let heads = Heads::new(context.model.config());
    parallel::rows(context.threads, qkv, heads.row(), |kernels, first, rows| {
        let rows = rows.chunks_exact_mut(heads.row());
        for (row, &position) in rows.zip(&context.rows.positions()[first..]) {
            let turned = &mut row[..heads.turned()];
            context.rope.apply(kernels, turned, position, direction);
        }
    });
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
    let threads: &Threads = context.threads;
    let ranges = context.model.layout().block(index);
    let heads = Heads::new(context.model.config());
    let Backward {
        d_residual,
        wide,
        narrow,
        row,
        packed,
        weights,
    } = pass;
    let weights = &weights.blocks[index];
    let out = LinearBackward::without_bias(&weights.out, &ranges.out);
    out.backward(
        threads,
        (&kept.attended, d_residual),
        gradients,
        narrow,
        packed,
    );
    wide.resize(kept.qkv.len(), 0.0);
    let inputs = (&kept.qkv[..], &narrow[..]);
    mix::backward(threads, heads, context.rows, inputs, wide, scratch);
    rotate(context, wide, Direction::Inverse);
    if let Some(norm) = HeadNorm::new(context.model, index) {
        norm.backward(threads.kernels(), &kept.head_norm, wide, gradients, row);
    }
    let qkv = LinearBackward {
        weight: &weights.qkv,
        range: &ranges.qkv,
        bias: ranges.qkv_bias.as_ref(),
    };
    qkv.backward(threads, (&kept.norm, wide), gradients, narrow, packed);
    norm(context, index).backward(
        threads,
        (&kept.input, &kept.reciprocal, narrow),
        d_residual,
        &mut gradients[ranges.norm1.clone()],
        row,
    );
}
