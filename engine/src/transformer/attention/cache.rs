//! Keys and values of the positions fed so far, laid out as the tiles read them.
//!
//! A key is written into a panel column by column, so scores need no packing at any step; a value
//! is a row of its panel already. Scores and mixtures are then the folds of
//! [`mix`](super::mix), for one row.

use super::heads::Heads;
use crate::arithmetic::cpu::Kernels;
use crate::arithmetic::elementwise::softmax;
use crate::arithmetic::reduce::LANES;
use crate::arithmetic::tile::{Block, Shape, Strides, Target, WIDTH_MAX, panel_width, tile_rows};

/// Keys and values of one block of one sequence, in the panels the tiles read.
pub(crate) struct Cache {
    /// `[key head][position panel][head width][panel]`.
    keys: Vec<f32>,
    /// `[key head][width panel][position][panel]`.
    values: Vec<f32>,
    capacity: usize,
}

impl Cache {
    pub(crate) fn new(kernels: Kernels, heads: Heads, capacity: usize) -> Self {
        let panel = panel_width(kernels);
        let padded = capacity.next_multiple_of(panel);
        Self {
            keys: vec![0.0; heads.keys * padded * heads.width],
            values: vec![0.0; heads.keys * heads.width.next_multiple_of(panel) * capacity],
            capacity,
        }
    }

    /// Index of the first key panel and the first value panel of a head.
    fn starts(&self, panel: usize, heads: Heads, key_head: usize) -> (usize, usize) {
        let keys = self.capacity.next_multiple_of(panel) * heads.width;
        let values = heads.width.next_multiple_of(panel) * self.capacity;
        (key_head * keys, key_head * values)
    }

    /// Stores the key and value of `row` at `position`.
    pub(crate) fn append(&mut self, kernels: Kernels, heads: Heads, position: usize, row: &[f32]) {
        let panel = panel_width(kernels);
        let width = heads.width;
        for key_head in 0..heads.keys {
            let (keys, values) = self.starts(panel, heads, key_head);
            let key = &row[(heads.queries + key_head) * width..][..width];
            let value = &row[(heads.queries + heads.keys + key_head) * width..][..width];
            let first = keys + position / panel * panel * width + position % panel;
            for (slot, &k) in self.keys[first..].iter_mut().step_by(panel).zip(key) {
                *slot = k;
            }
            for (index, part) in value.chunks(panel).enumerate() {
                let first = values + (index * self.capacity + position) * panel;
                self.values[first..][..part.len()].copy_from_slice(part);
            }
        }
    }

    /// Attention of the queries of `row` over positions `0..=position`.
    pub(crate) fn attend(
        &self,
        kernels: Kernels,
        heads: Heads,
        (position, row): (usize, &[f32]),
        out: &mut [f32],
        scores: &mut Vec<f32>,
    ) {
        let stride = self.capacity.next_multiple_of(WIDTH_MAX);
        let group = heads.group();
        scores.resize(group * stride, 0.0);
        for key_head in 0..heads.keys {
            let first = key_head * group * heads.width;
            for start in (0..group).step_by(tile_rows(kernels)) {
                let rows = tile_rows(kernels).min(group - start);
                let offset = first + start * heads.width;
                let queries = &row[offset..][..rows * heads.width];
                let at = Place {
                    key_head,
                    position,
                    rows,
                    stride,
                };
                self.scores(kernels, heads, at, queries, scores);
                self.mix(kernels, heads, at, scores, &mut out[offset..]);
            }
        }
    }

    fn scores(
        &self,
        kernels: Kernels,
        heads: Heads,
        at: Place,
        queries: &[f32],
        scores: &mut [f32],
    ) {
        let panel = panel_width(kernels);
        let (start, _) = self.starts(panel, heads, at.key_head);
        for index in 0..at.position / panel + 1 {
            let block = Block {
                rows: at.rows,
                depth: heads.width,
                shape: Shape::Full,
                a: queries,
                strides: Strides::rows(heads.width),
                next: &[],
                panel: &self.keys[start + index * panel * heads.width..][..panel * heads.width],
            };
            let c = &mut scores[index * panel..];
            let target = Target {
                c,
                row: at.stride,
                columns: panel,
                accumulate: false,
            };
            block.run(kernels, target);
        }
        for row in scores.chunks_exact_mut(at.stride).take(at.rows) {
            let reach = (at.position + 1).next_multiple_of(LANES);
            softmax(kernels, &mut row[..reach], at.position + 1, heads.scale);
        }
    }

    fn mix(&self, kernels: Kernels, heads: Heads, at: Place, weights: &[f32], out: &mut [f32]) {
        let panel = panel_width(kernels);
        let (_, start) = self.starts(panel, heads, at.key_head);
        for index in 0..heads.width.div_ceil(panel) {
            let values = &self.values[start + index * self.capacity * panel..];
            let block = Block {
                rows: at.rows,
                depth: at.position + 1,
                shape: Shape::Full,
                a: weights,
                strides: Strides::rows(at.stride),
                next: &[],
                panel: &values[..self.capacity * panel],
            };
            let target = Target {
                c: &mut out[index * panel..],
                row: heads.width,
                columns: panel.min(heads.width - index * panel),
                accumulate: false,
            };
            block.run(kernels, target);
        }
    }
}

/// Which queries of which row are at work.
#[derive(Clone, Copy)]
struct Place {
    key_head: usize,
    position: usize,
    /// Queries of one tile.
    rows: usize,
    /// Row stride of the scores.
    stride: usize,
}
