//! Causal grouped-query attention over the rows of a pass, forward and backward.
//!
//! Query heads of one group read the same keys and values; nothing is repeated. Row `t` of a
//! sequence folds over keys `0..=t` only, by causal tiles, so a decoder that sees one row at a
//! time gives the same bits ([`super::cache`]).
//!
//! ```text
//! S[t, s] = fold_k fma(q[t, k], k[s, k])      s <= t
//! P[t, :] = softmax(S[t, 0..=t] / sqrt(head_dim))
//! O[t, j] = fold_s fma(P[t, s], v[s, j])
//!
//! dP = dO Vᵀ                                  dS = P (dP - rowsum(P dP)) / sqrt(head_dim)
//! dQ[t] = fold_{s <= t} dS[t, s] k[s]         dK[s] = Σ_heads fold_{t >= s} dS[t, s] q[t]
//! dV[s] = Σ_heads fold_{t >= s} P[t, s] dO[t]
//! ```

use super::causal::{self, Scratch, Strided, StridedMut, blocks};
use super::heads::Heads;
use crate::arithmetic::cpu::Kernels;
use crate::arithmetic::elementwise::{SoftmaxRow, add, softmax, softmax_again, softmax_backward};
use crate::arithmetic::gemm::{Packed, View};
use crate::arithmetic::threads::Threads;
use crate::transformer::rows::{Rows, Segment, Span};
use std::sync::{Mutex, PoisonError};

/// What a forward pass gives: the mixtures, `[rows, out_row]`, and the normalisers of their
/// weights, `[rows, queries]`, with which the way back computes them again in one pass.
pub(crate) type Outputs<'a> = (&'a mut [f32], &'a mut [SoftmaxRow]);

/// What the way back reads: `qkv`, the normalisers, and the mixtures' gradients.
pub(crate) type Inputs<'a> = (&'a [f32], &'a [SoftmaxRow], &'a [f32]);

/// Attention of every segment of `qkv` `[rows, row]`.
pub(crate) fn forward(
    threads: &Threads,
    heads: Heads,
    rows: &Rows,
    qkv: &[f32],
    (out, normalisers): Outputs<'_>,
    scratch: &mut Vec<Scratch>,
) {
    let segments = rows.segments();
    let outputs = pieces(segments, out, heads.out_row());
    let outputs = outputs.zip(pieces(segments, normalisers, heads.queries));
    let tasks = segments.iter().zip(outputs);
    share(threads, tasks, scratch, |(segment, outputs), scratch| {
        forward_segment(threads.kernels(), heads, segment, qkv, outputs, scratch);
    });
}

/// The rows of every segment in a matrix of `width` columns.
fn pieces<'a, T>(
    segments: &'a [Segment],
    mut rest: &'a mut [T],
    width: usize,
) -> impl ExactSizeIterator<Item = &'a mut [T]> {
    segments.iter().map(move |segment| {
        let (own, after) = std::mem::take(&mut rest).split_at_mut(segment.own.length * width);
        rest = after;
        own
    })
}

/// Every thread takes one task after another, and has a scratch.
fn share<T>(
    threads: &Threads,
    tasks: impl ExactSizeIterator<Item = T> + Send,
    scratch: &mut Vec<Scratch>,
    work: impl Fn(T, &mut Scratch) + Sync,
) {
    let count = threads.count().min(tasks.len()).max(1);
    scratch.resize_with(count.max(scratch.len()), Scratch::default);
    let tasks = Mutex::new(tasks);
    let next = || tasks.lock().unwrap_or_else(PoisonError::into_inner).next();
    threads.for_tasks(&mut scratch[..count], |scratch| {
        while let Some(task) = next() {
            work(task, scratch);
        }
    });
}

/// Panels to fill, and room to copy rows together.
type Buffers<'a> = (&'a mut Packed, &'a mut Vec<f32>);

/// One head's columns of a segment's rows in a matrix of rows of `row` values, the parent's
/// rows first.
#[derive(Clone, Copy)]
struct Columns<'a> {
    data: &'a [f32],
    row: usize,
    column: usize,
    width: usize,
}

