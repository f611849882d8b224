//! The forward pass over ragged rows.
//!
//! One function serves training, which keeps every layer's activations for the backward pass,
//! and prefill, which reuses the buffers of one layer.

use super::attention::{self, Heads};
use super::config::ModelConfig;
use super::packed::{PackedWeights, Product};
use super::parameters::Parameters;
use super::rope::{Direction, Table};
use crate::InputError;
use crate::arithmetic::cpu::Kernels;
use crate::arithmetic::elementwise::{add, rms_norm, swiglu};
use crate::arithmetic::gemm::{Packed, Start, View, multiply};
use crate::arithmetic::threads::Threads;

/// What one block computed, all `[rows, …]` row-major.
#[derive(Clone, Debug, Default)]
pub(crate) struct BlockActivations {
    /// Residual stream at the entrance.
    pub(crate) input: Vec<f32>,
    pub(crate) norm1: Vec<f32>,
    pub(crate) reciprocal1: Vec<f32>,
    /// Queries and keys rotated, values.
    pub(crate) qkv: Vec<f32>,
    pub(crate) attended: Vec<f32>,
    /// Residual stream between attention and the gated layer.
    pub(crate) middle: Vec<f32>,
    pub(crate) norm2: Vec<f32>,
    pub(crate) reciprocal2: Vec<f32>,
    pub(crate) gate_up: Vec<f32>,
    pub(crate) gated: Vec<f32>,
}

/// Which layers' activations survive the pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// All: a backward pass follows.
    All,
    /// None: buffers are shared by all layers.
    None,
}

/// The buffers of a forward pass.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activations {
    pub(crate) blocks: Vec<BlockActivations>,
    /// Residual stream; after the pass, the input of the final norm.
    pub(crate) residual: Vec<f32>,
    pub(crate) reciprocal: Vec<f32>,
    /// After the final norm, `[rows, hidden_size]`.
    pub(crate) hidden: Vec<f32>,
    pub(crate) rope: Table,
    pub(crate) scratch: Vec<attention::Scratch>,
    pub(crate) weights: PackedWeights,
    pub(crate) branch: Vec<f32>,
    pub(crate) lengths: Vec<usize>,
}

/// Checks token ids and length.
pub(crate) fn check(config: &ModelConfig, index: usize, tokens: &[u32]) -> Result<(), InputError> {
    if tokens.is_empty() {
        return Err(InputError::Empty { sequence: index });
    }
    if tokens.len() > config.max_position_embeddings {
        return Err(InputError::Length {
            sequence: index,
            length: tokens.len(),
            limit: config.max_position_embeddings,
        });
    }
    let outside = |&token: &u32| usize::try_from(token).is_ok_and(|t| t >= config.vocab_size);
    match tokens.iter().copied().find(outside) {
        Some(token) => Err(InputError::Token {
            sequence: index,
            token,
            limit: config.vocab_size,
        }),
        None => Ok(()),
    }
}

/// Copies the embedding of each token to `out`, `[tokens, hidden_size]`.
pub(crate) fn embed(model: &Parameters, tokens: impl Iterator<Item = u32>, out: &mut Vec<f32>) {
    let d = model.config().hidden_size;
    let table = model.get(&model.layout().embedding());
    out.clear();
    for token in tokens {
        out.extend_from_slice(&table[token as usize * d..][..d]);
    }
}

/// `out = x W^T` for a packed weight.
pub(crate) fn linear(threads: &Threads, x: &[f32], weight: &Packed, out: &mut Vec<f32>) {
    let rows = x.len() / weight.depth();
    out.resize(rows * weight.columns(), 0.0);
    multiply(
        threads,
        View::new(x, rows, weight.depth()),
        weight,
        out,
        Start::Zero,
    );
}

/// Normalises `x` into `y`.
pub(crate) fn norm(
    kernels: Kernels,
    x: &[f32],
    (weight, eps): (&[f32], f32),
    y: &mut Vec<f32>,
    reciprocal: &mut Vec<f32>,
) {
    y.resize(x.len(), 0.0);
    reciprocal.resize(x.len() / weight.len(), 0.0);
    rms_norm(kernels, x, weight, eps, y, reciprocal);
}

