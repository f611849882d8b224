//! The backward pass: gradients of every weight from the gradient of the logits.
//!
//! A weight gradient is a matrix product `dW = dY^T X`, folded over ascending rows and started
//! from what the gradient buffer holds. Splitting a batch into runs of whole sequences therefore
//! continues the same folds and changes no bit, which keeps activations small.

use super::attention::{self, Heads};
use super::forward::{Activations, BlockActivations};
use super::packed::{PackedWeights, Product};
use super::parameters::Parameters;
use super::rope::Direction;
use crate::arithmetic::elementwise::{NormInputs, add, rms_norm_backward, swiglu_backward};
use crate::arithmetic::gemm::{Packed, Start, View, multiply};
use crate::arithmetic::threads::Threads;
use std::ops::Range;

/// The buffers of a backward pass.
#[derive(Clone, Debug, Default)]
pub(crate) struct BackwardBuffers {
    /// Gradient of the residual stream.
    pub(crate) d_residual: Vec<f32>,
    /// Gradient of whatever a branch computes, widest first.
    wide: Vec<f32>,
    d_norm: Vec<f32>,
    row: Vec<f32>,
    packed: Packed,
    weights: PackedWeights,
}

/// One linear layer `y = x W^T`, seen from behind.
struct Linear<'a> {
    /// Where the weight is, `[outputs, inputs]`.
    range: Range<usize>,
    /// The weight, packed for `dy W`.
    weight: &'a Packed,
    x: &'a [f32],
    dy: &'a [f32],
}

impl Linear<'_> {
    /// `dW += dy^T x` (fold over rows) and `dx = dy W` (fold over outputs).
    fn backward(
        &self,
        gradients: &mut [f32],
        dx: &mut Vec<f32>,
        packed: &mut Packed,
        threads: &Threads,
    ) {
        let (outputs, inputs) = (self.weight.depth(), self.weight.columns());
        let rows = self.x.len() / inputs;
        let dy = View::new(self.dy, rows, outputs);
        packed.pack(threads.kernels(), View::new(self.x, rows, inputs));
        let d_weight = &mut gradients[self.range.clone()];
        multiply(threads, dy.transposed(), packed, d_weight, Start::Output);
        dx.resize(rows * inputs, 0.0);
        multiply(threads, dy, self.weight, dx, Start::Zero);
    }
}

impl BackwardBuffers {
    /// Packs the weights of `model` for the passes that follow.
    pub(crate) fn prepare(&mut self, model: &Parameters, threads: &Threads) {
        self.weights
            .fill(model, Product::Backward, threads.kernels());
    }

    /// Gradient of the output head for rows `rows` of the hidden states: `dW += dl^T h`, and
    /// `d_hidden[rows] = dl W`.
    pub(crate) fn head(
        &mut self,
        model: &Parameters,
        (hidden, d_logits): (&[f32], &[f32]),
        d_hidden: &mut Vec<f32>,
        gradients: &mut [f32],
        threads: &Threads,
    ) {
        let linear = Linear {
            range: model.layout().head(),
            weight: &self.weights.head,
            x: hidden,
            dy: d_logits,
        };
        linear.backward(gradients, d_hidden, &mut self.packed, threads);
    }

    /// Carries `d_hidden` through the final norm and all blocks; leaves the gradient of the
    /// embedded tokens in `d_residual`.
    pub(crate) fn run(
        &mut self,
        model: &Parameters,
        activations: &mut Activations,
        d_hidden: &[f32],
        gradients: &mut [f32],
        threads: &Threads,
    ) {
        self.row.resize(model.config().hidden_size, 0.0);
        self.d_residual.clear();
        self.d_residual.resize(d_hidden.len(), 0.0);
        let range = model.layout().norm();
        let inputs = NormInputs {
            x: &activations.residual,
            weight: model.get(&range),
            reciprocal: &activations.reciprocal,
            dy: d_hidden,
        };
        let d_gain = &mut gradients[range.clone()];
        rms_norm_backward(
            threads.kernels(),
            inputs,
            &mut self.d_residual,
            d_gain,
            &mut self.row,
        );
        for index in (0..model.config().num_hidden_layers).rev() {
            let mut block = std::mem::take(&mut activations.blocks[index]);
            self.gate(model, index, &mut block, gradients, threads);
            self.attend(model, index, (activations, &mut block), gradients, threads);
            activations.blocks[index] = block;
        }
    }

