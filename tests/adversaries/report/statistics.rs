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
}
