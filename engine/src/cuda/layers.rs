//! The layers that a block is made of, on the device: each a kernel or two.

use super::driver::DriverError;
use super::memory::{Argument, Array, Device, Part};
use super::model::{Model, Turning};
use super::product::{Matrix, nn, nt, tn};
use std::ops::Range;

/// `y = x Wᵀ + b` for the weight (and bias) at a range.
pub(crate) fn linear(
    model: &Model,
    x: &Array<f32>,
    (weight, bias): (&Range<usize>, Option<&Range<usize>>),
    y: &mut Array<f32>,
    inputs: usize,
) -> Result<(), DriverError> {
    let outputs = weight.len() / inputs;
    let rows = x.len() / inputs;
    y.resize(rows * outputs)?;
    let (x, weight) = (
        Matrix::of(x.all(), inputs),
        Matrix::of(model.get(weight), inputs),
    );
    nt(&model.device, x, weight, y.all())?;
    let Some(bias) = bias else {
        return Ok(());
    };
    let arguments = [
        (&*y).into(),
        model.get(bias).into(),
        outputs.into(),
        (y.len() as u64).into(),
    ];
    model.device.each("add_bias", y.len(), &arguments)
}

/// Adds to the gradients of a weight (and bias), and writes `dx` unless nobody reads it.
pub(crate) fn linear_backward(
    model: &Model,
    (weight, bias): (&Range<usize>, Option<&Range<usize>>),
    (x, dy): (Part<f32>, Part<f32>),
    gradients: &Array<f32>,
    dx: &mut Array<f32>,
    inputs: usize,
) -> Result<(), DriverError> {
    let outputs = weight.len() / inputs;
    let rows = x.len() / inputs;
    let dy = Matrix::new(dy, rows, outputs);
    let d_weight = gradients.part(weight.clone());
    tn(&model.device, dy, Matrix::of(x, inputs), d_weight)?;
    if let Some(bias) = bias {
        let arguments = [
            dy.part().into(),
            gradients.part(bias.clone()).into(),
            rows.into(),
            outputs.into(),
        ];
        let blocks = outputs.div_ceil(64);
        model
            .device
            .launch("bias_backward", [blocks, 1, 1], 64, &arguments)?;
    }
    dx.resize(rows * inputs)?;
    let weight = Matrix::of(model.get(weight), inputs);
    nn(&model.device, dy, weight, dx.all())
}

/// Which values are rows of a norm: `heads` runs of `width` at the start of every `stride`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Runs {
    pub(crate) width: usize,
    pub(crate) heads: usize,
    pub(crate) stride: usize,
}

impl Runs {
    /// Rows of tokens.
    pub(crate) fn rows(width: usize) -> Self {
        Self {
            width,
            heads: 1,
            stride: width,
        }
    }
}

/// `y = (x r) w`; keeps `r` of every run.
pub(crate) fn norm(
    model: &Model,
    (x, runs, count): (Part<f32>, Runs, usize),
    gain: &Range<usize>,
    y: Part<f32>,
    reciprocal: Part<f32>,
) -> Result<(), DriverError> {
    let arguments = [
        x.into(),
        model.get(gain).into(),
        y.into(),
        reciprocal.into(),
        model.config.rms_norm_eps.into(),
        runs.width.into(),
        runs.heads.into(),
        runs.stride.into(),
        count.into(),
    ];
    model
        .device
        .launch("rms_norm", [count.div_ceil(16), 1, 1], 256, &arguments)
}

/// Whether a norm's gradient is added to what `dx` holds or replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Into {
    Sum,
    Fresh,
}

/// What the backward pass of a norm reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NormBackward {
    pub(crate) x: Part<f32>,
    pub(crate) runs: Runs,
    pub(crate) count: usize,
    pub(crate) reciprocal: Part<f32>,
    pub(crate) dy: Part<f32>,
}

/// Adds to the gradient of the gain and to `dx`.
pub(crate) fn norm_backward(
    model: &Model,
    inputs: NormBackward,
    gain: &Range<usize>,
    (dx, into): (Part<f32>, Into),
    gradients: &Array<f32>,
) -> Result<(), DriverError> {
    let NormBackward {
        x,
        runs,
        count,
        reciprocal,
        dy,
    } = inputs;
    let shape = [runs.width, runs.heads, runs.stride, count].map(Argument::from);
    let d_gain = gradients.part(gain.clone());
    let mut own = vec![x.into(), reciprocal.into(), dy.into(), d_gain.into()];
    own.extend(shape);
    let blocks = runs.width.div_ceil(64);
    // The gain first: with `Fresh`, dx may take the place of dy.
    let kernel = "rms_norm_backward_gain";
    model.device.launch(kernel, [blocks, 1, 1], 64, &own)?;
    let mut own = vec![
        x.into(),
        model.get(gain).into(),
        reciprocal.into(),
        dy.into(),
        dx.into(),
    ];
    own.extend(shape);
    own.push(u32::from(into == Into::Fresh).into());
    let blocks = count.div_ceil(16);
    model
        .device
        .launch("rms_norm_backward", [blocks, 1, 1], 256, &own)
}

/// Turns queries and keys to their positions, or back with `direction` -1.
pub(crate) fn rotate(
    model: &Model,
    qkv: &Array<f32>,
    positions: &Array<u32>,
    direction: f32,
) -> Result<(), DriverError> {
    let heads = model.heads;
    let (turned, half) = (heads.queries + heads.keys, heads.width / 2);
    let count = qkv.len() / heads.row() * turned * half;
    let Turning { cosines, sines } = model.turning();
    let arguments = [
        qkv.into(),
        positions.into(),
        cosines.into(),
        sines.into(),
        heads.row().into(),
        turned.into(),
        half.into(),
        direction.into(),
        (count as u64).into(),
    ];
    model.device.each("rotate", count, &arguments)
}

/// `y += x`.
pub(crate) fn add(device: &Device, y: Part<f32>, x: Part<f32>) -> Result<(), DriverError> {
    assert_eq!(y.len(), x.len(), "sum of arrays of different lengths");
    let arguments = [y.into(), x.into(), (y.len() as u64).into()];
    device.each("add_to", y.len(), &arguments)
}

/// Row `rows[i]` of a table `[…, width]` as row `i` of `out`.
pub(crate) fn gather(
    device: &Device,
    (table, width): (Part<f32>, usize),
    rows: &Array<u32>,
    out: &mut Array<f32>,
) -> Result<(), DriverError> {
    out.resize(rows.len() * width)?;
    let arguments = [
        table.into(),
        rows.into(),
        (&*out).into(),
        width.into(),
        (out.len() as u64).into(),
    ];
    device.each("embed", out.len(), &arguments)
}
