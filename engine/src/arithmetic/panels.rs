//! Activations in the order in which products read them.
//!
//! A matrix of activations serves three products: on the way forward it is the left operand, for
//! a weight's gradient `dW = dYᵀ X` it is the right one, or, transposed, the left. In blocks of
//! rows and panels of columns,
//!
//! ```text
//! element (t, j) = data[block t / height][panel j / width][row t % height][column j % width]
//! ```
//!
//! all three read memory in order and nothing is copied: a block's panel *is* a packed panel whose
//! depth is the block's rows, and a tile of the left operand takes whole cache lines of it. Who
//! computes a matrix writes it in this form. A block is one piece of memory, so threads take
//! blocks, and carry one through all the steps of a layer while it is in their caches.

use super::cpu::Kernels;
use super::gemm::{Operand, Output, View, pack_panel};
use super::lines::Lines;
use super::tile::{
    Block, FETCH_STEP, Shape, Strides, Target, even_tile_rows, fetch_tile, panel_width,
};
use std::ops::Range;

/// Rows of a block: a block and what a layer makes of it fit in a second-level cache, and a weight
/// gradient's outputs are fetched and stored once for as many steps.
pub(crate) const BLOCK_ROWS: usize = 128;

/// A matrix `[rows, columns]` in blocks and panels.
#[derive(Clone, Debug, Default)]
pub(crate) struct Panels {
    data: Lines,
    rows: usize,
    shape: BlockShape,
}

/// What the blocks of a matrix have in common.
#[derive(Clone, Copy, Debug, Default)]
struct BlockShape {
    columns: usize,
    width: usize,
    /// Rows from one panel to the next.
    height: usize,
}

impl BlockShape {
    fn panels(self) -> usize {
        self.columns.div_ceil(self.width)
    }

    /// Values of a panel.
    fn panel(self) -> usize {
        self.height * self.width
    }

    /// Values of a block.
    fn block(self) -> usize {
        self.panels() * self.panel()
    }
}

impl Panels {
    /// Gives the matrix another shape; what it holds is then stale.
    pub(crate) fn resize(&mut self, kernels: Kernels, rows: usize, columns: usize) {
        self.rows = rows;
        self.shape = BlockShape {
            columns,
            width: panel_width(kernels),
            height: rows.min(BLOCK_ROWS),
        };
        self.data
            .reserve(rows.div_ceil(BLOCK_ROWS) * self.shape.block());
    }

    /// Rows of block `index`.
    fn block_rows(&self, index: usize) -> usize {
        BLOCK_ROWS.min(self.rows - index * BLOCK_ROWS)
    }

    /// The blocks, in the order of their rows.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = RowBlock<'_>> + Send + Clone {
        let blocks = self.data.get().chunks_exact(self.shape.block().max(1));
        let count = self.rows.div_ceil(BLOCK_ROWS);
        blocks
            .take(count)
            .enumerate()
            .map(|(index, data)| RowBlock {
                data,
                rows: self.block_rows(index),
                shape: self.shape,
            })
    }

    /// The blocks, to be written.
    pub(crate) fn blocks_mut(&mut self) -> impl Iterator<Item = RowBlockMut<'_>> + Send {
        let Self { rows, shape, .. } = *self;
        let blocks = self.data.get_mut().chunks_exact_mut(shape.block().max(1));
        let count = rows.div_ceil(BLOCK_ROWS);
        blocks
            .take(count)
            .enumerate()
            .map(move |(index, data)| RowBlockMut {
                data,
                rows: BLOCK_ROWS.min(rows - index * BLOCK_ROWS),
                shape,
            })
    }

    /// Rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Columns.
    pub(crate) fn columns(&self) -> usize {
        self.shape.columns
    }

    /// Panels of a block.
    pub(crate) fn panels(&self) -> usize {
        self.shape.panels()
    }

    /// Columns of a panel.
    pub(crate) fn width(&self) -> usize {
        self.shape.width
    }
}

/// Some rows of a matrix in panels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowBlock<'a> {
    data: &'a [f32],
    rows: usize,
    shape: BlockShape,
}

impl<'a> RowBlock<'a> {
    /// `[rows, width]` values of panel `index`; columns beyond the last are stale.
    fn panel(&self, index: usize) -> &'a [f32] {
        &self.data[index * self.shape.panel()..][..self.rows * self.shape.width]
    }

    /// The left operand of a product.
    pub(crate) fn operand(&self) -> Operand<'a> {
        Operand {
            data: self.data,
            rows: self.rows,
            depth: self.shape.columns,
            strides: Strides::panels(self.shape.width, self.shape.height),
        }
    }
}

