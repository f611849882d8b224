//! The row and element kernels, divided among threads.
//!
//! Rows and elements are independent, so any division gives the same bits. A norm's gradient of its
//! gain folds over rows; it is divided by columns. Sums over a whole vector have one order and stay
//! on one thread.

use super::elementwise::{self, AdamStep, NormInputs};
use super::threads::Threads;

/// What an element costs in the multiply-adds by which [`Threads`] judges work.
mod cost {
    pub(super) const MOVE: usize = 16;
    pub(super) const NORM: usize = 24;
    pub(super) const DIVISIONS: usize = 128;
}

/// [`elementwise::rms_norm`].
pub(crate) fn rms_norm(
    threads: &Threads,
    x: &[f32],
    (weight, eps): (&[f32], f32),
    y: &mut [f32],
    reciprocal: &mut [f32],
) {
    let d = weight.len();
    let cost = x.len() * cost::NORM;
    let rows = threads.part_rows(x.len() / d, cost, 1);
    let parts = x.chunks(rows * d).zip(y.chunks_mut(rows * d));
    threads.for_parts(
        cost,
        parts.zip(reciprocal.chunks_mut(rows)),
        |((x, y), r)| {
            elementwise::rms_norm(threads.kernels(), x, weight, eps, (y, [d, 0]), r);
        },
    );
}

/// [`elementwise::rms_norm_backward`].
pub(crate) fn rms_norm_backward(
    threads: &Threads,
    inputs: NormInputs<'_>,
    dx: &mut [f32],
    dw: &mut [f32],
    scratch: &mut [f32],
) {
    let kernels = threads.kernels();
    let d = inputs.weight.len();
    let cost = inputs.x.len() * cost::NORM;
    let rows = threads.part_rows(inputs.x.len() / d, cost, 1);
    if rows * d >= dx.len() {
        return elementwise::rms_norm_backward(kernels, inputs, dx, dw, scratch);
    }
    threads.for_parts(cost, dx.chunks_mut(rows * d).enumerate(), |(index, dx)| {
        let own = index * rows * d..index * rows * d + dx.len();
        let inputs = NormInputs {
            x: &inputs.x[own.clone()],
            reciprocal: &inputs.reciprocal[index * rows..][..dx.len() / d],
            dy: &inputs.dy[own],
            ..inputs
        };
        elementwise::rms_norm_backward_rows(kernels, inputs, dx);
    });
    rms_norm_gain(threads, inputs, dw);
}

/// [`elementwise::rms_norm_backward_gain`].
pub(crate) fn rms_norm_gain(threads: &Threads, inputs: NormInputs<'_>, dw: &mut [f32]) {
    let kernels = threads.kernels();
    let cost = inputs.x.len() * cost::NORM;
    let columns = dw.len().div_ceil(threads.count()).next_multiple_of(16);
    threads.for_parts(cost, dw.chunks_mut(columns).enumerate(), |(index, dw)| {
        elementwise::rms_norm_backward_gain(kernels, inputs, dw, index * columns);
    });
}

/// `y *= factor`.
pub(crate) fn scale(threads: &Threads, y: &mut [f32], factor: f32) {
    let cost = y.len() * cost::MOVE;
    let size = threads.part_rows(y.len(), cost, 64);
    threads.for_parts(cost, y.chunks_mut(size), |y| {
        elementwise::scale(threads.kernels(), y, factor);
    });
}

/// [`elementwise::adam`].
pub(crate) fn adam(
    threads: &Threads,
    step: AdamStep,
    (theta, gradient): (&mut [f32], &[f32]),
    (m, v): (&mut [f32], &mut [f32]),
) {
    let cost = theta.len() * cost::DIVISIONS;
    let size = threads.part_rows(theta.len(), cost, 64);
    let weights = theta.chunks_mut(size).zip(gradient.chunks(size));
    let moments = m.chunks_mut(size).zip(v.chunks_mut(size));
    threads.for_parts(cost, weights.zip(moments), |((theta, gradient), (m, v))| {
        elementwise::adam(threads.kernels(), step, theta, gradient, m, v);
    });
}

#[cfg(test)]
mod tests;
