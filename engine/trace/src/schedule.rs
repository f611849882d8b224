//! The numbers of a step that are the same for all, or follow from integers and from its place in a
//! unit. Executors and the state machine take them from here.
//!
//! Spec: arithmetic §7; 02-gradient §2

/// Added to the mean square of the normalisation of every recipe's model.
pub const NORM_EPSILON: f32 = 1e-6;
/// First-moment decay of every recipe's `AdamW`.
pub const BETA1: f32 = 0.9;
/// Added to the root of the second moment of the `AdamW` of reinforcement learning.
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

/// Thousand-millionths as f32, the numerator rounded first where it is above 2^24.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "rounds to nearest, which is part of the definition"
)]
pub fn of_nano(nano: u32) -> f32 {
    nano as f32 / 1_000_000_000.0
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

/// `(r - mean) / (σ + floor)` over a group, σ being the population's standard deviation.
///
/// With `d_i = n r_i - Σ r` and `v = Σ d²`, both exact integers, the advantage is
/// `d_i / (sqrt(v / n) + n floor)`: two divisions, one root and one sum in f64, rounded to f32
/// once. Equal rewards have advantage 0, whatever the floor.
///
/// Spec: 02-gradient §2
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "integers become f64 and the quotient f32, each rounded to nearest once"
)]
pub fn advantages(rewards_micro: &[u32], floor_micro: u64) -> Vec<f32> {
    let count = i64::try_from(rewards_micro.len()).unwrap_or(i64::MAX);
    let sum: i64 = rewards_micro.iter().map(|reward| i64::from(*reward)).sum();
    let deviations: Vec<i64> = rewards_micro
        .iter()
        .map(|reward| count * i64::from(*reward) - sum)
        .collect();
    let squares: i128 = deviations
        .iter()
        .map(|deviation| i128::from(*deviation) * i128::from(*deviation))
        .sum();
    if squares == 0 {
        return vec![0.0; rewards_micro.len()];
    }
    let count = count as f64;
    let scale = (squares as f64 / count).sqrt() + count * floor_micro as f64;
    let advantage = |deviation: &i64| (*deviation as f64 / scale) as f32;
    deviations.iter().map(advantage).collect()
}

#[cfg(test)]
mod tests {
    use super::{ADAM_EPSILON, advantages, of_nano};

    #[test]
    fn thousand_millionths_are_rounded_once() {
        let found = [10, 1_000, 10_000_000, 1_000_000_000].map(of_nano);
        assert_eq!(found, [ADAM_EPSILON, 1e-6, 1e-2, 1.0]);
    }

    #[test]
    fn advantages_are_deviations_over_spread_and_floor() {
        // Mean 1/2, deviation 1/2, floor 1/2: half a deviation over one.
        let rewards = [0, 1_000_000, 0, 1_000_000];
        let found = advantages(&rewards, 500_000);
        assert_eq!(found, [-0.5, 0.5, -0.5, 0.5]);
        let unfloored = advantages(&rewards, 0);
        assert_eq!(unfloored, [-1.0, 1.0, -1.0, 1.0]);
    }

    #[test]
    fn equal_rewards_have_no_advantage_even_without_a_floor() {
        for rewards in [&[][..], &[7], &[437_500; 16]] {
            let found = advantages(rewards, 0);
            assert_eq!(found, vec![0.0; rewards.len()]);
        }
    }

    #[test]
    fn advantages_do_not_depend_on_the_order_of_samples() {
        let mut rewards: Vec<u32> = (0..16).map(|index| index * index * 3_000).collect();
        let floor = 150_000;
        let forward = advantages(&rewards, floor);
        rewards.reverse();
        let mut backward = advantages(&rewards, floor);
        backward.reverse();
        assert_eq!(forward, backward);
        assert!(forward.iter().sum::<f32>().abs() < 1e-5);
    }
}
