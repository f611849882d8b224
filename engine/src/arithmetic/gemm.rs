//! Matrix products `C = A B` (or `C += A B`) over strided views.
//!
//! Transposition is only a choice of strides, so NN, NT and TN are one function. B is packed into
//! panels of [`panel_width`] columns; weights that serve many steps are
//! packed once. Threads take disjoint rows of C: no fold is ever divided.

use super::cpu::{Kernels, kernel};
use super::threads::Threads;
use super::tile::{Block, Shape, TILE_ROWS_MAX, Target, even_tile_rows, panel_width};

/// A read-only matrix: element `(i, j)` is `data[i * row + j * column]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) row: usize,
    pub(crate) column: usize,
}

impl<'a> View<'a> {
    /// A row-major matrix without gaps.
    pub(crate) fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self {
            data,
            rows,
            columns,
            row: columns,
            column: 1,
        }
    }

    /// A row-major matrix of `columns` values out of each `row`.
    pub(crate) fn strided(data: &'a [f32], rows: usize, columns: usize, row: usize) -> Self {
        Self {
            data,
            rows,
            columns,
            row,
            column: 1,
        }
    }

    /// The same matrix transposed.
    pub(crate) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row: self.column,
            column: self.row,
            ..self
        }
    }
}

/// A right operand in panels: panel `p`, row `k`, column `j` is
/// `data[(p * depth + k) * width + j]`, zero beyond the last column.
#[derive(Clone, Debug, Default)]
pub(crate) struct Packed {
    data: Vec<f32>,
    depth: usize,
    columns: usize,
}

impl Packed {
    /// Packs `b` (`[depth, columns]`), reusing the buffer.
    pub(crate) fn pack(&mut self, kernels: Kernels, b: View<'_>) {
        let width = panel_width(kernels);
        self.depth = b.rows;
        self.columns = b.columns;
        let panels = b.columns.div_ceil(width);
        self.data.resize(panels * b.rows * width, 0.0);
        if b.rows == 0 {
            return;
        }
        for (index, panel) in self.data.chunks_exact_mut(b.rows * width).enumerate() {
            let first = index * width;
            let columns = width.min(b.columns - first);
            if columns < width {
                panel.fill(0.0);
            }
            if b.column == 1 && columns == width {
                copy_panel(kernels, &b.data[first..], b.row, panel, width);
            } else if b.column == 1 {
                for (k, row) in panel.chunks_exact_mut(width).enumerate() {
                    row[..columns].copy_from_slice(&b.data[k * b.row + first..][..columns]);
                }
            } else {
                pack_transposed(kernels, panel, width, b, (first, columns));
            }
        }
    }

    /// Panel `index`.
    pub(crate) fn panel(&self, width: usize, index: usize) -> &[f32] {
        &self.data[index * self.depth * width..][..self.depth * width]
    }

    /// The inner dimension.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// The number of columns.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }
}

/// Packs columns that are contiguous in memory, in squares of 16 that fit in registers.
fn pack_transposed(
    kernels: Kernels,
    panel: &mut [f32],
    width: usize,
    b: View<'_>,
    (first, columns): (usize, usize),
) {
    const SQUARE: usize = 16;
    for step in (0..b.rows).step_by(SQUARE) {
        for start in (0..columns).step_by(SQUARE) {
            let source = &b.data[(first + start) * b.column + step * b.row..];
            let target = &mut panel[step * width + start..];
            if b.row == 1 && b.rows - step >= SQUARE && columns - start >= SQUARE {
                transpose_square(kernels, source, b.column, target, width);
                continue;
            }
            for j in 0..SQUARE.min(columns - start) {
                for k in 0..SQUARE.min(b.rows - step) {
                    target[k * width + j] = source[j * b.column + k * b.row];
                }
            }
        }
    }
}

kernel! {
    /// Copies whole rows of 16 or 32 values out of wider rows.
    fn copy_panel(source: &[f32], source_row: usize, panel: &mut [f32], width: usize) {
        if width == 32 {
            copy_rows::<32>(source, source_row, panel);
        } else {
            copy_rows::<16>(source, source_row, panel);
        }
    }
}

#[inline(always)]
fn copy_rows<const WIDTH: usize>(source: &[f32], source_row: usize, panel: &mut [f32]) {
    for (k, row) in panel.as_chunks_mut::<WIDTH>().0.iter_mut().enumerate() {
        row.copy_from_slice(&source[k * source_row..][..WIDTH]);
    }
}

kernel! {
    /// `target[k, j] = source[j, k]` for a square of 16.
    fn transpose_square(
        source: &[f32],
        source_row: usize,
        target: &mut [f32],
        target_row: usize,
    ) {
        let mut square = [[0.0; 16]; 16];
        for (j, row) in square.iter_mut().enumerate() {
            row.copy_from_slice(&source[j * source_row..][..16]);
        }
        for k in 0..16 {
            let mut column = [0.0; 16];
            for (slot, row) in column.iter_mut().zip(&square) {
                *slot = row[k];
            }
            target[k * target_row..][..16].copy_from_slice(&column);
        }
    }
}

/// Whether a product starts its folds from +0 or from what C holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Zero,
    Output,
}

