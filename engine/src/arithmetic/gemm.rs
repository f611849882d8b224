//! Matrix products `C = A B` (or `C += A B`) over strided views.
//!
//! Transposition is only a choice of strides, so NN, NT and TN are one function. B is packed into
//! panels of [`panel_width`](super::tile::panel_width) columns; weights that serve many steps are
//! packed once. Threads take disjoint rows of C: no fold is ever divided.

use super::cpu::Kernels;
use super::threads::Threads;
use super::tile::{Block, Shape, Target, even_tile_rows, panel_width};

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
            if b.column == 1 {
                for (k, row) in panel.chunks_exact_mut(width).enumerate() {
                    row[..columns].copy_from_slice(&b.data[k * b.row + first..][..columns]);
                }
            } else {
                pack_transposed(panel, width, b, first, columns);
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

/// Packs columns that are contiguous in memory, 16 steps at a time so that both sides stay in
/// cache.
fn pack_transposed(panel: &mut [f32], width: usize, b: View<'_>, first: usize, columns: usize) {
    const STEPS: usize = 16;
    for (block, rows) in panel.chunks_mut(STEPS * width).enumerate() {
        let k = block * STEPS;
        let steps = rows.len() / width;
        for j in 0..columns {
            let source = (first + j) * b.column + k * b.row;
            if b.row == 1 {
                let source = &b.data[source..][..steps];
                for (slot, &value) in rows[j..].iter_mut().step_by(width).zip(source) {
                    *slot = value;
                }
            } else {
                for step in 0..steps {
                    rows[step * width + j] = b.data[source + step * b.row];
                }
            }
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

fn multiply_rows(kernels: Kernels, a: View<'_>, b: &Packed, c: &mut [f32], start: Start) {
    let width = panel_width(kernels);
    let step = even_tile_rows(kernels, a.rows);
    for index in 0..b.columns.div_ceil(width) {
        let panel = b.panel(width, index);
        let column = index * width;
        for first in (0..a.rows).step_by(step) {
            let block = Block {
                rows: step.min(a.rows - first),
                depth: a.columns,
                shape: Shape::Full,
                a: &a.data[first * a.row..],
                a_row: a.row,
                a_step: a.column,
                panel,
            };
            let target = Target {
                c: &mut c[first * b.columns + column..],
                row: b.columns,
                columns: width.min(b.columns - column),
                accumulate: start == Start::Output,
            };
            block.run(kernels, target);
        }
    }
}

#[cfg(test)]
mod tests;
