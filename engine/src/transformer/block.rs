//! One block: attention, then the gated layer, each added to the residual stream.
//!
//! Training keeps what each block computed for the backward pass, or only the residual stream at
//! its entrance, from which the block is computed once more: the same bits, less memory.

use super::packed::PackedWeights;
use super::parameters::Parameters;
use super::rope::Table;
use super::rows::Rows;
use super::{attention, mlp};
use crate::arithmetic::panels::Panels;
use crate::arithmetic::threads::Threads;

/// What every layer of a pass reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    pub(crate) model: &'a Parameters,
    /// The model's matrices, packed for the way forward.
    pub(crate) weights: &'a PackedWeights,
    pub(crate) rope: &'a Table,
    pub(crate) rows: &'a Rows,
    pub(crate) threads: &'a Threads,
}

/// Which activations survive the pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// All: a backward pass follows.
    All,
    /// The residual stream at the entrance of every block: a backward pass follows that computes
    /// each block once more.
    Entrances,
    /// None: all blocks share one set of buffers.
    None,
}

/// What one block computed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activations {
    pub(crate) attention: attention::Activations,
    pub(crate) mlp: mlp::Activations,
}

/// Buffers of attention, one for each thread.
pub(crate) type Scratch = Vec<attention::Scratch>;

/// Buffers of the way back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backward {
    /// Gradient of the residual stream.
    pub(crate) d_residual: Vec<f32>,
    /// Gradient of a layer's output, of its last matrix that is: a copy of `d_residual`.
    pub(crate) d_output: Panels,
    /// What the last matrix of a layer reads, where it is not kept in panels.
    pub(crate) last: Panels,
    /// Gradient of what the last matrix of a layer reads.
    pub(crate) d_last: Panels,
    /// Gradient of queries, keys and values, row-major and in panels.
    pub(crate) d_qkv: (Vec<f32>, Panels),
    /// Gradient of a layer's normalised input, or of what attention mixed.
    pub(crate) narrow: Vec<f32>,
    pub(crate) row: Vec<f32>,
    /// The model's matrices, packed for the way back.
    pub(crate) weights: PackedWeights,
}

/// Both layers of block `index` on the residual stream `x`, `[rows, hidden_size]`.
///
/// The stream passes from buffer to buffer: what stood in `x` ends as `kept.attention.input`.
pub(crate) fn forward(
    context: &Context<'_>,
    index: usize,
    x: &mut Vec<f32>,
    kept: &mut Activations,
    scratch: &mut Scratch,
) {
    let Activations { attention, mlp } = kept;
    std::mem::swap(x, &mut attention.input);
    attention::forward(context, index, attention, &mut mlp.input, scratch);
    mlp::forward(context, index, mlp, x);
}

/// Computes once more what [`backward`] reads, from the stream at the block's entrance.
pub(crate) fn again(
    context: &Context<'_>,
    index: usize,
    entrance: &mut Vec<f32>,
    kept: &mut Activations,
    scratch: &mut Scratch,
) {
    let Activations { attention, mlp } = kept;
    std::mem::swap(entrance, &mut attention.input);
    attention::forward(context, index, attention, &mut mlp.input, scratch);
    mlp::inside(context, index, mlp);
}

/// Carries `pass.d_residual` through block `index`; uses up what it kept.
pub(crate) fn backward(
    context: &Context<'_>,
    index: usize,
    kept: &mut Activations,
    scratch: &mut Scratch,
    pass: &mut Backward,
    gradients: &mut [f32],
) {
    mlp::backward(context, index, &mut kept.mlp, pass, gradients);
    attention::backward(
        context,
        index,
        &mut kept.attention,
        scratch,
        pass,
        gradients,
    );
}