/// `C = A B`, `C` row-major `[a.rows, b.columns]` without gaps.
///
/// Every element is the left fold of `fma(a[i, k], b[k, j], acc)` over ascending `k`.
pub(crate) fn multiply(threads: &Threads, a: View<'_>, b: &Packed, c: &mut [f32], start: Start) {
    assert_eq!(
        a.columns, b.depth,
        "inner dimensions of a matrix product differ"
    );
    assert_eq!(
        c.len(),
        a.rows * b.columns,
        "output of a matrix product has another size"
    );
    if b.depth == 0 && start == Start::Zero {
        c.fill(0.0);
    }
    if c.is_empty() || b.depth == 0 {
        return;
    }
    let kernels = threads.kernels();
    threads.for_rows(c, b.columns, a.rows * b.columns * b.depth, |first, c| {
        let rows = c.len() / b.columns;
        let part = View {
            data: &a.data[first * a.row..],
            rows,
            ..a
        };
        multiply_rows(kernels, part, b, c, start);
    });
}

/// A matrix product of plain slices, for measurements and tests of the rule.
#[derive(Clone, Debug, Default)]
pub struct MatrixProduct {
    packed: Packed,
}

impl MatrixProduct {
    /// `c = a b`: `a` `[m, k]`, `b` `[k, n]`, `c` `[m, n]`, f32 row-major, packing included.
    ///
    /// Every element is the left fold of `fma(a[i, k], b[k, j], acc)` over ascending `k`.
    ///
    /// # Panics
    /// If a slice is not as long as its shape says.
    pub fn run(
        &mut self,
        threads: &Threads,
        (a, b, c): (&[f32], &[f32], &mut [f32]),
        (m, k, n): (usize, usize, usize),
    ) {
        assert_eq!(
            (a.len(), b.len()),
            (m * k, k * n),
            "operand of another size"
        );
        self.packed.pack(threads.kernels(), View::new(b, k, n));
        multiply(threads, View::new(a, m, k), &self.packed, c, Start::Zero);
    }
}

/// Steps of one pass over the operands: a panel of so many rows stays in the first-level cache.
/// Between passes the folds wait in C.
const PASS_STEPS: usize = 256;

fn multiply_rows(kernels: Kernels, a: View<'_>, b: &Packed, c: &mut [f32], start: Start) {
    let passes = b.depth.div_ceil(PASS_STEPS);
    let steps = b.depth.div_ceil(passes);
    for first in (0..b.depth).step_by(steps) {
        let pass = Pass {
            kernels,
            first,
            steps: steps.min(b.depth - first),
            accumulate: first > 0 || start == Start::Output,
        };
        if a.column == 1 {
            pass.panels_outside(a, b, c);
        } else {
            pass.rows_outside(a, b, c);
        }
    }
}

/// Some steps of all folds.
#[derive(Clone, Copy)]
struct Pass {
    kernels: Kernels,
    first: usize,
    steps: usize,
    accumulate: bool,
}

impl Pass {
    /// A row-major A is read in place, under one panel of B after another.
    fn panels_outside(self, a: View<'_>, b: &Packed, c: &mut [f32]) {
        let tile = even_tile_rows(self.kernels, a.rows);
        for panel in 0..b.columns.div_ceil(panel_width(self.kernels)) {
            for row in (0..a.rows).step_by(tile) {
                let data = &a.data[row * a.row + self.first..];
                let operand = (data, tile.min(a.rows - row), a.row, 1);
                self.tile(operand, b, panel, &mut c[row * b.columns..]);
            }
        }
    }

    /// Any other A is copied tile by tile, and each copy meets all panels of B.
    fn rows_outside(self, a: View<'_>, b: &Packed, c: &mut [f32]) {
        let tile = even_tile_rows(self.kernels, a.rows);
        let mut copy = [0.0; PASS_STEPS * TILE_ROWS_MAX];
        for row in (0..a.rows).step_by(tile) {
            let rows = tile.min(a.rows - row);
            let source = &a.data[self.first * a.column + row * a.row..];
            for (step, copy) in copy
                .as_chunks_mut()
                .0
                .iter_mut()
                .take(self.steps)
                .enumerate()
            {
                gather(&source[step * a.column..], a.row, rows, copy);
            }
            for panel in 0..b.columns.div_ceil(panel_width(self.kernels)) {
                self.tile(
                    (&copy, rows, 1, TILE_ROWS_MAX),
                    b,
                    panel,
                    &mut c[row * b.columns..],
                );
            }
        }
    }

    /// One tile: `(data, rows, row stride, step stride)` of A against a panel of B.
    fn tile(
        self,
        (data, rows, a_row, a_step): (&[f32], usize, usize, usize),
        b: &Packed,
        panel: usize,
        c: &mut [f32],
    ) {
        let width = panel_width(self.kernels);
        let column = panel * width;
        let block = Block {
            rows,
            depth: self.steps,
            shape: Shape::Full,
            a: data,
            a_row,
            a_step,
            panel: &b.panel(width, panel)[self.first * width..],
        };
        let target = Target {
            c: &mut c[column..],
            row: b.columns,
            columns: width.min(b.columns - column),
            accumulate: self.accumulate,
        };
        block.run(self.kernels, target);
    }
}

/// Copies one step of a tile's rows; rows beyond the tile may come along.
#[inline(always)]
fn gather(source: &[f32], stride: usize, rows: usize, copy: &mut [f32; TILE_ROWS_MAX]) {
    if stride == 1
        && let Some(whole) = source.first_chunk()
    {
        *copy = *whole;
        return;
    }
    for (index, slot) in copy.iter_mut().enumerate().take(rows) {
        *slot = source[index * stride];
    }
}

#[cfg(test)]
mod tests;
