//! How well a score tells an adversary from honest work of a tolerant class, at rates of false
//! alarm that were measured.
//!
//! The score is the clipped sum of the margins for each token, of one response or of one unit. A
//! threshold is set where at most a share of the honest is above it; the share of the adversary's
//! above it is the power. A rate of false alarm below one in as many honest as there are is not
//! measured, and not given.

use crate::statistics::Share;
use serde::Serialize;
use verifier::tolerant::Margins;

/// Rates of false alarm for which the power is asked.
const RATES: [f64; 4] = [1e-2, 1e-3, 1e-4, 1e-6];

/// Scores of honest work, each list in descending order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scores {
    units: Vec<f64>,
    responses: Vec<f64>,
}

/// Power at one rate of false alarm.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Point {
    pub(crate) rate: f64,
    /// Honest above the threshold, with the interval of the rate behind them; nothing where fewer
    /// honest were measured than one in this rate.
    pub(crate) false_alarms: Option<Share>,
    /// The adversary's above it.
    pub(crate) power: Option<Share>,
}

/// Power at every rate.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Roc {
    pub(crate) units: Vec<Point>,
    pub(crate) responses: Vec<Point>,
    /// The probability that an adversary's response scores above an honest one, ties as one half.
    pub(crate) area_responses: f64,
}

fn score(margins: &Margins) -> f64 {
    margins.clipped_sum_micro as f64 / margins.tokens_count.max(1) as f64
}

impl Scores {
    /// Adds one unit.
    pub(crate) fn add(&mut self, unit: &Margins, responses: &[Margins]) {
        self.units.push(score(unit));
        self.responses.extend(responses.iter().map(score));
    }

    /// Puts them in order.
    pub(crate) fn sort(&mut self) {
        for scores in [&mut self.units, &mut self.responses] {
            scores.sort_unstable_by(|a, b| b.total_cmp(a));
        }
    }

    /// The power against an adversary with these scores.
    pub(crate) fn against(&self, other: &Self) -> Roc {
        let points = |honest: &[f64], other: &[f64]| {
            let point = |rate: &f64| point(honest, other, *rate);
            RATES.iter().map(point).collect()
        };
        Roc {
            units: points(&self.units, &other.units),
            responses: points(&self.responses, &other.responses),
            area_responses: area(&self.responses, &other.responses),
        }
    }
}

fn point(honest: &[f64], other: &[f64], rate: f64) -> Point {
    let allowed = (honest.len() as f64 * rate + 1e-9) as usize;
    let threshold = honest.get(allowed).filter(|_| allowed > 0);
    let above = |threshold: &f64, scores: &[f64]| {
        let count = scores.iter().filter(|score| *score > threshold).count();
        Share::new(count as u64, scores.len() as u64)
    };
    Point {
        rate,
        false_alarms: threshold.map(|threshold| above(threshold, honest)),
        power: threshold.map(|threshold| above(threshold, other)),
    }
}

/// Of scores in descending order.
fn area(honest: &[f64], other: &[f64]) -> f64 {
    let wins = other.iter().map(|score| {
        let above = honest.partition_point(|one| one > score);
        let not_below = honest.partition_point(|one| one >= score);
        (honest.len() - not_below) as f64 + 0.5 * (not_below - above) as f64
    });
    wins.sum::<f64>() / (honest.len() * other.len()).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(values: impl Iterator<Item = u32>) -> Scores {
        let mut scores = Scores {
            responses: values.map(f64::from).collect(),
            ..Scores::default()
        };
        scores.sort();
        scores
    }

    #[test]
    fn power_is_measured_at_thresholds_that_honest_work_gives() {
        let honest = scores(0..1_000);
        let roc = honest.against(&scores(900..1_100));
        let [hundredth, thousandth, ..] = &roc.responses[..] else {
            panic!("{roc:?}");
        };
        // The ten largest of 1000 are above 989, and 110 of the other's 200.
        assert_eq!(hundredth.false_alarms.map(|found| found.count), Some(10));
        assert_eq!(hundredth.power.map(|found| found.count), Some(110));
        assert_eq!(thousandth.power.map(|found| found.count), Some(101));
        assert!((roc.area_responses - 0.975).abs() < 1e-3, "{roc:?}");
    }

    #[test]
    fn a_rate_that_too_few_support_is_not_given() {
        let roc = scores(0..9_999).against(&scores(0..10));
        let given: Vec<bool> = roc
            .responses
            .iter()
            .map(|one| one.power.is_some())
            .collect();
        assert_eq!(given, [true, true, false, false]);
        assert!(roc.units.iter().all(|one| one.power.is_none()));
    }

    #[test]
    fn the_same_work_has_half_the_area() {
        let honest = scores((0..100).map(|value| value % 7));
        assert!((honest.against(&honest).area_responses - 0.5).abs() < 1e-9);
    }
}
