//! What each update counts for: its tokens, but no cluster more than its share.
//!
//! The tokens of a cluster are cut to the largest `L` that is at most `cap` of what all have after
//! the cut. With the `m` largest clusters cut, `L = cap R / (1 - m cap)`, where `R` are the tokens
//! of the others; `m` is the least for which nobody else has more. A cap below an equal share is
//! an equal share.

use super::{AggregateError, ONE, Part, TOKENS_SUM_MAX};
use std::collections::BTreeMap;

/// A share of one, in millionths.
const WHOLE: u64 = 1_000_000;
/// Binary digits that a cut leaves of a token.
const CUT_BITS: u32 = 16;

/// The weight of each part, in units of 2^-22; they add up to one, less what is rounded down.
pub(super) fn weights(parts: &[Part<'_>], cap: u64) -> Result<Vec<u64>, AggregateError> {
    let limit = TOKENS_SUM_MAX;
    let mut clusters = BTreeMap::<usize, u64>::new();
    let mut total = 0_u64;
    for part in parts {
        total = total
            .checked_add(part.tokens)
            .filter(|total| *total <= limit)
            .ok_or(AggregateError::Weight { limit })?;
        *clusters.entry(part.cluster).or_default() += part.tokens;
    }
    let most = most(clusters.values().copied().filter(|tokens| *tokens > 0), cap);
    let cut = |part: &Part<'_>| {
        let all = clusters.get(&part.cluster).copied().unwrap_or(0);
        let (tokens, all) = (u128::from(part.tokens) << CUT_BITS, u128::from(all));
        if all <= u128::from(most) {
            tokens
        } else {
            tokens * u128::from(most) / all
        }
    };
    let cuts: Vec<u128> = parts.iter().map(cut).collect();
    let sum: u128 = cuts.iter().sum();
    if sum == 0 {
        return Err(AggregateError::NoWeight);
    }
    let weight = |cut: u128| u64::try_from(cut * u128::from(ONE) / sum).unwrap_or(ONE);
    Ok(cuts.into_iter().map(weight).collect())
}

/// The most tokens that count of a cluster.
fn most(clusters: impl Iterator<Item = u64>, cap: u64) -> u64 {
    let mut clusters: Vec<u64> = clusters.collect();
    clusters.sort_unstable_by(|a, b| b.cmp(a));
    let Ok(count) = u64::try_from(clusters.len()) else {
        return 0;
    };
    if count == 0 {
        return 0;
    }
    let cap = cap.max(WHOLE.div_ceil(count)).min(WHOLE);
    let mut rest: u64 = clusters.iter().sum();
    for (cut, &next) in (0_u64..).zip(&clusters) {
        let left = WHOLE.saturating_sub(cut.saturating_mul(cap));
        if left == 0 {
            break;
        }
        let most = u128::from(rest) * u128::from(cap) / u128::from(left);
        if most >= u128::from(next) {
            return u64::try_from(most).unwrap_or(u64::MAX);
        }
        rest -= next;
    }
    clusters.last().copied().unwrap_or(0)
}
