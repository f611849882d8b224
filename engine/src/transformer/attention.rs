//! Causal grouped-query attention over ragged rows, forward and backward.
//!
//! Query heads of one group read the same keys and values; nothing is repeated. Row `t` of a
//! sequence folds over keys `0..=t` only, by causal tiles, so a decoder that sees one row at a
//! time gives the same bits ([`super::decode`]).
//!
//! ```text
//! S[t, s] = fold_k fma(q[t, k], k[s, k])      s <= t
//! P[t, :] = softmax(S[t, 0..=t] / sqrt(head_dim))
//! O[t, j] = fold_s fma(P[t, s], v[s, j])
//! ```

#![expect(clippy::cast_precision_loss, reason = "head_dim is below 2^12")]

mod backward;

use super::config::ModelConfig;
use crate::arithmetic::cpu::Kernels;
use crate::arithmetic::elementwise::softmax;
use crate::arithmetic::gemm::{Packed, View};
use crate::arithmetic::reduce::LANES;
use crate::arithmetic::threads::Threads;
use crate::arithmetic::tile::{Block, Shape, Target, WIDTH_MAX, even_tile_rows, panel_width};

pub(crate) use backward::backward;

/// The widths attention works with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heads {
    pub(crate) queries: usize,
    pub(crate) keys: usize,
    pub(crate) width: usize,
    pub(crate) scale: f32,
}

impl Heads {
    pub(crate) fn new(config: &ModelConfig) -> Self {
        Self {
            queries: config.num_attention_heads,
            keys: config.num_key_value_heads,
            width: config.head_dim,
            scale: 1.0 / (config.head_dim as f32).sqrt(),
        }
    }

    pub(crate) fn group(&self) -> usize {
        self.queries / self.keys
    }

    /// Values in a row of queries, keys and values.
    pub(crate) fn row(&self) -> usize {
        (self.queries + 2 * self.keys) * self.width
    }

    /// Values in a row of outputs.
    pub(crate) fn out_row(&self) -> usize {
        self.queries * self.width
    }

    fn key_column(&self, key_head: usize) -> usize {
        (self.queries + key_head) * self.width
    }

    fn value_column(&self, key_head: usize) -> usize {
        (self.queries + self.keys + key_head) * self.width
    }
}

/// Buffers of one thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    keys_transposed: Packed,
    keys: Packed,
    values: Packed,
    values_transposed: Packed,
    queries: Packed,
    gradients: Packed,
    probabilities: Vec<f32>,
    slopes: Vec<f32>,
    head: Vec<f32>,
}

/// Attention of every sequence: `qkv` `[rows, row]` to `out` `[rows, out_row]`.
pub(crate) fn forward(
    threads: &Threads,
    heads: Heads,
    lengths: &[usize],
    qkv: &[f32],
    out: &mut [f32],
    scratch: &mut Vec<Scratch>,
) {
    let mut tasks = Vec::with_capacity(lengths.len());
    let (mut qkv, mut out) = (qkv, out);
    for &length in lengths {
        let (inputs, rest) = qkv.split_at(length * heads.row());
        let (outputs, out_rest) = out.split_at_mut(length * heads.out_row());
        (qkv, out) = (rest, out_rest);
        tasks.push((length, inputs, outputs));
    }
    share(
        threads,
        &mut tasks,
        scratch,
        |(length, qkv, out), scratch| {
            forward_sequence(threads.kernels(), heads, *length, qkv, out, scratch);
        },
    );
}

/// Gives every thread a contiguous share of the tasks and a scratch of its own.
fn share<T: Send>(
    threads: &Threads,
    tasks: &mut [T],
    scratch: &mut Vec<Scratch>,
    work: impl Fn(&mut T, &mut Scratch) + Sync,
) {
    scratch.resize_with(threads.count().max(scratch.len()), Scratch::default);
    let part = tasks.len().div_ceil(threads.count()).max(1);
    let mut parts: Vec<_> = tasks.chunks_mut(part).zip(scratch.iter_mut()).collect();
    threads.for_tasks(&mut parts, |(tasks, scratch)| {
        for task in tasks.iter_mut() {
            work(task, scratch);
        }
    });
}

