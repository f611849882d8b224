//! Gradients of attention.

use super::{
    Heads, Scratch, Strided, causal_product, causal_scores, probabilities, reach, share, square_row,
};
use crate::arithmetic::cpu::Kernels;
use crate::arithmetic::elementwise::{add, softmax_backward};
use crate::arithmetic::gemm::{Packed, View};
use crate::arithmetic::threads::Threads;
use crate::arithmetic::tile::{Block, Shape, Target, even_tile_rows, panel_width};

/// Gradients of attention: from `d_out` `[rows, out_row]` to `d_qkv` `[rows, row]`.
///
/// ```text
/// dV[s] = Σ_heads fold_{t >= s} P[t, s] dO[t]        dP = dO V^T
/// dS    = P (dP - rowsum(P dP)) / sqrt(head_dim)
/// dQ[t] = fold_{s <= t} dS[t, s] k[s]                dK[s] = Σ_heads fold_{t >= s} dS[t, s] q[t]
/// ```
pub(crate) fn backward(
    threads: &Threads,
    heads: Heads,
    lengths: &[usize],
    (qkv, d_out): (&[f32], &[f32]),
    d_qkv: &mut [f32],
    scratch: &mut Vec<Scratch>,
) {
    let mut tasks = Vec::with_capacity(lengths.len());
    let (mut qkv, mut d_out, mut d_qkv) = (qkv, d_out, d_qkv);
    for &length in lengths {
        let (inputs, rest) = qkv.split_at(length * heads.row());
        let (outputs, out_rest) = d_out.split_at(length * heads.out_row());
        let (gradients, gradients_rest) = d_qkv.split_at_mut(length * heads.row());
        (qkv, d_out, d_qkv) = (rest, out_rest, gradients_rest);
        tasks.push((length, inputs, outputs, gradients));
    }
    share(
        threads,
        &mut tasks,
        scratch,
        |(length, qkv, d_out, d_qkv), scratch| {
            let kernels = threads.kernels();
            for key_head in 0..heads.keys {
                backward_group(
                    kernels,
                    heads,
                    (*length, key_head),
                    (qkv, d_out),
                    d_qkv,
                    scratch,
                );
            }
        },
    );
}

fn backward_group(
    kernels: Kernels,
    heads: Heads,
    (length, key_head): (usize, usize),
    (qkv, d_out): (&[f32], &[f32]),
    d_qkv: &mut [f32],
    scratch: &mut Scratch,
) {
    let width = heads.width;
    let (key_column, value_column) = (heads.key_column(key_head), heads.value_column(key_head));
    let keys = View::strided(&qkv[key_column..], length, width, heads.row());
    let values = View::strided(&qkv[value_column..], length, width, heads.row());
    scratch.keys_transposed.pack(kernels, keys.transposed());
    scratch.keys.pack(kernels, keys);
    scratch.values_transposed.pack(kernels, values.transposed());
    scratch.head.resize(length * width, 0.0);
    for member in 0..heads.group() {
        let head = key_head * heads.group() + member;
        let queries = &qkv[head * width..];
        let d_head = &d_out[head * width..];
        probabilities(kernels, heads, length, queries, scratch);
        slopes(kernels, heads, length, d_head, scratch);
        scratch
            .queries
            .pack(kernels, View::strided(queries, length, width, heads.row()));
        scratch.gradients.pack(
            kernels,
            View::strided(d_head, length, width, heads.out_row()),
        );
        let Scratch {
            keys,
            queries,
            gradients,
            probabilities,
            slopes,
            head: sums,
            ..
        } = scratch;
        let d_queries = Strided {
            data: &mut d_qkv[head * width..],
            row: heads.row(),
        };
        causal_product(kernels, length, slopes, keys, d_queries);
        transposed_product(kernels, length, slopes, queries, sums);
        gather(
            kernels,
            sums,
            &mut d_qkv[key_column..],
            (width, heads.row()),
            member,
        );
        transposed_product(kernels, length, probabilities, gradients, sums);
        gather(
            kernels,
            sums,
            &mut d_qkv[value_column..],
            (width, heads.row()),
            member,
        );
    }
}

/// `scratch.slopes` = dS from `scratch.probabilities` and the gradient of the output.
fn slopes(kernels: Kernels, heads: Heads, length: usize, d_head: &[f32], scratch: &mut Scratch) {
    let row = square_row(length);
    scratch.slopes.resize(length * row, 0.0);
    let Scratch {
        values_transposed,
        probabilities,
        slopes,
        ..
    } = scratch;
    causal_scores(
        kernels,
        length,
        (d_head, heads.out_row()),
        values_transposed,
        slopes,
    );
    let step = even_tile_rows(kernels, length);
    for t in 0..length {
        let reach = reach(length, step, t);
        let p = &probabilities[t * row..][..reach];
        softmax_backward(
            kernels,
            p,
            &mut slopes[t * row..][..reach],
            t + 1,
            heads.scale,
        );
    }
}

/// `out[s, j] = fold_{t >= s} fma(weights[t, s], columns[t, j])`.
///
/// A tile starts at its own first row: the terms above the diagonal that it skips or takes in
/// are `±0`, and adding those to the initial +0 leaves +0.
fn transposed_product(
    kernels: Kernels,
    length: usize,
    weights: &[f32],
    columns: &Packed,
    out: &mut [f32],
) {
    let row = square_row(length);
    let panel = panel_width(kernels);
    let step = even_tile_rows(kernels, length);
    let width = columns.columns();
    for index in 0..width.div_ceil(panel) {
        for first in (0..length).step_by(step) {
            let block = Block {
                rows: step.min(length - first),
                depth: length - first,
                shape: Shape::Full,
                a: &weights[first * row + first..],
                a_row: 1,
                a_step: row,
                panel: &columns.panel(panel, index)[first * panel..],
            };
            let target = Target {
                c: &mut out[first * width + index * panel..],
                row: width,
                columns: panel.min(width - index * panel),
                accumulate: false,
            };
            block.run(kernels, target);
        }
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
