//! The numbers of a step that are the same for all, or follow from integers and from its place in a
//! unit. Executors and the state machine take them from here.
//!
//! Spec: arithmetic §7

/// Added to the mean square of the normalisation of every recipe's model.
pub const NORM_EPSILON: f32 = 1e-6;
/// First-moment decay of every recipe's `AdamW`.
pub const BETA1: f32 = 0.9;
/// Added to the root of the second moment of every recipe's `AdamW`.
pub const ADAM_EPSILON: f32 = 1e-8;

/// Millionths as f32: one division of integers that f32 holds exactly, up to 16.7.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "rounds to nearest, which is part of the definition"
)]
pub fn of_micro(micro: u64) -> f32 {
    micro as f32 / 1_000_000.0
}

/// The step size of a step: millionths, times its factor.
#[must_use]
pub fn rate(micro: u64, factor: f32) -> f32 {
    of_micro(micro) * factor
}

/// The factor of the step size in the step after `step` others: `min(1, (step + 1) / warmup)`.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "step counts are far below 2^53; the factor is rounded to f32 on purpose"
)]
pub fn warmup(step: u64, warmup_steps: u64) -> f32 {
    let step = step.saturating_add(1);
    if step >= warmup_steps {
        return 1.0;
    }
    (step as f64 / warmup_steps as f64) as f32
}

/// `1 - beta^t`: square-and-multiply in f64 from the lowest bit of `t`.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the correction is rounded to f32 on purpose"
)]
pub fn correction(beta: f32, t: u64) -> f32 {
    let mut power = 1.0;
    let mut square = f64::from(beta);
    let mut rest = t;
    while rest > 0 {
        if rest & 1 == 1 {
            power *= square;
        }
        square *= square;
        rest >>= 1;
    }
    (1.0 - power) as f32
}