/// Some rows of a matrix in panels, to be written.
#[derive(Debug)]
pub(crate) struct RowBlockMut<'a> {
    data: &'a mut [f32],
    rows: usize,
    shape: BlockShape,
}

impl RowBlockMut<'_> {
    /// The block, to be read.
    pub(crate) fn read(&self) -> RowBlock<'_> {
        RowBlock {
            data: self.data,
            rows: self.rows,
            shape: self.shape,
        }
    }

    /// The output of a product.
    pub(crate) fn output(&mut self) -> Output<'_> {
        Output {
            row: self.shape.width,
            panel: self.shape.panel(),
            data: self.data,
        }
    }

    /// The panels, `[rows, width]` each; columns beyond the last are stale.
    pub(crate) fn panels_mut(&mut self) -> impl Iterator<Item = &mut [f32]> {
        let length = self.rows * self.shape.width;
        let panels = self.data.chunks_exact_mut(self.shape.panel().max(1));
        panels.map(move |panel| &mut panel[..length])
    }

    /// Copies `rows`, row-major.
    pub(crate) fn copy(&mut self, kernels: Kernels, rows: &[f32]) {
        let view = View::new(rows, self.rows, self.shape.columns);
        for (index, panel) in self.panels_mut().enumerate() {
            pack_panel(kernels, view, index, panel);
        }
    }
}

/// Continues the folds `c[o, j] = fold_t fma(dy[t, o], x[t, j])` over all rows, for the columns
/// `o` of panels `panels` of `dy`; `c` is row-major.
///
/// A block of rows meets all of `c` before the next block begins: block and `c` are then in the
/// second-level cache, and what comes from beyond it is read once.
pub(crate) fn weight_gradient(
    kernels: Kernels,
    (dy, panels): (&Panels, Range<usize>),
    x: &Panels,
    c: &mut [f32],
) {
    let (columns, width) = (x.shape.columns, x.shape.width);
    let mut following = dy.blocks().zip(x.blocks()).skip(1);
    for (dy, x) in dy.blocks().zip(x.blocks()) {
        let next = following.next().unwrap_or((dy, x));
        for (index, c) in panels.clone().zip(c.chunks_mut(width * columns)) {
            let mut ahead = Ahead::new(next, (dy, index), &panels);
            let outputs = c.len() / columns;
            let tile = even_tile_rows(kernels, outputs);
            for panel in 0..x.shape.panels() {
                for row in (0..outputs).step_by(tile) {
                    let block = Block {
                        rows: tile.min(outputs - row),
                        depth: dy.rows,
                        shape: Shape::Full,
                        a: &dy.panel(index)[row..],
                        strides: Strides::columns(width),
                        panel: x.panel(panel),
                        next: ahead.take(dy.rows * FETCH_STEP),
                    };
                    let after = if row + tile < outputs {
                        (row + tile) * columns + panel * width
                    } else {
                        (panel + 1) * width
                    };
                    fetch_tile(kernels, c.get(after..).unwrap_or_default(), columns, tile);
                    let target = Target {
                        c: &mut c[row * columns + panel * width..],
                        row: columns,
                        columns: width.min(columns - panel * width),
                        accumulate: true,
                    };
                    block.run(kernels, target);
                }
            }
        }
    }
}

/// What the tiles of one panel of `dy` fetch for those after it: the next panel, and a share of
/// the next block of `x`.
struct Ahead<'a> {
    dy: &'a [f32],
    x: &'a [f32],
}

impl<'a> Ahead<'a> {
    fn new(
        (next_dy, next_x): (RowBlock<'a>, RowBlock<'a>),
        (dy, index): (RowBlock<'a>, usize),
        panels: &Range<usize>,
    ) -> Self {
        let length = next_x.data.len();
        let share = |index: usize| (index - panels.start) * length / panels.len();
        Self {
            dy: if index + 1 < panels.end {
                dy.panel(index + 1)
            } else {
                next_dy.panel(panels.start)
            },
            x: &next_x.data[share(index)..share(index + 1)],
        }
    }

    /// The next `count` values, `dy` first.
    fn take(&mut self, count: usize) -> &'a [f32] {
        let from = if self.dy.is_empty() {
            &mut self.x
        } else {
            &mut self.dy
        };
        let (taken, rest) = from.split_at(count.min(from.len()));
        *from = rest;
        taken
    }
}

#[cfg(test)]
mod tests;