impl<'a> Columns<'a> {
    fn view(&self, span: Span) -> View<'a> {
        let first = span.first * self.row + self.column;
        View::strided(&self.data[first..], span.length, self.width, self.row)
    }

    fn pack(&self, kernels: Kernels, segment: &Segment, (packed, stack): Buffers<'_>) {
        packed.pack(kernels, self.stacked(segment, stack));
    }

    fn pack_transposed(&self, kernels: Kernels, segment: &Segment, (packed, stack): Buffers<'_>) {
        packed.pack(kernels, self.stacked(segment, stack).transposed());
    }

    /// All rows the segment attends to, copied together where they lie apart.
    fn stacked<'b>(&self, segment: &Segment, stack: &'b mut Vec<f32>) -> View<'b>
    where
        'a: 'b,
    {
        if segment.parent.length == 0 {
            return self.view(segment.own);
        }
        stack.clear();
        for span in [segment.parent, segment.own] {
            for row in span.first..span.first + span.length {
                let first = row * self.row + self.column;
                stack.extend_from_slice(&self.data[first..][..self.width]);
            }
        }
        View::new(stack, segment.total(), self.width)
    }

    /// The rows from `index` of the segment on.
    fn rows(&self, segment: &Segment, index: usize) -> Strided<'a> {
        let first = (segment.own.first + index) * self.row + self.column;
        Strided {
            data: &self.data[first..],
            row: self.row,
        }
    }
}

fn forward_segment(
    kernels: Kernels,
    heads: Heads,
    segment: &Segment,
    qkv: &[f32],
    (out, normalisers): Outputs<'_>,
    scratch: &mut Scratch,
) {
    let columns = |column| Columns {
        data: qkv,
        row: heads.row(),
        column,
        width: heads.width,
    };
    let (before, out_row) = (segment.parent.length, heads.out_row());
    for key_head in 0..heads.keys {
        let keys = columns(heads.key_column(key_head));
        let stack = &mut scratch.stack;
        keys.pack_transposed(kernels, segment, (&mut scratch.keys_transposed, stack));
        let values = columns(heads.value_column(key_head));
        values.pack(kernels, segment, (&mut scratch.values, stack));
        for head in key_head * heads.group()..(key_head + 1) * heads.group() {
            for block in blocks(kernels, before..segment.total()) {
                let index = block.first - before;
                let queries = columns(head * heads.width).rows(segment, index);
                let normalisers = &mut normalisers[index * heads.queries + head..];
                probabilities(&block, heads, queries, normalisers, scratch);
                let out = StridedMut {
                    data: &mut out[index * out_row + head * heads.width..],
                    row: out_row,
                };
                block.product(&scratch.probabilities, &scratch.values, out);
            }
        }
    }
}

/// Fills `scratch.probabilities` with `Q Kᵀ` of a block of rows.
fn scores<'a>(
    block: &causal::Rows,
    queries: Strided<'_>,
    scratch: &'a mut Scratch,
) -> &'a mut [f32] {
    let probabilities = &mut scratch.probabilities;
    probabilities.resize(block.size().max(probabilities.len()), 0.0);
    block.scores(queries, &scratch.keys_transposed, probabilities);
    probabilities
}

/// Fills `scratch.probabilities` with `P` of a block of rows, and one of `heads.queries`
/// normalisers a row with the head's.
fn probabilities(
    block: &causal::Rows,
    heads: Heads,
    queries: Strided<'_>,
    normalisers: &mut [SoftmaxRow],
    scratch: &mut Scratch,
) {
    let rows = block.rows(scores(block, queries, scratch));
    let normalisers = normalisers.iter_mut().step_by(heads.queries);
    for ((row, valid), normaliser) in rows.zip(normalisers) {
        *normaliser = softmax(block.kernels, row, valid, heads.scale);
    }
}

/// The same from the normalisers that the forward pass kept.
fn probabilities_again(
    block: &causal::Rows,
    heads: Heads,
    queries: Strided<'_>,
    normalisers: &[SoftmaxRow],
    scratch: &mut Scratch,
) {
    let rows = block.rows(scores(block, queries, scratch));
    let normalisers = normalisers.iter().step_by(heads.queries);
    for ((row, valid), &normaliser) in rows.zip(normalisers) {
        softmax_again(block.kernels, row, valid, heads.scale, normaliser);
    }
}

/// Gradients of attention: from `d_out` to `d_qkv` `[rows, row]`.
///
/// Segments with a parent have no backward pass.
pub(crate) fn backward(
    threads: &Threads,
    heads: Heads,
    rows: &Rows,
    (qkv, normalisers, d_out): Inputs<'_>,
    d_qkv: &mut [f32],
    scratch: &mut Vec<Scratch>,
) {
    let segments = rows.segments();
    let tasks = segments.iter().zip(pieces(segments, d_qkv, heads.row()));
    share(threads, tasks, scratch, |(segment, d_qkv), scratch| {
        let part = Backward {
            kernels: threads.kernels(),
            heads,
            segment,
            qkv,
            normalisers,
            d_out,
        };
        for key_head in 0..heads.keys {
            part.group(key_head, d_qkv, scratch);
        }
    });
}

