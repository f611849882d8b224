//! Causal attention over the rows of a pass: products, softmax, products.
//!
//! The scores of one query head of one sequence are a square. Heads are taken as many at a time as
//! their squares fit into a share of the memory, whole groups of those that share a key head.

use super::driver::DriverError;
use super::memory::{Argument, Array, Device, Part};
use super::rows::Rows;
use crate::transformer::attention::heads::Heads;

/// Buffers of attention.
#[derive(Debug)]
pub(crate) struct Scratch {
    /// `P`, the squares of the heads of a pass.
    weights: Array<f32>,
    /// `dP`, then `dS`.
    slopes: Array<f32>,
    /// Gradients of keys or values by query head, `[rows, heads, width]`.
    sums: Array<f32>,
}

impl Scratch {
    pub(crate) fn new(device: &Device) -> Result<Self, DriverError> {
        Ok(Self {
            weights: device.array(0)?,
            slopes: device.array(0)?,
            sums: device.array(0)?,
        })
    }
}

/// The part of the memory that the squares of a turn may take, unless a single group has more.
const SQUARES_SHARE: u64 = 16;
/// Blocks in the third dimension of a grid.
const DEPTH_MAX: usize = 65_535;

/// The most sequences of a pass: a grid has room for one group of heads of each.
pub(crate) fn sequences_max(heads: Heads) -> usize {
    (DEPTH_MAX / heads.group()).max(1)
}

/// Some heads of all sequences.
struct Turn<'a> {
    device: &'a Device,
    heads: Heads,
    rows: &'a Rows,
    first_key: usize,
    keys: usize,
}

/// Cuts the heads into turns.
fn turns<'a>(
    device: &'a Device,
    heads: Heads,
    rows: &'a Rows,
) -> impl Iterator<Item = Turn<'a>> + use<'a> {
    let group = heads.group();
    let by_memory = device.values(SQUARES_SHARE) / (rows.square_values * group).max(1);
    let by_grid = DEPTH_MAX / (rows.sequences * group).max(1);
    let keys = by_memory.min(by_grid).clamp(1, heads.keys);
    (0..heads.keys).step_by(keys).map(move |first_key| Turn {
        device,
        heads,
        rows,
        first_key,
        keys: keys.min(heads.keys - first_key),
    })
}

