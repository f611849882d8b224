//! A linear layer: `y = x Wᵀ + b`.
//!
//! ```text
//! forward    y[i, o]  = (fold_k fma(x[i, k], W[o, k])) + b[o]
//! backward   dx[i, k] = fold_o fma(dy[i, o], W[o, k])
//!            dW[o, k] = fold_i fma(dy[i, o], x[i, k]), started from the gradient buffer
//!            db[o]    = fold_i (db[o] + dy[i, o]), started from the gradient buffer
//! ```
//!
//! A weight gradient folds over ascending rows and starts from what the buffer holds, so a batch
//! split into runs of rows continues the same folds and changes no bit.

use crate::arithmetic::elementwise::add;
use crate::arithmetic::gemm::{Packed, Start, View, multiply};
use crate::arithmetic::threads::Threads;
use std::ops::Range;

/// A layer on the way forward.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Linear<'a> {
    /// `W` `[outputs, inputs]`, packed for `x Wᵀ`.
    pub(crate) weight: &'a Packed,
    /// `b` `[outputs]`.
    pub(crate) bias: Option<&'a [f32]>,
}

impl<'a> Linear<'a> {
    /// The layer `y = x Wᵀ`.
    pub(crate) fn without_bias(weight: &'a Packed) -> Self {
        Self { weight, bias: None }
    }

    /// `x` `[rows, inputs]` to `y` `[rows, outputs]`.
    pub(crate) fn forward(&self, threads: &Threads, x: &[f32], y: &mut Vec<f32>) {
        let (inputs, outputs) = (self.weight.depth(), self.weight.columns());
        let rows = x.len() / inputs;
        y.resize(rows * outputs, 0.0);
        let x = View::new(x, rows, inputs);
        multiply(threads, x, self.weight, y, Start::Zero);
        if let Some(bias) = self.bias {
            for row in y.chunks_exact_mut(outputs) {
                add(threads.kernels(), row, bias);
            }
        }
    }
}

/// A layer on the way back.
#[derive(Clone, Debug)]
pub(crate) struct LinearBackward<'a> {
    /// `W` `[outputs, inputs]`, packed for `dy W`.
    pub(crate) weight: &'a Packed,
    /// Where `dW` is in the gradients.
    pub(crate) range: &'a Range<usize>,
    /// Where `db` is in the gradients.
    pub(crate) bias: Option<&'a Range<usize>>,
}

impl<'a> LinearBackward<'a> {
    /// The layer `y = x Wᵀ`.
    pub(crate) fn without_bias(weight: &'a Packed, range: &'a Range<usize>) -> Self {
        Self {
            weight,
            range,
            bias: None,
        }
    }

    /// Adds to the gradients of `W` and `b`, and writes `dx` `[rows, inputs]`.
    ///
    /// `packed` is a buffer.
    pub(crate) fn backward(
        &self,
        threads: &Threads,
        (x, dy): (&[f32], &[f32]),
        gradients: &mut [f32],
        dx: &mut Vec<f32>,
        packed: &mut Packed,
    ) {
        let (outputs, inputs) = (self.weight.depth(), self.weight.columns());
        let rows = x.len() / inputs;
        let slopes = View::new(dy, rows, outputs);
        packed.pack_divided(threads, View::new(x, rows, inputs));
        let d_weight = &mut gradients[self.range.clone()];
        multiply(
            threads,
            slopes.transposed(),
            packed,
            d_weight,
            Start::Output,
        );
        if let Some(bias) = self.bias {
            for row in dy.chunks_exact(outputs) {
                add(threads.kernels(), &mut gradients[bias.clone()], row);
            }
        }
        dx.resize(rows * inputs, 0.0);
        multiply(threads, slopes, self.weight, dx, Start::Zero);
    }
}
