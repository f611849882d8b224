//! One block on the device: `x += Wo mix(rope(head_norm(Wqkv norm(x) + b)))`, then
//! `x += Wdown swiglu(Wgate_up norm(x))`; and the way back.

use super::attention::{self, Scratch};
use super::cache::Cache;
use super::driver::DriverError;
use super::layers::{
    Into, NormBackward, Runs, add, linear, linear_backward, norm, norm_backward, rotate,
};
use super::memory::{Array, Device};
use super::model::Model;
use super::rows::Rows;
use std::ops::Range;

/// What one block computed, all `[rows, …]` row-major.
#[derive(Debug)]
pub(crate) struct Kept {
    /// Residual stream at the entrance.
    input: Array<f32>,
    norm1: Array<f32>,
    reciprocal1: Array<f32>,
    /// Queries, keys and values before the norms of heads, where a model has those.
    raw: Array<f32>,
    head_reciprocal: Array<f32>,
    /// Queries and keys turned to their positions, values.
    pub(crate) qkv: Array<f32>,
    attended: Array<f32>,
    /// Residual stream between attention and the gated layer.
    middle: Array<f32>,
    norm2: Array<f32>,
    reciprocal2: Array<f32>,
    gate_up: Array<f32>,
    gated: Array<f32>,
}

impl Kept {
    pub(crate) fn new(device: &Device) -> Result<Self, DriverError> {
        Ok(Self {
            input: device.array(0)?,
            norm1: device.array(0)?,
            reciprocal1: device.array(0)?,
            raw: device.array(0)?,
            head_reciprocal: device.array(0)?,
            qkv: device.array(0)?,
            attended: device.array(0)?,
            middle: device.array(0)?,
            norm2: device.array(0)?,
            reciprocal2: device.array(0)?,
            gate_up: device.array(0)?,
            gated: device.array(0)?,
        })
    }
}

/// Values that [`Kept`] holds for one row.
pub(crate) fn kept_values(model: &Model) -> usize {
    let (d, ff) = (model.config.hidden_size, model.config.intermediate_size);
    4 * d + 2 * model.heads.row() + model.heads.out_row() + 3 * ff
}

/// Where the keys and values are that the rows attend to.
#[derive(Debug)]
pub(crate) enum Mixer<'a> {
    /// Among the rows themselves: whole sequences.
    Rows(&'a Rows, &'a mut Scratch),
    /// In a cache: one new row a sequence.
    Cache(&'a mut Cache),
}

/// Buffers that all blocks share.
#[derive(Debug)]
pub(crate) struct Buffers {
    /// What a layer adds to the residual stream.
    branch: Array<f32>,
    /// Gradient of the residual stream.
    pub(crate) d_residual: Array<f32>,
    wide: Array<f32>,
    narrow: Array<f32>,
}

impl Buffers {
    pub(crate) fn new(device: &Device) -> Result<Self, DriverError> {
        Ok(Self {
            branch: device.array(0)?,
            d_residual: device.array(0)?,
            wide: device.array(0)?,
            narrow: device.array(0)?,
        })
    }
}

/// Whether a norm's input is copied for the way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    All,
    None,
}

fn normalise(
    model: &Model,
    x: &Array<f32>,
    gain: &Range<usize>,
    (y, reciprocal): (&mut Array<f32>, &mut Array<f32>),
) -> Result<(), DriverError> {
    let d = model.config.hidden_size;
    let rows = x.len() / d;
    y.resize(x.len())?;
    reciprocal.resize(rows)?;
    norm(
        model,
        (x.all(), Runs::rows(d), rows),
        gain,
        y.all(),
        reciprocal.all(),
    )
}

/// Adds both layers of block `index` to `x`, `[rows, hidden_size]`.
pub(crate) fn forward(
    model: &Model,
    index: usize,
    x: &Array<f32>,
    positions: &Array<u32>,
    mixer: &mut Mixer<'_>,
    (kept, keep, buffers): (&mut Kept, Keep, &mut Buffers),
) -> Result<(), DriverError> {
    attend(model, index, x, positions, mixer, (kept, keep, buffers))?;
    let ranges = model.layout.block(index);
    let (d, ff) = (model.config.hidden_size, model.config.intermediate_size);
    if keep == Keep::All {
        kept.middle.copy_from(x)?;
    }
    normalise(
        model,
        x,
        &ranges.norm2,
        (&mut kept.norm2, &mut kept.reciprocal2),
    )?;
    linear(
        model,
        &kept.norm2,
        (&ranges.gate_up, None),
        &mut kept.gate_up,
        d,
    )?;
    kept.gated.resize(kept.gate_up.len() / 2)?;
    let count = kept.gated.len();
    let arguments = [
        (&kept.gate_up).into(),
        (&kept.gated).into(),
        ff.into(),
        (count as u64).into(),
    ];
    model.device.each("swiglu", count, &arguments)?;
    linear(
        model,
        &kept.gated,
        (&ranges.down, None),
        &mut buffers.branch,
        ff,
    )?;
    add(&model.device, x.all(), buffers.branch.all())
}

