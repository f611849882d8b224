//! Pictures of made-up curves.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::rpc::{
    curves::CurvePoint,
    overview::{StepPoint, UnitCounts},
};
use protocol::{Height, Step};

/// Pre-training for ten steps, then rewards; evaluated every fifth.
fn curves(offset: i64) -> Curves {
    let point = |step: u64| CurvePoint {
        point: StepPoint {
            step: Step::new(step),
            height: Height::new(step * 7),
            loss_micro: (step < 10).then(|| 3_000_000 - 150_000 * step.cast_signed() + offset),
            reward_micro: (step >= 10).then_some(40_000 * step),
            exact_micro: None,
            evaluation_micro: step.is_multiple_of(5).then_some(30_000 * step),
            units: UnitCounts::default(),
        },
        tokens_count: (step + 1) * 40_960,
    };
    Curves {
        run: RunId::ZERO,
        points: (0..20).map(point).collect(),
    }
}

#[test]
fn every_source_is_a_line_of_every_curve_that_it_has() {
    let mut other = curves(200_000);
    other.points.truncate(8);
    let sources = [
        ("clean".to_owned(), curves(0)),
        ("disturbed".to_owned(), other),
    ];
    let panels = panels(&sources, By::Tokens);
    let lines: Vec<_> = panels
        .iter()
        .map(|panel| {
            panel
                .lines
                .iter()
                .map(|line| line.points.len())
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(lines, [vec![10, 8], vec![10], vec![4, 2]]);
    assert_eq!(panels[0].lines[1].points[7], (8.0 * 40_960.0, 2.15));
    let svg = draw::picture(&panels, By::Tokens).unwrap();
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    for text in [
        "training loss",
        "clean",
        "disturbed",
        "tokens of accepted gradients",
    ] {
        assert!(svg.contains(text), "{text} is missing");
    }
}

#[test]
fn one_point_is_drawn() {
    let mut one = curves(0);
    one.points.truncate(1);
    let panels = panels(&[("one".to_owned(), one)], By::Step);
    assert_eq!(panels.len(), 2);
    assert!(draw::picture(&panels, By::Step).unwrap().contains("step"));
}
