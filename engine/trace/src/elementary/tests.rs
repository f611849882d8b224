//! Errors against f64 and edge cases.

#![expect(clippy::cast_precision_loss, reason = "tests compare in f64")]

use super::*;

/// Error of `got` in units of the last place of the f32 nearest to `want`.
fn ulps(got: f32, want: f64) -> f64 {
    let nearest = want as f32;
    let spacing = f64::from(f32::from_bits(nearest.abs().to_bits() + 1)) - f64::from(nearest.abs());
    (f64::from(got) - want).abs() / spacing
}

fn worst(inputs: impl Iterator<Item = f32>, f: fn(f32) -> f32, exact: fn(f64) -> f64) -> f64 {
    inputs
        .map(|x| ulps(f(x), exact(f64::from(x))))
        .fold(0.0, f64::max)
}

#[test]
fn exp_is_within_one_and_a_half_ulp() {
    let inputs = (0..400_000).map(|i| -87.0 + 175.7 * (i as f32 / 400_000.0));
    let error = worst(inputs, exp, f64::exp);
    assert!(error < 1.5, "worst error {error} ulp");
    let near_zero = (0..100_000).map(|i| (i as f32 - 50_000.0) * 1e-5);
    let error = worst(near_zero, exp, f64::exp);
    assert!(error < 1.5, "worst error {error} ulp near zero");
}

#[test]
fn log_is_within_one_and_a_half_ulp() {
    let inputs = (0x0080_0000_u32..0x7f80_0000)
        .step_by(4_999)
        .map(f32::from_bits);
    let error = worst(inputs, log, f64::ln);
    assert!(error < 1.5, "worst error {error} ulp");
    let near_one = (0..200_000)
        .map(|i| 0.6 + i as f32 * 4e-6)
        .filter(|x| *x != 1.0);
    let error = worst(near_one, log, f64::ln);
    assert!(error < 1.5, "worst error {error} ulp near one");
}

#[test]
fn exp_and_log_have_the_right_limits() {
    assert_eq!(exp(0.0).to_bits(), 1.0_f32.to_bits());
    assert_eq!(exp(f32::NEG_INFINITY), 0.0);
    assert_eq!(exp(-87.001), 0.0);
    assert!(exp(-87.0).is_normal());
    assert_eq!(exp(f32::INFINITY), f32::INFINITY);
    assert!(exp(f32::NAN).is_nan());
    assert_eq!(log(1.0).to_bits(), 0);
    assert_eq!(log(0.0), f32::NEG_INFINITY);
    assert_eq!(log(f32::INFINITY), f32::INFINITY);
    assert!(log(-1.0).is_nan() && log(f32::NAN).is_nan());
    assert!(
        ulps(log(1e-42), f64::from(1e-42_f32).ln()) < 1.5,
        "subnormal argument"
    );
}

#[test]
fn exponential_variates_are_accurate_and_finite_at_both_ends() {
    let words = (0..=u32::MAX)
        .step_by(65_521)
        .chain([0, 1, 2, 1 << 31, (1 << 31) - 1, u32::MAX]);
    for word in words {
        let u = (f64::from(word) + 0.5) / 4_294_967_296.0;
        let exact = if u > 0.5 {
            -(-(1.0 - u)).ln_1p()
        } else {
            -u.ln()
        };
        let got = exponential(word);
        assert!(got > 0.0 && got.is_finite(), "word {word} gives {got}");
        assert!(ulps(got, exact) < 5.0, "word {word}: {got} for {exact}");
        assert!(gumbel(word).is_finite());
    }
}

#[test]
fn wide_functions_are_within_a_few_ulp_of_f64() {
    for i in 1..50_000 {
        let x = f64::from(i) * 0.37;
        let (sine, cosine) = wide::sin_cos(x);
        assert!((sine - x.sin()).abs() < 1e-15, "sin {x}");
        assert!((cosine - x.cos()).abs() < 1e-15, "cos {x}");
        assert!(
            (wide::log(x) - x.ln()).abs() <= 4e-16 * x.ln().abs().max(1.0),
            "log {x}"
        );
        let y = -f64::from(i) * 3e-4;
        assert!((wide::exp(y) / y.exp() - 1.0).abs() < 1e-15, "exp {y}");
    }
}

#[test]
fn bf16_rounds_to_nearest_even() {
    assert_eq!(bf16_bits(1.0), 0x3f80);
    assert_eq!(
        bf16_bits(f32::from_bits(0x3f80_8000)),
        0x3f80,
        "tie to even below"
    );
    assert_eq!(
        bf16_bits(f32::from_bits(0x3f81_8000)),
        0x3f82,
        "tie to even above"
    );
    assert_eq!(bf16_bits(f32::from_bits(0x3f80_8001)), 0x3f81);
    assert_eq!(bf16_bits(-0.0), 0x8000);
    assert_eq!(bf16_bits(f32::MAX), 0x7f80, "overflow rounds to infinity");
    assert_eq!(bf16_bits(f32::NEG_INFINITY), 0xff80);
    assert_eq!(
        bf16_bits(f32::from_bits(0xffff_ffff)),
        0x7fc0,
        "every NaN is one NaN"
    );
}
