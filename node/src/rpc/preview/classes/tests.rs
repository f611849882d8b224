//! Verdicts as auditors give them, under wider, narrower and other limits.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use protocol::{
    class::{Cell, ClassId, ProjectionLimits, TOKENS_COUNT_MIN},
    codec::{BoundedVec, Text},
    proof::toploc::Thresholds,
};

const TOKENS_COUNT: u64 = 40;

const fn limits(void: u64, slash: u64) -> Limits {
    Limits { void, slash }
}

fn class(sums: [u64; 2]) -> Class {
    let cell = |(entropy_bin, void): (u8, u64)| Cell {
        tokens_log2: 5,
        entropy_bin,
        units_count: 10,
        clipped_sum_micro: limits(void, 4 * void),
        mismatches_count: limits(2, 8),
    };
    Class {
        id: ClassId::new(3),
        name: Text::new("test").unwrap(),
        units_count: 10_000,
        tokens_count: TOKENS_COUNT_MIN,
        margin_micro: limits(100, 400),
        clip_micro: 500_000,
        cells: BoundedVec::new((1..).zip(sums).map(cell).collect()).unwrap(),
        evidence_micro: BoundedVec::new(vec![0]).unwrap(),
        lifetime_micro: limits(9_210_340, 20_723_266),
        toploc: Thresholds::PAPER,
        projections: ProjectionLimits {
            largest_max: 50,
            bulk_max: 9,
        },
    }
}

/// A verdict by the first cell of a class.
fn verdict(class: &Class, margin: u64, sum: u64, peak: u64) -> Verdict {
    let cell = class.cells.as_slice()[0];
    Verdict::new(vec![
        Finding::exact(Check::Encoding, 0),
        Finding::within(Check::Sampling, 1, cell.mismatches_count),
        Finding::within(Check::Margin, margin, class.margin_micro),
        Finding::within(Check::MarginSum, sum, cell.clipped_sum_micro),
        Finding::within(Check::ProjectionPeak, peak, limits(50, u64::MAX)),
    ])
    .unwrap()
}

fn under(proposed: &Class, verdict: &Verdict) -> (Level, Option<Level>) {
    let current = class([70, 90]);
    let before = level(verdict.findings());
    (before, again(verdict, TOKENS_COUNT, (&current, proposed)))
}

#[test]
fn the_same_limits_say_the_same() {
    let current = class([70, 90]);
    for (margin, sum, peak) in [(0, 0, 0), (101, 0, 0), (0, 71, 0), (0, 281, 0), (0, 0, 51)] {
        let (before, after) = under(&current, &verdict(&current, margin, sum, peak));
        assert_eq!(after, Some(before));
    }
}

#[test]
fn wider_limits_are_milder_and_narrower_ones_harsher() {
    let current = class([70, 90]);
    let proven = verdict(&current, 0, 281, 0);
    assert_eq!(
        under(&class([100, 90]), &proven),
        (Level::Slash, Some(Level::Void))
    );
    assert_eq!(
        under(&class([300, 90]), &proven),
        (Level::Slash, Some(Level::Holds))
    );
    let honest = verdict(&current, 60, 60, 40);
    assert_eq!(
        under(&class([50, 90]), &honest),
        (Level::Holds, Some(Level::Void))
    );
    let strict = Class {
        projections: ProjectionLimits {
            largest_max: 39,
            bulk_max: 9,
        },
        ..class([70, 90])
    };
    assert_eq!(under(&strict, &honest), (Level::Holds, Some(Level::Void)));
    let strict = Class {
        margin_micro: limits(10, 59),
        ..class([70, 90])
    };
    assert_eq!(under(&strict, &honest), (Level::Holds, Some(Level::Slash)));
}

#[test]
fn what_a_verdict_does_not_tell_is_not_guessed() {
    let current = class([70, 90]);
    let honest = verdict(&current, 0, 60, 0);
    let cut_elsewhere = Class {
        clip_micro: 400_000,
        ..class([70, 90])
    };
    assert_eq!(under(&cut_elsewhere, &honest).1, None);

    // Two cells with the same limits: it depends on which of them the unit was in.
    let alike = class([70, 70]);
    let found = verdict(&alike, 0, 60, 0);
    let again = |proposed: &Class| again(&found, TOKENS_COUNT, (&alike, proposed));
    assert_eq!(again(&class([50, 70])), None);
    assert_eq!(again(&class([50, 55])), Some(Level::Void));
}
