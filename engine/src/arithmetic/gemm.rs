//! Matrix products `C = A B` (or `C += A B`) over strided views.
//!
//! Transposition is only a choice of strides, so NN, NT and TN are one function. B is packed into
//! panels of [`panel_width`] columns; weights that serve many steps are
//! packed once. Threads take disjoint rows of C: no fold is ever divided.

use super::cpu::{Kernels, kernel};
use super::lines::{LINE, Lines};
use super::threads::Threads;
use super::tile::{Block, Shape, Strides, Target, even_tile_rows, panel_width};
use super::transpose::{SQUARE, transpose_square};
use std::cell::RefCell;

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
    data: Lines,
    depth: usize,
    columns: usize,
}

impl Packed {
    /// Packs `b` (`[depth, columns]`) on this thread, reusing the buffer.
    pub(crate) fn pack(&mut self, kernels: Kernels, b: View<'_>) {
        self.resize(kernels, b);
        for (index, panel) in self.panels_mut(kernels) {
            pack_panel(kernels, b, index, panel);
        }
    }

    /// Packs `b` on all threads, reusing the buffer.
    pub(crate) fn pack_divided(&mut self, threads: &Threads, b: View<'_>) {
        let kernels = threads.kernels();
        self.resize(kernels, b);
        let cost = b.rows * b.columns * PACK_COST;
        threads.for_parts(cost, self.panels_mut(kernels), |(index, panel)| {
            pack_panel(kernels, b, index, panel);
        });
    }

    fn resize(&mut self, kernels: Kernels, b: View<'_>) {
        let width = panel_width(kernels);
        self.depth = b.rows;
        self.columns = b.columns;
        self.data
            .reserve(b.columns.div_ceil(width) * b.rows * width);
    }

    fn panels_mut(&mut self, kernels: Kernels) -> impl Iterator<Item = (usize, &mut [f32])> + Send {
        let width = panel_width(kernels);
        let length = self.columns.div_ceil(width) * self.depth * width;
        let panels = &mut self.data.get_mut()[..length];
        panels
            .chunks_exact_mut((self.depth * width).max(1))
            .enumerate()
    }

    /// Panel `index`.
    pub(crate) fn panel(&self, width: usize, index: usize) -> &[f32] {
        &self.data.get()[index * self.depth * width..][..self.depth * width]
    }

