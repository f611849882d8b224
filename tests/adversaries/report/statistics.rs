//! Shares with their confidence, and order statistics.

use serde::Serialize;

/// k of n, with the exact (Clopper-Pearson) two-sided 95 % interval of the rate behind it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Share {
    pub(crate) count: u64,
    pub(crate) of: u64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Share {
    pub(crate) fn new(count: u64, of: u64) -> Self {
        let low = if count == 0 {
            0.0
        } else {
            root(|rate| at_least(count, of, rate) - 0.025)
        };
        let high = if count == of {
            1.0
        } else {
            root(|rate| 0.025 - (1.0 - at_least(count + 1, of, rate)))
        };
        Self {
            count,
            of,
            low,
            high,
        }
    }

    pub(crate) fn rate(&self) -> f64 {
        if self.of == 0 {
            return 0.0;
        }
        self.count as f64 / self.of as f64
    }
}

/// P(X ≥ k) of a binomial of n, summed from the larger terms' side by ratios.
fn at_least(k: u64, n: u64, rate: f64) -> f64 {
    if rate <= 0.0 {
        return if k == 0 { 1.0 } else { 0.0 };
    }
    if rate >= 1.0 {
        return 1.0;
    }
    let mut log_term = n as f64 * (1.0 - rate).ln();
    let odds = (rate / (1.0 - rate)).ln();
    let mut below = 0.0;
    for i in 0..k {
        below += log_term.exp();
        log_term += odds + ((n - i) as f64).ln() - ((i + 1) as f64).ln();
    }
    (1.0 - below).max(0.0)
}

/// Where a rising function crosses zero in 0 to 1.
fn root(function: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if function(middle) < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// The smallest value with at least this share of all at or below it.
pub(crate) fn quantile(values: &mut [u64], share: f64) -> Option<u64> {
    values.sort_unstable();
    let rank = (values.len() as f64 * share).ceil() as usize;
    values.get(rank.max(1) - 1).copied()
}

/// The mean; zero of nothing.
pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// A mean and half the width of its 95 % interval, by the normal approximation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Mean {
    pub(crate) mean: f64,
    pub(crate) half: f64,
}

impl Mean {
    pub(crate) fn new(values: &[f64]) -> Self {
        let middle = mean(values);
        let squares = values.iter().map(|value| (value - middle).powi(2));
        let variance = squares.sum::<f64>() / (values.len().max(2) - 1) as f64;
        Self {
            mean: middle,
            half: 1.96 * (variance / values.len().max(1) as f64).sqrt(),
        }
    }
}

/// After how many trials of probability `share` this part of all sequences has had a success: the
/// geometric law.
pub(crate) fn geometric_quantile(share: f64, part: f64) -> u64 {
    if share >= 1.0 {
        return 1;
    }
    ((1.0 - part).ln() / (1.0 - share).ln()).ceil() as u64
}

/// Kaplan and Meier's quantile of times of which some were cut off before their event: `(time,
/// whether it happened)`; nothing if too few happened.
pub(crate) fn survival_quantile(times: &[(u64, bool)], part: f64) -> Option<u64> {
    let mut times = times.to_vec();
    // At equal times events come before the cut.
    times.sort_unstable_by_key(|(time, happened)| (*time, !happened));
    let mut alive = 1.0;
    for (index, (time, happened)) in times.iter().enumerate() {
        if *happened {
            alive *= 1.0 - 1.0 / (times.len() - index) as f64;
            if 1.0 - alive >= part - 1e-12 {
                return Some(*time);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_the_tables() {
        let share = Share::new(40, 40);
        assert!((share.low - 0.911_9).abs() < 1e-3, "{share:?}");
        assert!((Share::new(0, 100).high - 0.036_2).abs() < 1e-3);
        let half = Share::new(5, 10);
        assert!((half.low - 0.187_1).abs() < 1e-3 && (half.high - 0.812_9).abs() < 1e-3);
    }

    #[test]
    fn a_quantile_has_its_share_at_or_below() {
        let mut values = [5, 1, 4, 2, 3];
        let found = [0.0, 0.5, 0.99, 1.0].map(|share| quantile(&mut values, share));
        assert_eq!(found, [Some(1), Some(3), Some(5), Some(5)]);
        assert_eq!(quantile(&mut [], 0.5), None);
    }

    #[test]
    fn the_geometric_law_has_its_quantiles() {
        assert_eq!(geometric_quantile(1.0, 0.99), 1);
        assert_eq!(geometric_quantile(0.1, 0.5), 7);
        assert_eq!(geometric_quantile(0.1, 0.99), 44);
        assert_eq!(geometric_quantile(0.01, 0.99), 459);
    }

    #[test]
    fn lives_that_were_cut_off_count_until_then() {
        let times = [(1, true), (2, false), (3, true), (9, false)];
        // 3/4 are alive after 1; of the two left at 3 one ends.
        assert_eq!(survival_quantile(&times, 0.25), Some(1));
        assert_eq!(survival_quantile(&times, 0.5), Some(3));
        assert_eq!(survival_quantile(&times, 0.99), None);
    }

    #[test]
    fn a_mean_has_the_width_of_its_values() {
        let found = Mean::new(&[1.0, 3.0]);
        assert!((found.mean - 2.0).abs() < 1e-9 && (found.half - 1.96).abs() < 1e-9);
    }
}