/// The backward pass of one segment.
struct Backward<'a> {
    kernels: Kernels,
    heads: Heads,
    segment: &'a Segment,
    qkv: &'a [f32],
    normalisers: &'a [SoftmaxRow],
    d_out: &'a [f32],
}

impl<'a> Backward<'a> {
    fn columns(&self, column: usize) -> Columns<'a> {
        Columns {
            data: self.qkv,
            row: self.heads.row(),
            column,
            width: self.heads.width,
        }
    }

    fn slopes_of(&self, head: usize) -> Columns<'a> {
        Columns {
            data: self.d_out,
            row: self.heads.out_row(),
            column: head * self.heads.width,
            width: self.heads.width,
        }
    }

    /// All query heads that read one key head.
    fn group(&self, key_head: usize, d_qkv: &mut [f32], scratch: &mut Scratch) {
        let Self {
            kernels,
            heads,
            segment,
            ..
        } = *self;
        assert_eq!(
            segment.parent.length, 0,
            "a continued segment has no backward pass"
        );
        let keys = self.columns(heads.key_column(key_head));
        let values = self.columns(heads.value_column(key_head));
        let stack = &mut scratch.stack;
        keys.pack_transposed(kernels, segment, (&mut scratch.keys_transposed, stack));
        keys.pack(kernels, segment, (&mut scratch.keys, stack));
        values.pack_transposed(kernels, segment, (&mut scratch.values_transposed, stack));
        for member in 0..heads.group() {
            self.head(key_head * heads.group() + member, d_qkv, scratch);
            let row = (heads.width, heads.row());
            let d_keys = &mut d_qkv[heads.key_column(key_head)..];
            gather(kernels, &scratch.d_keys, d_keys, row, member);
            let d_values = &mut d_qkv[heads.value_column(key_head)..];
            gather(kernels, &scratch.d_values, d_values, row, member);
        }
    }

    /// One query head: `dQ` into `d_qkv`, its share of `dK` and `dV` into the scratch.
    fn head(&self, head: usize, d_qkv: &mut [f32], scratch: &mut Scratch) {
        let Self {
            kernels,
            heads,
            segment,
            ..
        } = *self;
        let queries = self.columns(head * heads.width);
        let d_head = self.slopes_of(head);
        let stack = &mut scratch.stack;
        queries.pack(kernels, segment, (&mut scratch.queries, stack));
        d_head.pack(kernels, segment, (&mut scratch.gradients, stack));
        for sums in [&mut scratch.d_keys, &mut scratch.d_values] {
            sums.clear();
            sums.resize(segment.own.length * heads.width, 0.0);
        }
        for block in blocks(kernels, 0..segment.own.length) {
            let inputs = queries.rows(segment, block.first);
            let row = segment.own.first + block.first;
            let normalisers = &self.normalisers[row * heads.queries + head..];
            probabilities_again(&block, heads, inputs, normalisers, scratch);
            let d_rows = d_head.rows(segment, block.first);
            slopes(&block, heads, d_rows, scratch);
            let d_queries = StridedMut {
                data: &mut d_qkv[block.first * heads.row() + head * heads.width..],
                row: heads.row(),
            };
            let Scratch {
                keys,
                queries,
                gradients,
                probabilities,
                slopes,
                d_keys,
                d_values,
                ..
            } = scratch;
            block.product(slopes, keys, d_queries);
            block.transposed_product(slopes, queries, d_keys);
            block.transposed_product(probabilities, gradients, d_values);
        }
    }
}

/// Fills `scratch.slopes` with `dS` of a block of rows, from its `P` and `dO`.
fn slopes(block: &causal::Rows, heads: Heads, d_out: Strided<'_>, scratch: &mut Scratch) {
    let Scratch {
        values_transposed,
        probabilities,
        slopes,
        ..
    } = scratch;
    slopes.resize(block.size().max(slopes.len()), 0.0);
    block.scores(d_out, values_transposed, slopes);
    let probabilities = probabilities.chunks_exact(block.stride);
    for ((slopes, valid), p) in block.rows(slopes).zip(probabilities) {
        softmax_backward(
            block.kernels,
            &p[..slopes.len()],
            slopes,
            valid,
            heads.scale,
        );
    }
}

/// Writes the first head's `[length, width]` sums to a column of `out`, and adds the others'.
fn gather(
    kernels: Kernels,
    sums: &[f32],
    out: &mut [f32],
    (width, row): (usize, usize),
    member: usize,
) {
    for (sums, out) in sums.chunks_exact(width).zip(out.chunks_mut(row)) {
        if member == 0 {
            out[..width].copy_from_slice(sums);
        } else {
            add(kernels, &mut out[..width], sums);
        }
    }
}