    /// What of panel `index` a tile at `row` of `rows` fetches, while it meets the panel before.
    fn share(&self, width: usize, index: usize, row: usize, rows: usize) -> &[f32] {
        let length = self.depth * width;
        let first = index * length + (length * row / rows).next_multiple_of(LINE);
        self.data.get().get(first..).unwrap_or_default()
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

/// What packing a value costs, in multiply-adds.
const PACK_COST: usize = 24;

pub(super) fn pack_panel(kernels: Kernels, b: View<'_>, index: usize, panel: &mut [f32]) {
    let width = panel_width(kernels);
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

/// Packs columns that are contiguous in memory, in squares of 16 that fit in registers.
fn pack_transposed(
    kernels: Kernels,
    panel: &mut [f32],
    width: usize,
    b: View<'_>,
    (first, columns): (usize, usize),
) {
    for step in (0..b.rows).step_by(SQUARE) {
        for start in (0..columns).step_by(SQUARE) {
            let source = &b.data[(first + start) * b.column + step * b.row..];
            let target = &mut panel[step * width + start..];
            if b.row == 1 && b.rows - step >= SQUARE && columns - start >= SQUARE {
                transpose_square(kernels, (source, b.column), (target, width));
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
    let cost = a.rows * b.columns * b.depth;
    let part = threads.part_rows(a.rows, cost, 1).min(PART_ROWS_MAX);
    let parts = c.chunks_mut(part * b.columns).enumerate();
    threads.for_parts(cost, parts, |(index, c)| {
        let rows = View {
            data: &a.data[index * part * a.row..],
            rows: c.len() / b.columns,
            ..a
        };
        multiply_rows(kernels, rows, b, c, start);
    });
}

/// A left operand of any layout that a tile reads in place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operand<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) depth: usize,
    pub(crate) strides: Strides,
}

impl<'a> Operand<'a> {
    /// A matrix whose rows lie without gaps.
    pub(crate) fn rows(a: View<'a>) -> Self {
        debug_assert_eq!(a.column, 1, "columns have gaps");
        Self {
            data: a.data,
            rows: a.rows,
            depth: a.columns,
            strides: Strides::rows(a.row),
        }
    }
}

/// A product's result: row `i`, column `j` of panel `p` is `data[p * panel + i * row + j]`.
#[derive(Debug)]
pub(crate) struct Output<'a> {
    pub(crate) data: &'a mut [f32],
    pub(crate) row: usize,
    pub(crate) panel: usize,
}

impl<'a> Output<'a> {
    /// A row-major result of `columns` columns; panels are neighbours in a row.
    pub(crate) fn rows(kernels: Kernels, data: &'a mut [f32], columns: usize) -> Self {
        Self {
            data,
            row: columns,
            panel: panel_width(kernels),
        }
    }
}

/// `C = A B` (or `C += A B`) on this thread, with A and C in any layout.
pub(crate) fn multiply_here(
    kernels: Kernels,
    a: Operand<'_>,
    b: &Packed,
    mut c: Output<'_>,
    start: Start,
) {
    assert_eq!(
        a.depth, b.depth,
        "inner dimensions of a matrix product differ"
    );
    if a.rows == 0 {
        return;
    }
    // Whole pieces, so that every pass begins with one.
    let steps = b.depth.div_ceil(b.depth.div_ceil(PASS_STEPS_MAX).max(1));
    let steps = steps
        .next_multiple_of(a.strides.piece.min(steps).max(1))
        .max(1);
    for first in (0..b.depth.max(1)).step_by(steps) {
        let pass = Pass {
            kernels,
            first,
            steps: steps.min(b.depth - first),
            accumulate: first > 0 || start == Start::Output,
        };
        pass.panels_outside(a, b, &mut c);
    }
}

/// Rows of C that are finished before others are begun: whole tiles of every path, few enough for
/// their pages and the rows of A to stay at hand.
const PART_ROWS_MAX: usize = 96;

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
        self.packed.pack_divided(threads, View::new(b, k, n));
        multiply(threads, View::new(a, m, k), &self.packed, c, Start::Zero);
    }
}

/// Steps of one pass over the operands; between passes the folds wait in C.
const PASS_STEPS_MAX: usize = 1024;
/// Steps of one pass over an A that is copied.
const COPY_STEPS_MAX: usize = 512;
/// Columns and rows of B from which copying a row-major A pays.
const COPY_COLUMNS_MIN: usize = 768;
const COPY_DEPTH_MIN: usize = 768;
/// Tiles of A that are copied together: whole cache lines of a transposed A.
const GROUP_TILES: usize = 4;
/// Values from one step of a copied tile to the next.
const COPY_STEP: usize = LINE;

fn multiply_rows(kernels: Kernels, a: View<'_>, b: &Packed, c: &mut [f32], start: Start) {
    let in_place = a.column == 1 && (b.columns < COPY_COLUMNS_MIN || b.depth < COPY_DEPTH_MIN);
    let steps_max = if in_place {
        PASS_STEPS_MAX
    } else {
        COPY_STEPS_MAX
    };
    let steps = b.depth.div_ceil(b.depth.div_ceil(steps_max));
    for first in (0..b.depth).step_by(steps) {
        let pass = Pass {
            kernels,
            first,
            steps: steps.min(b.depth - first),
            accumulate: first > 0 || start == Start::Output,
        };
        if in_place {
            let a = Operand::rows(a);
            pass.panels_outside(a, b, &mut Output::rows(kernels, c, b.columns));
        } else {
            COPY.with_borrow_mut(|copy| {
                copy.reserve(GROUP_TILES * COPY_STEPS_MAX * COPY_STEP);
                pass.rows_outside(a, b, c, copy.get_mut());
            });
        }
    }
}

thread_local! {
    /// Some tiles of A in the order in which they are read, each step on a cache line. Every
    /// thread has one, made when it first needs it.
    static COPY: RefCell<Lines> = RefCell::default();
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
    /// A is read in place, under one panel of B after another.
    fn panels_outside(self, a: Operand<'_>, b: &Packed, c: &mut Output<'_>) {
        let tile = even_tile_rows(self.kernels, a.rows);
        for panel in 0..b.columns.div_ceil(panel_width(self.kernels)) {
            for row in (0..a.rows).step_by(tile) {
                let part = Operand {
                    data: &a.data[a.strides.index(row, self.first)..],
                    rows: tile.min(a.rows - row),
                    ..a
                };
                self.tile(part, (b, panel), c, (row, a.rows));
            }
        }
    }

    /// Any other A is copied some tiles at a time, and each copy meets all panels of B.
    fn rows_outside(self, a: View<'_>, b: &Packed, c: &mut [f32], copy: &mut [f32]) {
        let c = &mut Output::rows(self.kernels, c, b.columns);
        let tile = even_tile_rows(self.kernels, a.rows);
        for group in (0..a.rows).step_by(GROUP_TILES * tile) {
            let group_rows = (GROUP_TILES * tile).min(a.rows - group);
            self.copy(a, (group, group_rows, tile), copy);
            for panel in 0..b.columns.div_ceil(panel_width(self.kernels)) {
                let tiles = copy.chunks_exact(COPY_STEPS_MAX * COPY_STEP);
                for (row, data) in (0..group_rows).step_by(tile).zip(tiles) {
                    let part = Operand {
                        data,
                        rows: tile.min(group_rows - row),
                        depth: self.steps,
                        strides: Strides::columns(COPY_STEP),
                    };
                    self.tile(part, (b, panel), c, (group + row, a.rows));
                }
            }
        }
    }

    /// Copies this pass's steps of rows `first..first + rows` of A.
    fn copy(self, a: View<'_>, (first, rows, tile): (usize, usize, usize), copy: &mut [f32]) {
        let source = &a.data[self.first * a.column + first * a.row..];
        if a.row == 1 {
            return copy_columns(
                self.kernels,
                source,
                a.column,
                [self.steps, rows, tile],
                copy,
            );
        }
        let tiles = copy.chunks_exact_mut(COPY_STEPS_MAX * COPY_STEP);
        for (row, copy) in (0..rows).step_by(tile).zip(tiles) {
            let part = View {
                data: &source[row * a.row..],
                rows: self.steps,
                columns: tile.min(rows - row),
                row: a.column,
                column: a.row,
            };
            pack_transposed(self.kernels, copy, COPY_STEP, part, (0, part.columns));
        }
    }

    /// One tile of A, from this pass's first step on, against a panel of B, into C from `row` of
    /// `rows` on.
    fn tile(
        self,
        a: Operand<'_>,
        (b, panel): (&Packed, usize),
        c: &mut Output<'_>,
        (row, rows): (usize, usize),
    ) {
        let width = panel_width(self.kernels);
        let block = Block {
            rows: a.rows,
            depth: self.steps,
            shape: Shape::Full,
            a: a.data,
            strides: a.strides,
            panel: &b.panel(width, panel)[self.first * width..],
            next: b.share(width, panel + 1, row, rows),
        };
        let target = Target {
            c: &mut c.data[panel * c.panel + row * c.row..],
            row: c.row,
            columns: width.min(b.columns - panel * width),
            accumulate: self.accumulate,
        };
        block.run(self.kernels, target);
    }
}

kernel! {
    /// Copies `[steps, rows, rows of a tile]` of A in tiles, where a step's rows are
    /// neighbours; rows beyond a tile may come along.
    fn copy_columns(
        source: &[f32],
        step: usize,
        shape: [usize; 3],
        copy: &mut [f32],
    ) {
        let [steps, rows, tile] = shape;
        let whole = source.len().checked_sub(GROUP_TILES * COPY_STEP).map_or(0, |last| last / step);
        for k in 0..whole.min(steps) {
            for index in 0..rows.div_ceil(tile) {
                let from = source[k * step + index * tile..].first_chunk::<COPY_STEP>();
                let to = copy[(index * COPY_STEPS_MAX + k) * COPY_STEP..].first_chunk_mut();
                if let (Some(from), Some(to)) = (from, to) {
                    *to = *from;
                }
            }
        }
        for k in whole.min(steps)..steps {
            for row in 0..rows {
                let first = (row / tile * COPY_STEPS_MAX + k) * COPY_STEP;
                copy[first + row % tile] = source[k * step + row];
            }
        }
    }
}

#[cfg(test)]
mod tests;
