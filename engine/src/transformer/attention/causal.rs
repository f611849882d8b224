//! Tiles of causal matrices: scores, products and transposed products of a block of rows.
//!
//! The weights of attention are computed for a block of rows at a time, `[rows, keys]`, and never
//! for all: a long sequence needs memory for [`BLOCK_ROWS_MAX`] rows of scores. A block continues
//! the folds that the blocks before it began, so its height changes no bit.

use crate::arithmetic::cpu::Kernels;
use crate::arithmetic::gemm::Packed;
use crate::arithmetic::reduce::LANES;
use crate::arithmetic::tile::{
    Block, Shape, Strides, Target, WIDTH_MAX, even_tile_rows, panel_width, tile_rows,
};

/// Rows whose weights are held at a time.
pub(crate) const BLOCK_ROWS_MAX: usize = 132;

/// Buffers of one thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    pub(super) keys_transposed: Packed,
    pub(super) keys: Packed,
    pub(super) values: Packed,
    pub(super) values_transposed: Packed,
    pub(super) queries: Packed,
    pub(super) gradients: Packed,
    /// Rows copied together.
    pub(super) stack: Vec<f32>,
    /// `P` of a block of rows, `[rows, keys]`; beyond the tiles' reach it is stale.
    pub(super) probabilities: Vec<f32>,
    /// `dS` of a block of rows.
    pub(super) slopes: Vec<f32>,
    /// Gradients of one head's keys, `[keys, width]`.
    pub(super) d_keys: Vec<f32>,
    /// Gradients of one head's values.
    pub(super) d_values: Vec<f32>,
}

/// A block of rows of a causal matrix: row `t` of the sequence has columns `0..=t`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows {
    pub(super) kernels: Kernels,
    /// Position of the first row.
    pub(super) first: usize,
    /// Number of rows.
    pub(super) count: usize,
    /// Values from one row of the matrix to the next.
    pub(super) stride: usize,
}

/// The blocks of a sequence's rows `own` (positions), ascending.
pub(super) fn blocks(kernels: Kernels, own: std::ops::Range<usize>) -> impl Iterator<Item = Rows> {
    let stride = own.end.next_multiple_of(WIDTH_MAX);
    let count = own.len().div_ceil(BLOCK_ROWS_MAX).max(1);
    // Blocks of even height, in whole tiles, so that few tiles are short.
    let height = own
        .len()
        .div_ceil(count)
        .next_multiple_of(tile_rows(kernels));
    own.clone().step_by(height.max(1)).map(move |first| Rows {
        kernels,
        first,
        count: height.min(own.end - first),
        stride,
    })
}

/// A matrix with gaps between rows.
#[derive(Clone, Copy)]
pub(super) struct Strided<'a> {
    /// From the first row of the block on.
    pub(super) data: &'a [f32],
    pub(super) row: usize,
}

/// An output matrix with gaps between rows.
pub(super) struct StridedMut<'a> {
    /// From the first row of the block on.
    pub(super) data: &'a mut [f32],
    pub(super) row: usize,
}

impl Rows {
    /// Values that the matrix of this block takes.
    pub(super) fn size(&self) -> usize {
        self.count * self.stride
    }

    /// Height of the tiles.
    fn step(&self) -> usize {
        even_tile_rows(self.kernels, self.count)
    }