impl Activations {
    /// Packs the weights of `model` for the passes that follow.
    pub(crate) fn prepare(&mut self, model: &Parameters, threads: &Threads) {
        self.weights
            .fill(model, Product::Forward, threads.kernels());
    }

    /// Runs the blocks and the final norm; checked tokens and prepared weights only.
    pub(crate) fn run(
        &mut self,
        model: &Parameters,
        sequences: &[&[u32]],
        keep: Keep,
        threads: &Threads,
    ) {
        let config = model.config();
        self.lengths.clear();
        self.lengths
            .extend(sequences.iter().map(|tokens| tokens.len()));
        self.rope
            .cover(config, self.lengths.iter().copied().max().unwrap_or(0));
        let blocks = if keep == Keep::All {
            config.num_hidden_layers
        } else {
            1
        };
        self.blocks.resize_with(blocks, BlockActivations::default);
        embed(
            model,
            sequences.iter().flat_map(|tokens| tokens.iter().copied()),
            &mut self.residual,
        );
        for index in 0..config.num_hidden_layers {
            let mut block = std::mem::take(&mut self.blocks[index % blocks]);
            self.attend(model, index, &mut block, threads);
            self.gate(model, index, &mut block, threads);
            self.blocks[index % blocks] = block;
        }
        let gain = (model.get(&model.layout().norm()), config.rms_norm_eps);
        let Self {
            residual,
            hidden,
            reciprocal,
            ..
        } = self;
        norm(threads.kernels(), residual, gain, hidden, reciprocal);
    }

    /// `x += Wo attention(rope(Wqkv norm(x)))`.
    fn attend(
        &mut self,
        model: &Parameters,
        index: usize,
        block: &mut BlockActivations,
        threads: &Threads,
    ) {
        let config = model.config();
        let ranges = model.layout().block(index);
        let kernels = threads.kernels();
        let heads = Heads::new(config);
        block.input.clone_from(&self.residual);
        let gain = (model.get(&ranges.norm1), config.rms_norm_eps);
        norm(
            kernels,
            &self.residual,
            gain,
            &mut block.norm1,
            &mut block.reciprocal1,
        );
        let (d, weights) = (config.hidden_size, &self.weights.blocks[index]);
        linear(threads, &block.norm1, &weights.qkv, &mut block.qkv);
        self.rotate_rows(config, kernels, &mut block.qkv, Direction::Forward);
        block
            .attended
            .resize(block.input.len() / d * heads.out_row(), 0.0);
        attention::forward(
            threads,
            heads,
            &self.lengths,
            &block.qkv,
            &mut block.attended,
            &mut self.scratch,
        );
        let weights = &self.weights.blocks[index];
        linear(threads, &block.attended, &weights.out, &mut self.branch);
        add(kernels, &mut self.residual, &self.branch);
    }

    /// `x += Wdown swiglu(Wgate_up norm(x))`.
    fn gate(
        &mut self,
        model: &Parameters,
        index: usize,
        block: &mut BlockActivations,
        threads: &Threads,
    ) {
        let config = model.config();
        let ranges = model.layout().block(index);
        let kernels = threads.kernels();
        let ff = config.intermediate_size;
        block.middle.clone_from(&self.residual);
        let gain = (model.get(&ranges.norm2), config.rms_norm_eps);
        norm(
            kernels,
            &self.residual,
            gain,
            &mut block.norm2,
            &mut block.reciprocal2,
        );
        let weights = &self.weights.blocks[index];
        linear(threads, &block.norm2, &weights.gate_up, &mut block.gate_up);
        block.gated.resize(block.gate_up.len() / 2, 0.0);
        swiglu(kernels, &block.gate_up, &mut block.gated, ff);
        linear(threads, &block.gated, &weights.down, &mut self.branch);
        add(kernels, &mut self.residual, &self.branch);
    }

    /// Turns the queries and keys of every row to (or back from) their positions.
    pub(crate) fn rotate_rows(
        &self,
        config: &ModelConfig,
        kernels: Kernels,
        qkv: &mut [f32],
        direction: Direction,
    ) {
        let rotated = config.query_width() + config.key_width();
        let positions = self.lengths.iter().flat_map(|&length| 0..length);
        for (row, position) in qkv.chunks_exact_mut(config.qkv_width()).zip(positions) {
            self.rope
                .apply(kernels, &mut row[..rotated], position, direction);
        }
    }
}
