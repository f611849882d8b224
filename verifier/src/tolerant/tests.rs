#![allow(clippy::unwrap_used, reason = "tests")]

use super::{calibrate::Calibration, *};
use protocol::class::{ClassId, Lifetime, Limits};

fn unit(sum_micro: u64, mismatches_count: u64) -> Margins {
    Margins {
        tokens_count: 256,
        largest_micro: sum_micro.min(300_000),
        clipped_sum_micro: sum_micro,
        mismatches_count,
        entropy_sum_micro: 256 * 560_000,
    }
}

/// A thousand honest units that differ a little now and then.
fn class() -> Class {
    let mut calibration = Calibration::default();
    for index in 0..4000_u64 {
        calibration.add(&unit((index % 10) * 1000, index % 3));
    }
    calibration.add_proof(4, None);
    assert_eq!(calibration.bound_per_million(), 750);
    calibration.class(ClassId::new(1), "a test").unwrap()
}

#[test]
fn a_token_that_is_the_draw_has_no_margin_and_another_has_its_distance() {
    let logits = [0.5_f32, 1.0, -2.0, 0.25];
    let drawn = sampler::sample(&logits, &[4; 32], 9, 0.8);
    for token in 0..5 {
        let mut margins = Margins::default();
        margins.add_token((&logits, 0.8), (&[4; 32], 9), token, 500_000);
        assert_eq!(margins.mismatches_count, u64::from(token != drawn));
        assert_eq!(margins.largest_micro == 0, token == drawn);
        assert_eq!(
            margins.clipped_sum_micro,
            margins.largest_micro.min(500_000)
        );
        assert_eq!(
            margins.largest_micro == u64::MAX,
            token == 4,
            "no such token"
        );
    }
}

#[test]
fn entropy_is_that_of_the_softmax() {
    let even = entropy(&[3.0; 8], 0.5);
    assert!((even - 8.0_f64.ln()).abs() < 1e-12);
    assert!(entropy(&[0.0, 200.0], 1e-3).abs() < 1e-9);
    let p = 1.0 / (1.0 + 1.0_f64.exp());
    let expected = -(p * p.ln() + (1.0 - p) * (1.0 - p).ln());
    assert!((entropy(&[1.0, 0.0], 1.0) - expected).abs() < 1e-12);
    assert_eq!(micro(f64::NAN), u64::MAX);
}

#[test]
fn what_was_seen_holds_and_multiples_of_it_are_void_and_then_slashed() {
    let class = class();
    let cell = class.cell(256, 560_000);
    assert_eq!(cell.units_count, 4000);
    let limits = Limits {
        void: 13_500,
        slash: 500_000,
    };
    assert_eq!(cell.clipped_sum_micro, limits);
    assert_eq!(unit(9000, 2).level(&class), Level::Holds);
    assert_eq!(unit(13_501, 2).level(&class), Level::Void);
    assert_eq!(unit(0, 9).level(&class), Level::Slash);
    assert_eq!(unit(500_001, 2).level(&class), Level::Slash);
}

#[test]
fn an_engine_that_was_never_seen_to_differ_may_differ_once() {
    let mut calibration = Calibration::default();
    for _ in 0..1000 {
        calibration.add(&unit(0, 0));
    }
    let class = calibration.class(ClassId::new(1), "never differs").unwrap();
    assert_eq!(unit(0, 0).level(&class), Level::Holds);
    assert_eq!(unit(900, 1).level(&class), Level::Holds);
    assert_eq!(
        unit(90_000, 3).level(&class),
        Level::Void,
        "and never more than void"
    );
    assert_eq!(unit(600_000, 9).level(&class), Level::Slash);
}

#[test]
fn cells_that_were_hardly_seen_slash_nobody() {
    let mut calibration = Calibration::default();
    for index in 0..1099_u64 {
        let tokens_count = if index < 1000 { 256 } else { 512 };
        calibration.add(&Margins {
            tokens_count,
            ..unit(4000, 1)
        });
    }
    let class = calibration.class(ClassId::new(1), "two lengths").unwrap();
    assert_eq!(class.cells.as_slice().len(), 1);
    assert_eq!(class.cell(512, 560_000).mismatches_count.slash, u64::MAX);
}

#[test]
fn honest_evidence_multiplies_to_at_most_one_on_average() {
    let class = class();
    let mean: f64 = (0..10)
        .map(|index| {
            let nats = unit(index * 1000, 0).evidence_micro(&class) as f64 / 1e6;
            nats.exp() / 10.0
        })
        .sum();
    assert!(mean <= 1.0, "{mean}");
    assert!(unit(100_000, 0).evidence_micro(&class) > 300_000);
}

#[test]
fn units_that_hold_one_by_one_add_up_over_a_lifetime() {
    let class = class();
    // Within the limits, and above what nearly all honest units have.
    let steered = unit(13_000, 2);
    assert_eq!(steered.level(&class), Level::Holds);
    let mut lifetime = Lifetime::default();
    for _ in 0..10_000 {
        lifetime = lifetime.and(unit(4000, 1).evidence_micro(&class));
        assert_eq!(lifetime.level(&class), Level::Holds);
    }
    let mut units = 0;
    while lifetime.level(&class) != Level::Slash {
        lifetime = lifetime.and(
            Margins {
                clipped_sum_micro: 300_000,
                ..steered
            }
            .evidence_micro(&class),
        );
        units += 1;
        assert!(units < 200, "a long honest past is no licence");
    }
    assert!(units > 2);
}
