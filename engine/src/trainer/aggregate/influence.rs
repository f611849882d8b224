//! From norms and distances to coefficients: who is clipped, and by how much.

use super::{COEFFICIENT_BITS, FACTOR_BITS, ONE, Robustness, gram::Gram};
use crate::trainer::compress::SCALE_BITS;

/// A factor of one.
const WHOLE: u64 = 1 << FACTOR_BITS;
/// Bits that inner products keep in front of coefficients and factors.
const GRAM_BITS: u32 = 80;
const MILLION: u128 = 1_000_000;

/// What each of the centre and the updates counts for in the aggregate, in units of 2^-22.
pub(super) fn coefficients(gram: &Gram, weights: &[u64], robustness: &Robustness) -> Vec<u64> {
    let factors = factors(gram, weights, robustness);
    if robustness.center_rounds_count == 0 {
        let means = weights.iter().zip(&factors);
        let means = means.map(|(weight, factor)| (weight * factor) >> FACTOR_BITS);
        return std::iter::once(0).chain(means).collect();
    }
    let mut coefficients = vec![0; weights.len() + 1];
    coefficients[0] = ONE;
    let gram = gram.narrowed(GRAM_BITS);
    for _ in 0..robustness.center_rounds_count {
        let distances = distances(&gram, &coefficients, &factors);
        let median = median(&gram, &distances, weights);
        let radius = scaled(median, robustness.center_ratio);
        coefficients = step(&gram, &coefficients, (weights, &factors), &|index| {
            factor(distances[index], radius)
        });
    }
    coefficients
}

/// By how much each norm is clipped.
fn factors(gram: &Gram, weights: &[u64], robustness: &Robustness) -> Vec<u64> {
    let norms: Vec<u128> = (1..=weights.len())
        .map(|index| gram.square(index).isqrt())
        .collect();
    let unit = u128::from(robustness.norm_max) << SCALE_BITS;
    let median = median(gram, &norms, weights);
    let limit = (unit / MILLION).min(scaled(median, robustness.norm_ratio));
    norms.iter().map(|norm| factor(*norm, limit)).collect()
}

/// `min(1, limit / length)`, rounded down.
fn factor(length: u128, limit: u128) -> u64 {
    if length <= limit {
        return WHOLE;
    }
    // The quotient is below one.
    u64::try_from((limit << FACTOR_BITS) / length).unwrap_or(WHOLE)
}

/// `length ratio`, rounded down.
fn scaled(length: u128, ratio: u64) -> u128 {
    length * u128::from(ratio) / MILLION
}

/// The smallest length that at least half of the weight does not exceed, among updates that are
/// not zero: those say nothing, and are no reason to clip others. Zero if all are.
fn median(gram: &Gram, lengths: &[u128], weights: &[u64]) -> u128 {
    let mut known: Vec<(u128, u64)> = (1..)
        .zip(lengths.iter().copied().zip(weights.iter().copied()))
        .filter(|(index, _)| gram.square(*index) > 0)
        .map(|(_, known)| known)
        .collect();
    known.sort_unstable();
    let total: u64 = known.iter().map(|(_, weight)| weight).sum();
    let mut passed = 0;
    for (length, weight) in known {
        passed += weight;
        if 2 * passed >= total {
            return length;
        }
    }
    0
}

/// `|f_k x_k - v|` of each update in units of 2^-22, where `v` is the sum with these coefficients.
fn distances(gram: &Gram, coefficients: &[u64], factors: &[u64]) -> Vec<u128> {
    // |x| |y| < 2^80 and the coefficients add up to at most 2^22: all sums are below 2^126.
    let along = |index: usize| -> i128 {
        let terms = coefficients.iter().enumerate();
        terms
            .map(|(other, a)| i128::from(*a) * gram.product(index, other))
            .sum()
    };
    let own: i128 = coefficients
        .iter()
        .enumerate()
        .map(|(index, a)| i128::from(*a) * along(index))
        .sum();
    let distance = |(index, factor): (usize, &u64)| {
        let factor = i128::from(*factor);
        let square = gram.product(index, index) * factor * factor;
        let square = (square << (2 * (COEFFICIENT_BITS - FACTOR_BITS)))
            - ((factor * along(index)) << (1 + COEFFICIENT_BITS - FACTOR_BITS))
            + own;
        square.max(0).unsigned_abs().isqrt()
    };
    (1..).zip(factors).map(distance).collect()
}

/// One move of the centre: `v + Σ_k w_k g_k (f_k x_k - v)`.
fn step(
    gram: &Gram,
    coefficients: &[u64],
    (weights, factors): (&[u64], &[u64]),
    clip: &dyn Fn(usize) -> u64,
) -> Vec<u64> {
    let bits = COEFFICIENT_BITS + FACTOR_BITS;
    let pull = |(index, weight): (usize, &u64)| {
        let is_zero = gram.square(index + 1) == 0;
        weight * if is_zero { WHOLE } else { clip(index) }
    };
    let pulls: Vec<u64> = weights.iter().enumerate().map(pull).collect();
    let stays = (1_u64 << bits) - pulls.iter().sum::<u64>();
    let moved = pulls.iter().zip(factors);
    let moved = moved.map(|(pull, factor)| (pull * factor) << (COEFFICIENT_BITS - FACTOR_BITS));
    std::iter::once(0)
        .chain(moved)
        .zip(coefficients)
        .map(|(moved, before)| (stays * before + moved) >> bits)
        .collect()
}
