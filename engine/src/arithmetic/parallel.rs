//! The row and element kernels, divided among threads.
//!
//! Rows and elements are independent, so any division gives the same bits. A norm's gradient of its
//! gain folds over rows; it is divided by columns. Sums over a whole vector have one order and stay
//! on one thread.

use super::cpu::Kernels;
use super::elementwise::{self, AdamStep, NormInputs};
use super::threads::Threads;

/// What an element costs in the multiply-adds by which [`Threads`] judges work.
mod cost {
    pub(super) const MOVE: usize = 16;
    pub(super) const NORM: usize = 24;
    pub(super) const EXPONENTIAL: usize = 64;
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
            elementwise::rms_norm(threads.kernels(), x, weight, eps, y, r);
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
    let columns = d.div_ceil(threads.count()).next_multiple_of(16);
    threads.for_parts(cost, dw.chunks_mut(columns).enumerate(), |(index, dw)| {
        elementwise::rms_norm_backward_gain(kernels, inputs, dw, index * columns);
    });
}

/// [`elementwise::swiglu`].
pub(crate) fn swiglu(threads: &Threads, gate_up: &[f32], h: &mut [f32], width: usize) {
    let cost = h.len() * cost::EXPONENTIAL;
    let rows = threads.part_rows(h.len() / width, cost, 1);
    let parts = gate_up
        .chunks(2 * rows * width)
        .zip(h.chunks_mut(rows * width));
    threads.for_parts(cost, parts, |(gate_up, h)| {
        elementwise::swiglu(threads.kernels(), gate_up, h, width);
    });
}

/// [`elementwise::swiglu_backward`].
pub(crate) fn swiglu_backward(threads: &Threads, gate_up: &mut [f32], dh: &[f32], width: usize) {
    let cost = dh.len() * cost::EXPONENTIAL;
    let rows = threads.part_rows(dh.len() / width, cost, 1);
    let parts = gate_up
        .chunks_mut(2 * rows * width)
        .zip(dh.chunks(rows * width));
    threads.for_parts(cost, parts, |(gate_up, dh)| {
        elementwise::swiglu_backward(threads.kernels(), gate_up, dh, width);
    });
}

/// Calls `work(kernels, first_row, rows)` on parts of a row-major matrix.
pub(crate) fn rows(
    threads: &Threads,
    matrix: &mut [f32],
    width: usize,
    work: impl Fn(Kernels, usize, &mut [f32]) + Sync,
) {
    let cost = matrix.len() * cost::MOVE;
    let rows = threads.part_rows(matrix.len() / width, cost, 1);
    threads.for_parts(
        cost,
        matrix.chunks_mut(rows * width).enumerate(),
        |(index, part)| {
            work(threads.kernels(), index * rows, part);
        },
    );
}

/// `out = x + y`.
pub(crate) fn sum(threads: &Threads, out: &mut [f32], x: &[f32], y: &[f32]) {
    let cost = x.len() * cost::MOVE;
    let size = threads.part_rows(x.len(), cost, 64);
    let parts = out.chunks_mut(size).zip(x.chunks(size)).zip(y.chunks(size));
    threads.for_parts(cost, parts, |((out, x), y)| {
        elementwise::sum(threads.kernels(), out, x, y);
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