fn attend(
    model: &Model,
    index: usize,
    x: &Array<f32>,
    positions: &Array<u32>,
    mixer: &mut Mixer<'_>,
    (kept, keep, buffers): (&mut Kept, Keep, &mut Buffers),
) -> Result<(), DriverError> {
    let ranges = model.layout.block(index);
    let (d, heads) = (model.config.hidden_size, model.heads);
    let rows = x.len() / d;
    if keep == Keep::All {
        kept.input.copy_from(x)?;
    }
    normalise(
        model,
        x,
        &ranges.norm1,
        (&mut kept.norm1, &mut kept.reciprocal1),
    )?;
    let layer = (&ranges.qkv, ranges.qkv_bias.as_ref());
    linear(model, &kept.norm1, layer, &mut kept.qkv, d)?;
    for norm in head_norms(model, index) {
        let HeadNorm { gain, first, runs } = norm;
        if first == 0 {
            kept.raw.copy_from(&kept.qkv)?;
            kept.head_reciprocal
                .resize(rows * (heads.queries + heads.keys))?;
        }
        let (raw, qkv) = (
            kept.raw.from(first * runs.width),
            kept.qkv.from(first * runs.width),
        );
        let reciprocal = kept.head_reciprocal.from(rows * first);
        self::norm(model, (raw, runs, rows * runs.heads), gain, qkv, reciprocal)?;
    }
    rotate(model, &kept.qkv, positions, 1.0)?;
    kept.attended.resize(rows * heads.out_row())?;
    match mixer {
        Mixer::Rows(rows, scratch) => {
            let (qkv, out) = (kept.qkv.all(), kept.attended.all());
            attention::forward(&model.device, heads, rows, qkv, out, scratch)?;
        }
        Mixer::Cache(cache) => {
            cache.append(model, index, &kept.qkv)?;
            cache.attend(model, index, &kept.qkv, &kept.attended)?;
        }
    }
    let width = heads.out_row();
    linear(
        model,
        &kept.attended,
        (&ranges.out, None),
        &mut buffers.branch,
        width,
    )?;
    add(&model.device, x.all(), buffers.branch.all())
}

/// A norm of query heads or of key heads.
struct HeadNorm<'a> {
    gain: &'a Range<usize>,
    /// Heads before its own.
    first: usize,
    runs: Runs,
}

/// The norms of heads that block `index` has: none, or queries' and keys'.
fn head_norms(model: &Model, index: usize) -> impl Iterator<Item = HeadNorm<'_>> {
    let ranges = model.layout.block(index);
    let heads = model.heads;
    let runs = move |count| Runs {
        width: heads.width,
        heads: count,
        stride: heads.row(),
    };
    let query = ranges.query_norm.iter().map(move |gain| HeadNorm {
        gain,
        first: 0,
        runs: runs(heads.queries),
    });
    let key = ranges.key_norm.iter().map(move |gain| HeadNorm {
        gain,
        first: heads.queries,
        runs: runs(heads.keys),
    });
    query.chain(key)
}

/// Carries `buffers.d_residual` through block `index`; uses up what it kept.
pub(crate) fn backward(
    model: &Model,
    index: usize,
    (rows, scratch): (&Rows, &mut Scratch),
    kept: &Kept,
    buffers: &mut Buffers,
    gradients: &Array<f32>,
) -> Result<(), DriverError> {
    let ranges = model.layout.block(index);
    let (d, ff) = (model.config.hidden_size, model.config.intermediate_size);
    let Buffers {
        d_residual,
        wide,
        narrow,
        ..
    } = buffers;
    let inputs = (kept.gated.all(), d_residual.all());
    linear_backward(model, (&ranges.down, None), inputs, gradients, wide, ff)?;
    let arguments = [
        (&kept.gate_up).into(),
        (&*wide).into(),
        ff.into(),
        (wide.len() as u64).into(),
    ];
    model
        .device
        .each("swiglu_backward", wide.len(), &arguments)?;
    let inputs = (kept.norm2.all(), kept.gate_up.all());
    linear_backward(model, (&ranges.gate_up, None), inputs, gradients, narrow, d)?;
    let norm = NormBackward {
        x: kept.middle.all(),
        runs: Runs::rows(d),
        count: rows.count,
        reciprocal: kept.reciprocal2.all(),
        dy: narrow.all(),
    };
    let into = (d_residual.all(), Into::Sum);
    norm_backward(model, norm, &ranges.norm2, into, gradients)?;
    attend_backward(model, index, (rows, scratch), kept, buffers, gradients)
}

fn attend_backward(
    model: &Model,
    index: usize,
    (rows, scratch): (&Rows, &mut Scratch),
    kept: &Kept,
    buffers: &mut Buffers,
    gradients: &Array<f32>,
) -> Result<(), DriverError> {
    let ranges = model.layout.block(index);
    let (d, heads) = (model.config.hidden_size, model.heads);
    let Buffers {
        d_residual,
        wide,
        narrow,
        ..
    } = buffers;
    let inputs = (kept.attended.all(), d_residual.all());
    linear_backward(
        model,
        (&ranges.out, None),
        inputs,
        gradients,
        narrow,
        heads.out_row(),
    )?;
    wide.resize(kept.qkv.len())?;
    let inputs = (kept.qkv.all(), narrow.all());
    attention::backward(&model.device, heads, rows, inputs, wide.all(), scratch)?;
    rotate(model, wide, &rows.positions, -1.0)?;
    for head_norm in head_norms(model, index) {
        let HeadNorm { gain, first, runs } = head_norm;
        let norm = NormBackward {
            x: kept.raw.from(first * runs.width),
            runs,
            count: rows.count * runs.heads,
            reciprocal: kept.head_reciprocal.from(rows.count * first),
            dy: wide.from(first * runs.width),
        };
        norm_backward(model, norm, gain, (norm.dy, Into::Fresh), gradients)?;
    }
    let layer = (&ranges.qkv, ranges.qkv_bias.as_ref());
    let inputs = (kept.norm1.all(), wide.all());
    linear_backward(model, layer, inputs, gradients, narrow, d)?;
    let norm = NormBackward {
        x: kept.input.all(),
        runs: Runs::rows(d),
        count: rows.count,
        reciprocal: kept.reciprocal1.all(),
        dy: narrow.all(),
    };
    let into = (d_residual.all(), Into::Sum);
    norm_backward(model, norm, &ranges.norm1, into, gradients)
}
