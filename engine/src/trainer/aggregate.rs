//! One update out of many, none of which is trusted: exact, and in any order.
//!
//! ```text
//! weight    w_k ∝ tokens, capped for each cluster                      (weights)
//! clip      f_k = min(1, limit / |x_k|),  limit = min(c, ratio · median |x|)   (influence)
//! centre    v ← v + Σ_k w_k min(1, τ / |f_k x_k - v|) (f_k x_k - v),  a few times
//! value     round( Σ_k a_k x_k ),  x_0 the centre that v began at
//! ```
//!
//! Updates that were accepted may still be lies that no audit drew. Norms are clipped so that none
//! of them counts for more than it may, and `CenteredClip` (arXiv:2012.10333) moves from what the
//! network did lately towards each update by at most τ, which is a multiple of the median distance:
//! honest updates that lie about as far from it as others give their weighted mean, to the bit of
//! the coefficients.
//!
//! Everything is integers. Updates have the grid 2^-38, so their inner products are exact
//! (`gram`); all of the above happens on these n² numbers, and gives one coefficient of 22
//! binary digits for every update. The sum is in i64, cannot overflow, and is rounded to f32 once.
//!
//! Spec: arithmetic §8

use super::compress::{BLOCK_VALUES, CompressedUpdate};
use super::update::{CHUNK_VALUES, Update};
use crate::arithmetic::threads::Threads;

mod gram;
mod influence;
mod weights;

/// Binary digits of a coefficient after the point.
const COEFFICIENT_BITS: u32 = 22;
/// Binary digits of a clip factor after the point.
const FACTOR_BITS: u32 = 16;
/// A coefficient of one.
const ONE: u64 = 1 << COEFFICIENT_BITS;

/// How far one update may pull. Real numbers are in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Robustness {
    /// Largest norm of an update, c.
    pub norm_max: u64,
    /// The same as a multiple of the median norm.
    pub norm_ratio: u64,
    /// Largest share of the weight that one cluster has.
    pub weight_cap: u64,
    /// τ as a multiple of the median distance from the centre.
    pub center_ratio: u64,
    /// Times that the centre moves. With 0 the clipped updates are averaged.
    pub center_rounds_count: u32,
}

impl Robustness {
    /// The weighted mean, whatever the updates say.
    pub const NONE: Self = Self {
        norm_max: u64::MAX,
        norm_ratio: u64::MAX,
        weight_cap: 1_000_000,
        center_ratio: u64::MAX,
        center_rounds_count: 0,
    };
}

/// An update, and what it counts for.
#[derive(Clone, Debug)]
pub struct Part<'a> {
    /// The update.
    pub update: Update<'a>,
    /// Tokens that it was computed from.
    pub tokens: u64,
    /// Whose it is: updates with the same number share one cap.
    pub cluster: usize,
}

/// Why updates cannot be aggregated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AggregateError {
    /// No update, or only weights of 0.
    #[error("aggregate has no weight")]
    NoWeight,
    /// Updates of different lengths.
    #[error("update {index} has {value_count} values; the centre has {expected}")]
    Length {
        /// Index of the update.
        index: usize,
        /// Its number of values.
        value_count: usize,
        /// The number of values of the centre.
        expected: usize,
    },
    /// Weights whose sum overflows.
    #[error("weights add up to more than {limit}")]
    Weight {
        /// The largest sum.
        limit: u64,
    },
}

/// Largest sum of tokens: leaves every intermediate inside 128 bits.
const TOKENS_SUM_MAX: u64 = 1 << 48;

/// The aggregate of the updates around `centre`, `[values]` f32: the same bits in any order.
///
/// # Errors
/// Nothing to aggregate, lengths that differ, or more than 2^48 tokens in all.
pub fn aggregate(
    parts: &[Part<'_>],
    centre: &CompressedUpdate,
    robustness: &Robustness,
    threads: &Threads,
) -> Result<Vec<f32>, AggregateError> {
    let expected = centre.value_count();
    for (index, part) in parts.iter().enumerate() {
        let value_count = part.update.value_count();
        if value_count != expected {
            return Err(AggregateError::Length {
                index,
                value_count,
                expected,
            });
        }
    }
    let weights = weights::weights(parts, robustness.weight_cap)?;
    let bytes = centre.encode();
    let mut updates = vec![Update::of_canonical(&bytes, expected)];
    updates.extend(parts.iter().map(|part| part.update.clone()));
    let gram = gram::Gram::of(&updates, threads);
    let coefficients = influence::coefficients(&gram, &weights, robustness);
    Ok(combine(&updates, &coefficients, threads))
}

/// `Σ_k coefficient_k x_k`, rounded to f32 once.
fn combine(updates: &[Update<'_>], coefficients: &[u64], threads: &Threads) -> Vec<f32> {
    let count = updates.first().map_or(0, Update::value_count);
    let mut values = vec![0.0; count];
    let cost = count.saturating_mul(updates.len());
    let chunks = values.chunks_mut(CHUNK_VALUES).enumerate();
    threads.for_parts(cost, chunks, |(chunk, values)| {
        let mut sums = [0_i64; CHUNK_VALUES];
        let counted = updates.iter().zip(coefficients);
        let counted = counted.filter(|(_, coefficient)| **coefficient > 0);
        // Values are below 2^40 units and coefficients add up to at most 2^22. A block's sums stay
        // in the first cache while all updates are added to them.
        for (block, sums) in sums
            .as_chunks_mut::<BLOCK_VALUES>()
            .0
            .iter_mut()
            .enumerate()
        {
            for (update, coefficient) in counted.clone() {
                update.add_block((chunk, block), coefficient.cast_signed(), sums, threads);
            }
        }
        for (update, coefficient) in counted {
            update.add_sent(chunk, coefficient.cast_signed(), &mut sums);
        }
        gram::round(threads.kernels(), &sums, values);
    });
    values
}

#[cfg(test)]
mod tests;
