//! Qwen3's norms of queries and keys: every head is normalised over its own width, with one gain
//! for all query heads and one for all key heads, before it is turned to its position.
//!
//! Formulas as in [`norm`](crate::transformer::norm), a head for a row. The gain's gradient folds
//! over ascending rows and, within a row, over ascending heads.

use super::heads::Heads;
use crate::arithmetic::cpu::Kernels;
use crate::arithmetic::elementwise::{NormInputs, rms_norm, rms_norm_backward};
use crate::arithmetic::panels::BLOCK_ROWS;
use crate::transformer::parameters::Parameters;
use std::ops::Range;

/// The norms of one block.
pub(crate) struct HeadNorm<'a> {
    heads: Heads,
    eps: f32,
    query: Gain<'a>,
    key: Gain<'a>,
}

/// A gain `[head_dim]` and where it is among the parameters.
struct Gain<'a> {
    values: &'a [f32],
    range: &'a Range<usize>,
}

/// What the backward pass reads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    /// Queries and keys before the norm, `[rows, turned]`.
    raw: Vec<f32>,
    /// `[rows, query and key heads]`.
    reciprocal: Vec<f32>,
}

/// The part of [`Kept`] that belongs to the rows of one block.
pub(crate) struct KeptBlock<'a> {
    raw: &'a mut [f32],
    reciprocal: &'a mut [f32],
}

/// What the norms of `rows` rows keep, block by block; `None` without end where there are no norms.
pub(crate) fn blocks<'a>(
    norm: Option<&HeadNorm<'_>>,
    rows: usize,
    kept: &'a mut Kept,
) -> impl Iterator<Item = Option<KeptBlock<'a>>> + Send {
    let (turned, heads) = norm.map_or((0, 0), |norm| {
        (norm.heads.turned(), norm.heads.queries + norm.heads.keys)
    });
    kept.raw.resize(rows * turned, 0.0);
    kept.reciprocal.resize(rows * heads, 0.0);
    let raw = kept.raw.chunks_mut((BLOCK_ROWS * turned).max(1));
    let reciprocal = kept.reciprocal.chunks_mut((BLOCK_ROWS * heads).max(1));
    let blocks = raw.zip(reciprocal);
    blocks
        .map(|(raw, reciprocal)| Some(KeptBlock { raw, reciprocal }))
        .chain(std::iter::repeat_with(|| None))
}

impl<'a> HeadNorm<'a> {
    /// The norms of block `index`, if the model has them.
    pub(crate) fn new(model: &'a Parameters, index: usize) -> Option<Self> {
        let ranges = model.layout().block(index);
        let gain = |range: &'a Range<usize>| Gain {
            values: model.get(range),
            range,
        };
        Some(Self {
            heads: Heads::new(model.config()),
            eps: model.config().rms_norm_eps,
            query: gain(ranges.query_norm.as_ref()?),
            key: gain(ranges.key_norm.as_ref()?),
        })
    }

    /// Normalises the queries and keys of every row of `qkv`, the rows of one block.
    pub(crate) fn forward(&self, kernels: Kernels, qkv: &mut [f32], kept: KeptBlock<'_>) {
        let Heads {
            queries,
            keys,
            width,
            ..
        } = self.heads;
        let (turned, split) = (self.heads.turned(), self.heads.out_row());
        let raw = kept.raw.chunks_exact_mut(turned);
        let reciprocal = kept.reciprocal.chunks_exact_mut(queries + keys);
        for ((row, raw), r) in qkv
            .chunks_exact_mut(self.heads.row())
            .zip(raw)
            .zip(reciprocal)
        {
            raw.copy_from_slice(&row[..turned]);
            let (q, k) = row[..turned].split_at_mut(split);
            let (raw_q, raw_k) = raw.split_at(split);
            let (r_q, r_k) = r.split_at_mut(queries);
            let (query, key, layout) = (self.query.values, self.key.values, [width, 0]);
            rms_norm(kernels, raw_q, query, self.eps, (q, layout), r_q);
            rms_norm(kernels, raw_k, key, self.eps, (k, layout), r_k);
        }
    }

    /// Turns the gradients of normalised queries and keys in `d_qkv` into those of raw ones.
    pub(crate) fn backward(
        &self,
        kernels: Kernels,
        kept: &Kept,
        d_qkv: &mut [f32],
        gradients: &mut [f32],
        buffer: &mut Vec<f32>,
    ) {
        let Heads {
            queries,
            keys,
            width,
            ..
        } = self.heads;
        let (turned, split) = (self.heads.turned(), self.heads.out_row());
        buffer.resize(buffer.len().max(turned + width), 0.0);
        let (dy, scratch) = buffer.split_at_mut(turned);
        let raw = kept.raw.chunks_exact(turned);
        let reciprocal = kept.reciprocal.chunks_exact(queries + keys);
        for ((row, raw), r) in d_qkv
            .chunks_exact_mut(self.heads.row())
            .zip(raw)
            .zip(reciprocal)
        {
            dy.copy_from_slice(&row[..turned]);
            row[..turned].fill(0.0);
            let (dq, dk) = row[..turned].split_at_mut(split);
            let parts = [
                (&self.query, &raw[..split], &r[..queries], &dy[..split], dq),
                (&self.key, &raw[split..], &r[queries..], &dy[split..], dk),
            ];
            for (gain, x, reciprocal, dy, dx) in parts {
                let inputs = NormInputs {
                    x,
                    weight: gain.values,
                    reciprocal,
                    dy,
                };
                let d_gain = &mut gradients[gain.range.clone()];
                rms_norm_backward(kernels, inputs, dx, d_gain, scratch);
            }
        }
    }
}