impl Turn<'_> {
    /// Query heads of this turn.
    fn queries(&self) -> usize {
        self.keys * self.heads.group()
    }

    fn square_values(&self) -> usize {
        self.rows.square_values * self.queries()
    }

    /// A kernel over all squares: its own arguments, then those that say where they are.
    fn launch(
        &self,
        kernel: &'static str,
        [across, down]: [usize; 2],
        own: &[Argument],
    ) -> Result<(), DriverError> {
        let group = self.heads.group();
        let mut arguments = own.to_vec();
        arguments.extend([
            Argument::from(&self.rows.firsts),
            Argument::from(&self.rows.lengths),
            Argument::from(&self.rows.squares),
            self.queries().into(),
            (self.first_key * group).into(),
            group.into(),
        ]);
        let depth = self.rows.sequences * self.queries();
        self.device
            .launch(kernel, [across, down, depth], 256, &arguments)
    }

    /// `squares[t, s] = a[t] · b[s]`, `a` by query head, `b` by key head.
    fn scores(
        &self,
        (a, a_row): (Part<f32>, usize),
        b: Part<f32>,
        squares: &Array<f32>,
    ) -> Result<(), DriverError> {
        let tiles = self.rows.longest.div_ceil(64);
        let (row, width) = (self.heads.row(), self.heads.width);
        let own = [
            a.into(),
            b.into(),
            squares.into(),
            a_row.into(),
            row.into(),
            width.into(),
        ];
        self.launch("attention_scores", [tiles, tiles], &own)
    }

    /// `P` of this turn's heads.
    fn weights(&self, qkv: Part<f32>, weights: &mut Array<f32>) -> Result<(), DriverError> {
        weights.resize(self.square_values())?;
        let keys = qkv.from(self.heads.key_column(0));
        self.scores((qkv, self.heads.row()), keys, weights)?;
        let own = [(&*weights).into(), self.heads.scale.into()];
        self.launch(
            "attention_softmax",
            [self.rows.longest.div_ceil(16), 1],
            &own,
        )
    }

    /// `out[t] = fold over s <= t of squares[t, s] b[s]`.
    fn mix(
        &self,
        squares: &Array<f32>,
        b: Part<f32>,
        (out, out_row): (Part<f32>, usize),
    ) -> Result<(), DriverError> {
        let (across, down) = (
            self.heads.width.div_ceil(64),
            self.rows.longest.div_ceil(64),
        );
        let own = [
            squares.into(),
            b.into(),
            out.into(),
            self.heads.row().into(),
            out_row.into(),
            self.heads.width.into(),
        ];
        self.launch("attention_mix", [across, down], &own)
    }

    /// `out[s] = Σ_heads fold over t >= s of squares[t, s] b[t]`, to the key columns `out`.
    fn gather(
        &self,
        squares: &Array<f32>,
        (b, b_row): (Part<f32>, usize),
        out: Part<f32>,
        sums: &mut Array<f32>,
    ) -> Result<(), DriverError> {
        let width = self.heads.width;
        sums.resize(self.rows.count * self.queries() * width)?;
        let (across, down) = (width.div_ceil(64), self.rows.longest.div_ceil(64));
        let own = [
            squares.into(),
            b.into(),
            (&*sums).into(),
            b_row.into(),
            width.into(),
        ];
        self.launch("attention_gather", [across, down], &own)?;
        let count = self.rows.count * self.keys * width;
        let arguments = [
            (&*sums).into(),
            out.from(self.first_key * width).into(),
            self.heads.row().into(),
            self.keys.into(),
            self.heads.group().into(),
            width.into(),
            (count as u64).into(),
        ];
        self.device.each("attention_group", count, &arguments)
    }
}

/// `qkv` `[rows, row]` to `out` `[rows, out_row]`.
pub(crate) fn forward(
    device: &Device,
    heads: Heads,
    rows: &Rows,
    qkv: Part<f32>,
    out: Part<f32>,
    scratch: &mut Scratch,
) -> Result<(), DriverError> {
    for turn in turns(device, heads, rows) {
        turn.weights(qkv, &mut scratch.weights)?;
        let values = qkv.from(heads.value_column(0));
        turn.mix(&scratch.weights, values, (out, heads.out_row()))?;
    }
    Ok(())
}

/// `d_out` `[rows, out_row]` to `d_qkv` `[rows, row]`.
pub(crate) fn backward(
    device: &Device,
    heads: Heads,
    rows: &Rows,
    (qkv, d_out): (Part<f32>, Part<f32>),
    d_qkv: Part<f32>,
    scratch: &mut Scratch,
) -> Result<(), DriverError> {
    let (key, value) = (heads.key_column(0), heads.value_column(0));
    for turn in turns(device, heads, rows) {
        let Scratch {
            weights,
            slopes,
            sums,
        } = &mut *scratch;
        turn.weights(qkv, weights)?;
        slopes.resize(turn.square_values())?;
        turn.scores((d_out, heads.out_row()), qkv.from(value), slopes)?;
        let own = [(&*weights).into(), (&*slopes).into(), heads.scale.into()];
        let blocks = [rows.longest.div_ceil(16), 1];
        turn.launch("attention_softmax_backward", blocks, &own)?;
        turn.mix(slopes, qkv.from(key), (d_qkv, heads.row()))?;
        turn.gather(slopes, (qkv, heads.row()), d_qkv.from(key), sums)?;
        let gradients = (d_out, heads.out_row());
        turn.gather(weights, gradients, d_qkv.from(value), sums)?;
    }
    Ok(())
}