    /// Every row of this block's `matrix`, and how many columns of it count. A row ends where the
    /// tiles stop reading it: with the lanes that cover the last row of its tile.
    pub(super) fn rows<'a>(
        &self,
        matrix: &'a mut [f32],
    ) -> impl Iterator<Item = (&'a mut [f32], usize)> {
        let Self { first, count, .. } = *self;
        let step = self.step();
        let rows = matrix.chunks_exact_mut(self.stride).take(count);
        rows.enumerate().map(move |(index, row)| {
            let last = (index / step * step + step).min(count);
            let reach = (first + last).next_multiple_of(LANES);
            (&mut row[..reach], first + index + 1)
        })
    }

    /// `scores[t, s] = fold_k fma(a[t, k], columns[k, s])` for `s` up to the tile's diagonal.
    pub(super) fn scores(&self, a: Strided<'_>, columns: &Packed, scores: &mut [f32]) {
        let panel = panel_width(self.kernels);
        let step = self.step();
        for index in (0..self.count).step_by(step) {
            let rows = step.min(self.count - index);
            let reach = (self.first + index + rows).next_multiple_of(LANES);
            for column in 0..reach.div_ceil(panel) {
                let block = Block {
                    rows,
                    depth: columns.depth(),
                    shape: Shape::Full,
                    a: &a.data[index * a.row..],
                    strides: Strides::rows(a.row),
                    next: &[],
                    panel: columns.panel(panel, column),
                };
                let target = Target {
                    c: &mut scores[index * self.stride + column * panel..],
                    row: self.stride,
                    columns: panel.min(reach - column * panel),
                    accumulate: false,
                };
                block.run(self.kernels, target);
            }
        }
    }

    /// `out[t, j] = fold_{s <= t} fma(weights[t, s], columns[s, j])`.
    pub(super) fn product(&self, weights: &[f32], columns: &Packed, out: StridedMut<'_>) {
        let panel = panel_width(self.kernels);
        let step = self.step();
        for column in 0..columns.columns().div_ceil(panel) {
            for index in (0..self.count).step_by(step) {
                let block = Block {
                    rows: step.min(self.count - index),
                    depth: self.first + index + 1,
                    shape: Shape::Causal,
                    a: &weights[index * self.stride..],
                    strides: Strides::rows(self.stride),
                    next: &[],
                    panel: columns.panel(panel, column),
                };
                let target = Target {
                    c: &mut out.data[index * out.row + column * panel..],
                    row: out.row,
                    columns: panel.min(columns.columns() - column * panel),
                    accumulate: false,
                };
                block.run(self.kernels, target);
            }
        }
    }

    /// `out[s, j]` continues `fold_{t >= s} fma(weights[t, s], columns[t, j])` over this block's
    /// rows; `columns` has the rows of the whole sequence.
    ///
    /// Columns before the block take in all its rows. A tile on the diagonal starts at its own
    /// first row: the terms above the diagonal that it takes in are `±0`, and adding those to the
    /// initial +0 leaves +0.
    pub(super) fn transposed_product(&self, weights: &[f32], columns: &Packed, out: &mut [f32]) {
        let panel = panel_width(self.kernels);
        for column in 0..columns.columns().div_ceil(panel) {
            let whole = even_tile_rows(self.kernels, self.first);
            for index in (0..self.first).step_by(whole) {
                let rows = whole.min(self.first - index);
                self.transposed_tile((index, rows, 0), weights, columns, column, out);
            }
            let step = self.step();
            for skipped in (0..self.count).step_by(step) {
                let rows = step.min(self.count - skipped);
                let index = self.first + skipped;
                self.transposed_tile((index, rows, skipped), weights, columns, column, out);
            }
        }
    }

    /// Output rows `index..index + rows` over the block's rows from `skipped` on.
    fn transposed_tile(
        &self,
        (index, rows, skipped): (usize, usize, usize),
        weights: &[f32],
        columns: &Packed,
        column: usize,
        out: &mut [f32],
    ) {
        let panel = panel_width(self.kernels);
        let width = columns.columns();
        let block = Block {
            rows,
            depth: self.count - skipped,
            shape: Shape::Full,
            a: &weights[skipped * self.stride + index..],
            strides: Strides::columns(self.stride),
            next: &[],
            panel: &columns.panel(panel, column)[(self.first + skipped) * panel..],
        };
        let target = Target {
            c: &mut out[index * width + column * panel..],
            row: width,
            columns: panel.min(width - column * panel),
            accumulate: true,
        };
        block.run(self.kernels, target);
    }
}