fn forward_sequence(
    kernels: Kernels,
    heads: Heads,
    length: usize,
    qkv: &[f32],
    out: &mut [f32],
    scratch: &mut Scratch,
) {
    let width = heads.width;
    for key_head in 0..heads.keys {
        let keys = View::strided(
            &qkv[heads.key_column(key_head)..],
            length,
            width,
            heads.row(),
        );
        let values = View::strided(
            &qkv[heads.value_column(key_head)..],
            length,
            width,
            heads.row(),
        );
        scratch.keys_transposed.pack(kernels, keys.transposed());
        scratch.values.pack(kernels, values);
        for member in 0..heads.group() {
            let head = key_head * heads.group() + member;
            let queries = &qkv[head * width..];
            probabilities(kernels, heads, length, queries, scratch);
            let output = Strided {
                data: &mut out[head * width..],
                row: heads.out_row(),
            };
            let Scratch {
                probabilities,
                values,
                ..
            } = scratch;
            causal_product(kernels, length, probabilities, values, output);
        }
    }
}

/// Row stride of a square causal matrix of `length`.
fn square_row(length: usize) -> usize {
    length.next_multiple_of(WIDTH_MAX)
}

/// Fills `scratch.probabilities`, `[length, square_row]`: 0 above the diagonal, as far as the
/// tiles reach; stale beyond.
fn probabilities(
    kernels: Kernels,
    heads: Heads,
    length: usize,
    queries: &[f32],
    scratch: &mut Scratch,
) {
    let row = square_row(length);
    scratch.probabilities.resize(length * row, 0.0);
    let Scratch {
        keys_transposed,
        probabilities,
        ..
    } = scratch;
    causal_scores(
        kernels,
        length,
        (queries, heads.row()),
        keys_transposed,
        probabilities,
    );
    let step = even_tile_rows(kernels, length);
    for t in 0..length {
        let reach = reach(length, step, t);
        softmax(
            kernels,
            &mut probabilities[t * row..][..reach],
            t + 1,
            heads.scale,
        );
    }
}

/// How many columns of row `t` the tiles of height `step` read: whole lanes that cover the last
/// row of its tile.
fn reach(length: usize, step: usize, t: usize) -> usize {
    let last = (t / step * step + step).min(length);
    last.next_multiple_of(LANES)
}

/// `scores[t, s] = fold_k fma(rows[t, k], columns[k, s])` for `s` up to the tile's diagonal.
fn causal_scores(
    kernels: Kernels,
    length: usize,
    (rows, rows_stride): (&[f32], usize),
    columns: &Packed,
    scores: &mut [f32],
) {
    let row = square_row(length);
    let panel = panel_width(kernels);
    let step = even_tile_rows(kernels, length);
    for first in (0..length).step_by(step) {
        let tile = step.min(length - first);
        for index in 0..(first + tile).div_ceil(panel) {
            let block = Block {
                rows: tile,
                depth: columns.depth(),
                shape: Shape::Full,
                a: &rows[first * rows_stride..],
                a_row: rows_stride,
                a_step: 1,
                panel: columns.panel(panel, index),
            };
            let c = &mut scores[first * row + index * panel..];
            block.run(
                kernels,
                Target {
                    c,
                    row,
                    columns: panel,
                    accumulate: false,
                },
            );
        }
    }
}

/// An output matrix with gaps between rows.
struct Strided<'a> {
    data: &'a mut [f32],
    row: usize,
}

/// `out[t, j] = fold_{s <= t} fma(weights[t, s], columns[s, j])`.
fn causal_product(
    kernels: Kernels,
    length: usize,
    weights: &[f32],
    columns: &Packed,
    out: Strided<'_>,
) {
    let row = square_row(length);
    let panel = panel_width(kernels);
    let step = even_tile_rows(kernels, length);
    for index in 0..columns.columns().div_ceil(panel) {
        for first in (0..length).step_by(step) {
            let block = Block {
                rows: step.min(length - first),
                depth: first + 1,
                shape: Shape::Causal,
                a: &weights[first * row..],
                a_row: row,
                a_step: 1,
                panel: columns.panel(panel, index),
            };
            let target = Target {
                c: &mut out.data[first * out.row + index * panel..],
                row: out.row,
                columns: panel.min(columns.columns() - index * panel),
                accumulate: false,
            };
            block.run(kernels, target);
        }
    }
}
