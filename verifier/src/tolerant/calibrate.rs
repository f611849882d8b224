//! From honest units of another engine to the limits of its class.
//!
//! Limits are what was seen, times a margin, and nothing is read into tails that nobody measured:
//! among N honest units without one beyond the limit, the 95 % bound on the rate of such units is
//! 3 / N ([`Calibration::bound_per_million`]). The table of evidence divides an alternative q₁, the
//! honest scores moved up, by an upper envelope q₀ of the honest scores: each of its values is
//! above the true probability, all at once, with a confidence of 99 % (Chernoff: a count of mean µ
//! falls to n or below with probability at most exp(−(µ − n)² / 2µ)).

use super::{Margins, bulk, measure::Distance};
use protocol::{
    class::{
        Cell, Class, ClassId, Limits, ProjectionLimits, SCORE_BINS_COUNT, entropy_bin, score_bin,
        tokens_log2,
    },
    codec::{BoundedVec, Text, TextError, TooMany},
    proof::toploc::{MantissaDistance, Thresholds},
};
use std::collections::BTreeMap;

/// C: half a nat.
pub const CLIP_MICRO: u64 = 500_000;
/// −ln 10⁻⁴ and −ln 10⁻⁹ in millionths, rounded up.
const LIFETIME: Limits = Limits {
    void: 9_210_341,
    slash: 20_723_266,
};
/// Cells of fewer units, whose largest values say little, are left out.
const CELL_UNITS_MIN: u64 = 100;
/// The least limits: an engine that was never seen to differ will differ one day, and that day must
/// not cost a bond. A margin of a thousandth of a nat, or two tokens, is not even void.
const MARGIN_MIN: Limits = Limits {
    void: 1_000,
    slash: 100_000,
};
const SUM_MIN: Limits = Limits {
    void: 2_000,
    slash: CLIP_MICRO,
};
const MISMATCHES_MIN: Limits = Limits { void: 2, slash: 8 };
/// Two of 128 values on the other side of a power of two, and bytes one step off.
const TOPLOC_MIN: Thresholds = Thresholds {
    exponent_mismatches_max: 2,
    mantissa_mean_thousandths_max: 500,
    mantissa_median_max: 1,
};
const PROJECTION_PEAK_MIN: Limits = Limits {
    void: 16,
    slash: 16,
};
const PROJECTION_BULK_MIN: Limits = Limits { void: 8, slash: 8 };
/// How often the envelope may be below the truth anywhere.
const ENVELOPE_ERROR: f64 = 0.01;
/// Share of the wealth that each unit stakes on the alternative.
const STAKE: f64 = 0.125;

/// What honest work of one engine was seen to differ by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calibration {
    units_count: u64,
    tokens_count: u64,
    largest_micro: u64,
    cells: BTreeMap<(u8, u8), Seen>,
    scores: [u64; SCORE_BINS_COUNT],
    exponent_mismatches: u32,
    mantissa: Option<MantissaDistance>,
    /// The largest distance of a token's projections, and the largest bulk of a unit's.
    projection_peak: u64,
    projection_bulk: u64,
}

/// The most seen in a cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    units_count: u64,
    clipped_sum_micro: u64,
    mismatches_count: u64,
}

