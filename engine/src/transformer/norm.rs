//! Root-mean-square normalisation of rows.
//!
//! ```text
//! forward    r = 1 / sqrt(mean(x²) + eps)        y_i = (x_i r) w_i
//! backward   g_i = dy_i w_i,  n_i = x_i r,  a = (dot(g, x) r) / width
//!            dx_i += fma(n_i, -a, g_i) r         dw_i = fma(dy_i, n_i, dw_i) over ascending rows
//! ```

use crate::arithmetic::cpu::Kernels;
use crate::arithmetic::elementwise::{self, NormInputs, rms_norm_backward_rows};
use crate::arithmetic::gemm::Output;
use crate::arithmetic::panels::RowBlockMut;
use crate::arithmetic::parallel::{rms_norm, rms_norm_backward, rms_norm_gain};
use crate::arithmetic::threads::Threads;

/// A norm of rows as wide as its gain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Norm<'a> {
    /// `w`.
    pub(crate) gain: &'a [f32],
    pub(crate) eps: f32,
}

impl Norm<'_> {
    /// `x` `[rows, width]` to `y`; keeps `r` of every row.
    pub(crate) fn forward(
        &self,
        threads: &Threads,
        x: &[f32],
        y: &mut Vec<f32>,
        reciprocal: &mut Vec<f32>,
    ) {
        y.resize(x.len(), 0.0);
        reciprocal.resize(x.len() / self.gain.len(), 0.0);
        rms_norm(threads, x, (self.gain, self.eps), y, reciprocal);
    }

    /// `x`, the rows of one block, to `y` in panels.
    pub(crate) fn block(
        &self,
        kernels: Kernels,
        x: &[f32],
        y: &mut RowBlockMut<'_>,
        reciprocal: &mut [f32],
    ) {
        let Output { data, row, panel } = y.output();
        let y = (data, [row, panel]);
        elementwise::rms_norm(kernels, x, self.gain, self.eps, y, reciprocal);
    }

    /// Adds to `dx`, the rows of one block; `(x, reciprocal)` are its.
    pub(crate) fn backward_block(
        &self,
        kernels: Kernels,
        (x, reciprocal): (&[f32], &[f32]),
        dy: &[f32],
        dx: &mut [f32],
    ) {
        rms_norm_backward_rows(kernels, self.inputs((x, reciprocal, dy)), dx);
    }

    /// Adds to the gradient of the gain.
    pub(crate) fn backward_gain(
        &self,
        threads: &Threads,
        inputs: (&[f32], &[f32], &[f32]),
        d_gain: &mut [f32],
    ) {
        rms_norm_gain(threads, self.inputs(inputs), d_gain);
    }

    /// Adds to `dx` and to the gradient of the gain. `row` is a buffer.
    pub(crate) fn backward(
        &self,
        threads: &Threads,
        inputs: (&[f32], &[f32], &[f32]),
        dx: &mut [f32],
        d_gain: &mut [f32],
        row: &mut Vec<f32>,
    ) {
        row.resize(self.gain.len(), 0.0);
        rms_norm_backward(threads, self.inputs(inputs), dx, d_gain, row);
    }

    fn inputs<'b>(
        &'b self,
        (x, reciprocal, dy): (&'b [f32], &'b [f32], &'b [f32]),
    ) -> NormInputs<'b> {
        NormInputs {
            x,
            weight: self.gain,
            reciprocal,
            dy,
        }
    }
}
