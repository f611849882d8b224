//! Root-mean-square normalisation of rows.
//!
//! ```text
//! forward    r = 1 / sqrt(mean(x²) + eps)        y_i = (x_i r) w_i
//! backward   g_i = dy_i w_i,  n_i = x_i r,  a = (dot(g, x) r) / width
//!            dx_i += fma(n_i, -a, g_i) r         dw_i = fma(dy_i, n_i, dw_i) over ascending rows
//! ```

use crate::arithmetic::cpu::Kernels;
use crate::arithmetic::elementwise::{NormInputs, rms_norm, rms_norm_backward};

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
        kernels: Kernels,
        x: &[f32],
        y: &mut Vec<f32>,
        reciprocal: &mut Vec<f32>,
    ) {
        y.resize(x.len(), 0.0);
        reciprocal.resize(x.len() / self.gain.len(), 0.0);
        rms_norm(kernels, x, self.gain, self.eps, y, reciprocal);
    }

    /// Adds to `dx` and to the gradient of the gain. `row` is a buffer.
    pub(crate) fn backward(
        &self,
        kernels: Kernels,
        (x, reciprocal, dy): (&[f32], &[f32], &[f32]),
        dx: &mut [f32],
        d_gain: &mut [f32],
        row: &mut Vec<f32>,
    ) {
        row.resize(self.gain.len(), 0.0);
        let inputs = NormInputs {
            x,
            weight: self.gain,
            reciprocal,
            dy,
        };
        rms_norm_backward(kernels, inputs, dx, d_gain, row);
    }
}