/// Why there is no class.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CalibrateError {
    /// A name that may not be shown.
    #[error(transparent)]
    Name(#[from] TextError),
    /// More kinds of units than a class has room for.
    #[error(transparent)]
    Cells(#[from] TooMany),
}

impl Calibration {
    /// Adds an honest unit, measured with [`CLIP_MICRO`].
    pub fn add(&mut self, unit: &Margins) {
        self.units_count += 1;
        self.tokens_count += unit.tokens_count;
        self.largest_micro = self.largest_micro.max(unit.largest_micro);
        self.add_beginning(unit);
        self.scores[score_bin(unit.clipped_sum_micro, unit.tokens_count)] += 1;
    }

    /// Adds the first responses of a unit to the cell of their length: shorter units are judged by
    /// it.
    fn add_beginning(&mut self, beginning: &Margins) {
        let cell = (
            tokens_log2(beginning.tokens_count),
            entropy_bin(beginning.entropy_micro()),
        );
        let seen = self.cells.entry(cell).or_default();
        seen.units_count += 1;
        seen.clipped_sum_micro = seen.clipped_sum_micro.max(beginning.clipped_sum_micro);
        seen.mismatches_count = seen.mismatches_count.max(beginning.mismatches_count);
    }

    /// Adds how far the proof of an honest chunk agreed.
    pub fn add_proof(&mut self, exponent_mismatches: u32, mantissa: Option<MantissaDistance>) {
        self.exponent_mismatches = self.exponent_mismatches.max(exponent_mismatches);
        let worst = |a: MantissaDistance, b: MantissaDistance| MantissaDistance {
            mean_thousandths: a.mean_thousandths.max(b.mean_thousandths),
            median: a.median.max(b.median),
        };
        self.mantissa = match (self.mantissa, mantissa) {
            (Some(a), Some(b)) => Some(worst(a, b)),
            (a, b) => a.or(b),
        };
    }

    /// Adds everything about an honest unit.
    pub fn add_unit(&mut self, unit: &Distance) {
        self.add(&unit.margins);
        let mut beginning = Margins::default();
        for response in &unit.responses {
            beginning.merge(response);
            if beginning.tokens_count < unit.margins.tokens_count {
                self.add_beginning(&beginning);
            }
        }
        for agreement in &unit.proofs {
            self.add_proof(agreement.exponent_mismatches, agreement.mantissa);
        }
        let peak = unit.projections.iter().copied().max().unwrap_or(0);
        self.projection_peak = self.projection_peak.max(peak);
        self.projection_bulk = self.projection_bulk.max(bulk(&unit.projections));
    }

    /// Honest units seen.
    #[must_use]
    pub const fn units_count(&self) -> u64 {
        self.units_count
    }

    /// Honest response tokens seen.
    #[must_use]
    pub const fn tokens_count(&self) -> u64 {
        self.tokens_count
    }

    /// The 95 % bound on honest units beyond what was seen, per million: 3 / N, rounded up.
    #[must_use]
    pub fn bound_per_million(&self) -> u64 {
        3_000_000_u64.div_ceil(self.units_count.max(1))
    }

    /// The class: void above one and a half times what was seen, slash above four times, and
    /// neither below its least limit.
    ///
    /// # Errors
    /// A name that may not be shown, or more than 128 kinds of units.
    pub fn class(&self, id: ClassId, name: &str) -> Result<Class, CalibrateError> {
        let known = self.cells.iter();
        let known = known.filter(|(_, seen)| seen.units_count >= CELL_UNITS_MIN);
        let cells = known.map(|(&(tokens_log2, entropy_bin), seen)| Cell {
            tokens_log2,
            entropy_bin,
            units_count: seen.units_count,
            clipped_sum_micro: widened(seen.clipped_sum_micro, SUM_MIN),
            mismatches_count: widened(seen.mismatches_count, MISMATCHES_MIN),
        });
        let mantissa = self.mantissa.unwrap_or(MantissaDistance {
            mean_thousandths: 0,
            median: 0,
        });
        Ok(Class {
            id,
            name: Text::new(name)?,
            units_count: self.units_count,
            tokens_count: self.tokens_count,
            margin_micro: widened(self.largest_micro, MARGIN_MIN),
            clip_micro: CLIP_MICRO,
            cells: BoundedVec::new(cells.collect())?,
            evidence_micro: BoundedVec::new(evidence(&self.scores).to_vec())?,
            lifetime_micro: LIFETIME,
            toploc: Thresholds {
                exponent_mismatches_max: half_more(self.exponent_mismatches)
                    .max(TOPLOC_MIN.exponent_mismatches_max),
                mantissa_mean_thousandths_max: half_more(mantissa.mean_thousandths)
                    .max(TOPLOC_MIN.mantissa_mean_thousandths_max),
                mantissa_median_max: half_more(mantissa.median).max(TOPLOC_MIN.mantissa_median_max),
            },
            projections: ProjectionLimits {
                largest_max: widened(self.projection_peak, PROJECTION_PEAK_MIN).void,
                bulk_max: widened(self.projection_bulk, PROJECTION_BULK_MIN).void,
            },
        })
    }
}

fn half_more(seen: u32) -> u32 {
    seen.saturating_add(seen.div_ceil(2))
}

fn widened(seen: u64, least: Limits) -> Limits {
    let void = seen.saturating_add(seen.div_ceil(2)).max(least.void);
    Limits {
        void,
        slash: seen.saturating_mul(4).max(void).max(least.slash),
    }
}

/// ln(1 − s + s q₁ / q₀) of every score, in millionths rounded down.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a table that is measured once; the result is what binds"
)]
fn evidence(scores: &[u64; SCORE_BINS_COUNT]) -> [i64; SCORE_BINS_COUNT] {
    let total = scores.iter().sum::<u64>().max(1) as f64;
    let slack = (SCORE_BINS_COUNT as f64 / ENVELOPE_ERROR).ln();
    let envelope = scores.map(|count| {
        let count = count as f64;
        ((count + slack + (slack * slack + 2.0 * slack * count).sqrt()) / total).min(1.0)
    });
    let alternative = alternative(scores, total);
    let mut table = [0; SCORE_BINS_COUNT];
    for ((value, q0), q1) in table.iter_mut().zip(envelope).zip(alternative) {
        *value = ((STAKE * (q1 / q0 - 1.0)).ln_1p() * 1e6).floor() as i64;
    }
    table
}

/// Four tenths of the honest scores moved up by one, three by two, and three over all scores from
/// the largest honest one on.
#[expect(clippy::cast_precision_loss, reason = "as above")]
fn alternative(scores: &[u64; SCORE_BINS_COUNT], total: f64) -> [f64; SCORE_BINS_COUNT] {
    let highest = scores.iter().rposition(|count| *count > 0).unwrap_or(0);
    let above = 0.3 / (SCORE_BINS_COUNT - highest) as f64;
    let mut shares = [0.0; SCORE_BINS_COUNT];
    for (bin, share) in shares.iter_mut().enumerate() {
        let below = |by: usize| {
            bin.checked_sub(by)
                .map_or(0.0, |from| scores[from] as f64 / total)
        };
        *share = 0.4 * below(1) + 0.3 * below(2) + if bin >= highest { above } else { 0.0 };
    }
    shares
}