    /// Backward of `x += Wdown swiglu(Wgate_up norm(x))`.
    fn gate(
        &mut self,
        model: &Parameters,
        index: usize,
        block: &mut BlockActivations,
        gradients: &mut [f32],
        threads: &Threads,
    ) {
        let ranges = model.layout().block(index);
        let config = model.config();
        let ff = config.intermediate_size;
        let Self {
            d_residual,
            wide,
            d_norm,
            row,
            packed,
            weights,
        } = self;
        let weights = &weights.blocks[index];
        let down = Linear {
            range: ranges.down.clone(),
            weight: &weights.down,
            x: &block.gated,
            dy: d_residual,
        };
        down.backward(gradients, wide, packed, threads);
        swiglu_backward(threads.kernels(), &mut block.gate_up, wide, ff);
        let gate_up = Linear {
            range: ranges.gate_up.clone(),
            weight: &weights.gate_up,
            x: &block.norm2,
            dy: &block.gate_up,
        };
        gate_up.backward(gradients, d_norm, packed, threads);
        let inputs = NormInputs {
            x: &block.middle,
            weight: model.get(&ranges.norm2),
            reciprocal: &block.reciprocal2,
            dy: d_norm,
        };
        let d_gain = &mut gradients[ranges.norm2.clone()];
        rms_norm_backward(threads.kernels(), inputs, d_residual, d_gain, row);
    }

    /// Backward of `x += Wo attention(rope(Wqkv norm(x)))`.
    fn attend(
        &mut self,
        model: &Parameters,
        index: usize,
        (activations, block): (&mut Activations, &mut BlockActivations),
        gradients: &mut [f32],
        threads: &Threads,
    ) {
        let ranges = model.layout().block(index);
        let config = model.config();
        let heads = Heads::new(config);
        let Self {
            d_residual,
            wide,
            d_norm,
            row,
            packed,
            weights,
        } = self;
        let weights = &weights.blocks[index];
        let out = Linear {
            range: ranges.out.clone(),
            weight: &weights.out,
            x: &block.attended,
            dy: d_residual,
        };
        out.backward(gradients, d_norm, packed, threads);
        wide.resize(block.qkv.len(), 0.0);
        attention::backward(
            threads,
            heads,
            &activations.lengths,
            (&block.qkv, d_norm),
            wide,
            &mut activations.scratch,
        );
        activations.rotate_rows(config, threads.kernels(), wide, Direction::Inverse);
        let qkv = Linear {
            range: ranges.qkv.clone(),
            weight: &weights.qkv,
            x: &block.norm1,
            dy: wide,
        };
        qkv.backward(gradients, d_norm, packed, threads);
        let inputs = NormInputs {
            x: &block.input,
            weight: model.get(&ranges.norm1),
            reciprocal: &block.reciprocal1,
            dy: d_norm,
        };
        let d_gain = &mut gradients[ranges.norm1.clone()];
        rms_norm_backward(threads.kernels(), inputs, d_residual, d_gain, row);
    }

    /// Adds the gradient of each row to its token's row of `embedding`, ascending.
    pub(crate) fn embed(
        &self,
        model: &Parameters,
        tokens: impl Iterator<Item = u32>,
        embedding: &mut [f32],
        threads: &Threads,
    ) {
        let d = model.config().hidden_size;
        for (token, row) in tokens.zip(self.d_residual.chunks_exact(d)) {
            add(
                threads.kernels(),
                &mut embedding[token as usize * d..][..d],
                row,
            );
        }
    }
}
