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
//! split into runs of rows continues the same folds and changes no bit. The first two products
//! divide by rows, the third by outputs: `dW` waits until `x` and `dy` are there for all rows.

use crate::arithmetic::gemm::{Output, Packed, Start, View, multiply, multiply_here};
use crate::arithmetic::panels::{BLOCK_ROWS, Panels, weight_gradient};
use crate::arithmetic::threads::Threads;
use std::ops::Range;

/// `y = x Wᵀ` for row-major `x` `[rows, inputs]` and `y` `[rows, outputs]`; `weight` is `W`
/// packed for it.
pub(crate) fn forward(threads: &Threads, weight: &Packed, x: &[f32], y: &mut Vec<f32>) {
    let (inputs, outputs) = (weight.depth(), weight.columns());
    let rows = x.len() / inputs;
    y.resize(rows * outputs, 0.0);
    let x = View::new(x, rows, inputs);
    multiply(threads, x, weight, y, Start::Zero);
}

/// Adds to `d_weight` and writes `dx` `[rows, inputs]`, for row-major `x` and `dy`; `weight` is
/// `W` packed for `dy W`. The panels are buffers.
pub(crate) fn backward(
    threads: &Threads,
    weight: &Packed,
    (x, dy): (&[f32], &[f32]),
    dx: &mut [f32],
    d_weight: &mut [f32],
    (x_panels, dy_panels): (&mut Panels, &mut Panels),
) {
    let kernels = threads.kernels();
    let (outputs, inputs) = (weight.depth(), weight.columns());
    let rows = x.len() / inputs;
    x_panels.resize(kernels, rows, inputs);
    dy_panels.resize(kernels, rows, outputs);
    let xs = x.chunks(BLOCK_ROWS * inputs).zip(x_panels.blocks_mut());
    let slopes = dy.chunks(BLOCK_ROWS * outputs).zip(dy_panels.blocks_mut());
    let parts = xs.zip(slopes).zip(dx.chunks_mut(BLOCK_ROWS * inputs));
    threads.for_parts(rows * inputs * outputs, parts, |part| {
        let (((x, mut x_panels), (dy, mut dy_panels)), dx) = part;
        x_panels.copy(kernels, x);
        dy_panels.copy(kernels, dy);
        let out = Output::rows(kernels, dx, inputs);
        let slopes = dy_panels.read().operand();
        multiply_here(kernels, slopes, weight, out, Start::Zero);
    });
    weight_gradients(
        threads,
        [WeightGradient::new(dy_panels, x_panels, d_weight)],
    );
}

/// The gradient of one matrix: `dW += dyᵀ x`.
#[derive(Debug)]
pub(crate) struct WeightGradient<'a> {
    dy: &'a Panels,
    x: &'a Panels,
    /// `dW` `[outputs, inputs]`.
    values: &'a mut [f32],
}

impl<'a> WeightGradient<'a> {
    pub(crate) fn new(dy: &'a Panels, x: &'a Panels, values: &'a mut [f32]) -> Self {
        Self { dy, x, values }
    }

    /// Its parts, each the outputs of some panels of `dy`.
    fn parts(self, most: usize) -> impl Iterator<Item = GradientPart<'a>> + Send {
        let Self { dy, x, values } = self;
        let panels = dy.panels();
        // Even parts: none is left with a small rest.
        let count = panels.div_ceil(panels.div_ceil(most.max(1)).max(1)).max(1);
        let parts = values.chunks_mut(count * dy.width() * x.columns());
        let first = (0..panels).step_by(count);
        first.zip(parts).map(move |(first, values)| GradientPart {
            dy,
            panels: first..(first + count).min(panels),
            x,
            values,
        })
    }
}

/// Some outputs of a weight gradient.
struct GradientPart<'a> {
    dy: &'a Panels,
    panels: Range<usize>,
    x: &'a Panels,
    values: &'a mut [f32],
}

/// Panels of one part: enough for a block of rows to serve many outputs while it is in the
/// caches, few enough for the outputs to stay there from one block to the next.
const PART_PANELS_MAX: usize = 8;

/// The gradients of some matrices, divided among the threads by outputs.
pub(crate) fn weight_gradients<const COUNT: usize>(
    threads: &Threads,
    gradients: [WeightGradient<'_>; COUNT],
) {
    let cost = gradients.iter().map(|one| one.values.len() * one.x.rows());
    let cost = cost.sum();
    let parts = gradients
        .into_iter()
        .flat_map(|one| one.parts(PART_PANELS_MAX));
    threads.for_parts(cost, parts, |part| {
        weight_gradient(
            threads.kernels(),
            (part.dy, part.panels),
            part.x,
            part.values,
        );
    });
}
