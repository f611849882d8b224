//! Weighted means of compressed updates, exact and in any order.
//!
//! ```text
//! value = round( Σ_i weight_i code_i scale_i / (Σ_i weight_i) 2^-38 )
//! ```
//!
//! The sums are integers, so their order cannot matter; the quotient is rounded to f32 once, to
//! nearest with ties to even.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "the one rounding of the quotient, on bounded integers"
)]

use super::compress::{CompressedUpdate, SCALE_BITS};

/// Why updates cannot be aggregated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AggregateError {
    /// No update, or only weights of 0.
    #[error("aggregate has no weight")]
    NoWeight,
    /// Updates of different lengths.
    #[error("update {index} has {value_count} values; the first has {expected}")]
    Length {
        /// Index of the update.
        index: usize,
        /// Its number of values.
        value_count: usize,
        /// The number of values of the first.
        expected: usize,
    },
    /// Weights whose sum overflows.
    #[error("weights add up to more than {limit}")]
    Weight {
        /// The largest sum.
        limit: u64,
    },
}

/// Largest sum of weights: leaves every intermediate inside 128 bits.
const WEIGHT_SUM_MAX: u64 = 1 << 48;

/// The weighted mean of the updates, the same bits in any order.
///
/// # Errors
/// Nothing to aggregate, lengths that differ, or weights above 2^48 in all.
pub fn aggregate(updates: &[(&CompressedUpdate, u64)]) -> Result<Vec<f32>, AggregateError> {
    let limit = WEIGHT_SUM_MAX;
    let total = updates
        .iter()
        .try_fold(0_u64, |sum, (_, weight)| sum.checked_add(*weight))
        .filter(|total| *total <= limit)
        .ok_or(AggregateError::Weight { limit })?;
    let Some((first, _)) = updates.first().filter(|_| total > 0) else {
        return Err(AggregateError::NoWeight);
    };
    let expected = first.value_count();
    for (index, (update, _)) in updates.iter().enumerate() {
        let value_count = update.value_count();
        if value_count != expected {
            return Err(AggregateError::Length {
                index,
                value_count,
                expected,
            });
        }
    }
    let mut sums = vec![0_i128; expected];
    for (update, weight) in updates {
        let blocks = update.blocks().flat_map(|(scale, codes)| {
            let unit = i128::from(scale) * i128::from(*weight);
            codes.iter().map(move |&code| i128::from(code) * unit)
        });
        // |code scale weight| summed is below 2^7 2^32 2^48: no overflow.
        for (sum, term) in sums.iter_mut().zip(blocks) {
            *sum += term;
        }
    }
    Ok(sums.into_iter().map(|sum| quotient(sum, total)).collect())
}

/// `numerator / denominator * 2^-38` rounded to nearest, ties to even.
///
/// The quotient is computed to at least 30 bits with every lost bit gathered in the last one, so
/// the conversion to f32 rounds as if it saw the exact quotient.
fn quotient(numerator: i128, denominator: u64) -> f32 {
    let magnitude = numerator.unsigned_abs();
    let denominator = u128::from(denominator);
    if magnitude == 0 {
        return 0.0;
    }
    let mut shift = 0;
    while (magnitude << shift) / denominator < 1 << 30 {
        shift += 1;
    }
    let scaled = magnitude << shift;
    let lost = u128::from(!scaled.is_multiple_of(denominator));
    let rounded = ((scaled / denominator) | lost) as u64 as f32;
    let exponent = SCALE_BITS + shift;
    let value = (0..exponent).fold(rounded, |value, _| value * 0.5);
    if numerator < 0 { -value } else { value }
}
