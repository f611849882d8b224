//! The norm of what a reinforcement unit adds up, down to one square.
//!
//! The sum of a unit is multiplied by `limit / norm` where its norm is above the limit. The norm is
//! the root of a reduction: 16 lanes, each a left fold of squares, and a tree over them. So whoever
//! says the lanes has said the factor, and whoever says a wrong one says a wrong value after some
//! step of its fold.
//!
//! Spec: 02-gradient §2, arithmetic §2 and §7

use crate::define::{LANES, joined, lane_length};
use crate::program::Encoding;
use crate::update;

pub use crate::define::LANES_COUNT;

/// Largest norm of a reinforcement unit's gradient: no value can then leave the range of about 1.98
/// that the dense form has. Gradients of a healthy run are far below.
pub const UNIT_NORM_MAX: f32 = 1.9;

/// What all values are multiplied by where these lanes are those of their squares; 1 where the norm
/// is within the limit, which changes no bit.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "rounded to f32 on purpose")]
pub fn factor(lanes: [f64; LANES_COUNT]) -> f32 {
    let norm = joined(lanes).sqrt() as f32;
    if norm > UNIT_NORM_MAX {
        UNIT_NORM_MAX / norm
    } else {
        1.0
    }
}

/// The block of the update that follows from these bytes of a sum, f32 little-endian, where these
/// are the bits of its lanes. Nothing if a value has no encoding.
#[must_use]
pub fn block(piece: &[u8], lanes: &[u64; LANES_COUNT]) -> Option<Vec<u8>> {
    let factor = factor(lanes.map(f64::from_bits));
    let (values, _) = piece.as_chunks::<4>();
    let values = values
        .iter()
        .map(|value| f32::from_le_bytes(*value) * factor);
    update::block(&values.collect::<Vec<f32>>())
}

/// Steps of a lane's fold over so many values.
#[must_use]
pub const fn steps_count(values_count: u64, lane: u64) -> u64 {
    lane_length(values_count, lane)
}

/// Index of the value that a step of a lane takes in.
#[must_use]
pub const fn index_of(lane: u64, step: u64) -> u64 {
    lane.saturating_add(step.saturating_mul(LANES))
}

/// What a lane comes to by one more value, as bits; every NaN is one.
#[must_use]
pub fn taken_in(value: f32, before: f64) -> u64 {
    let wide = f64::from(value);
    bits(wide.mul_add(wide, before))
}

/// What a lane comes to after each of these numbers of steps, ascending, as bits.
#[must_use]
pub fn values_at(values: &[f32], lane: usize, cuts: &[u64]) -> Vec<u64> {
    let mut cuts = cuts.iter().peekable();
    let (mut sum, mut steps, mut found) = (0.0_f64, 0_u64, Vec::new());
    for value in values.iter().skip(lane).step_by(LANES_COUNT) {
        while cuts.next_if(|cut| **cut == steps).is_some() {
            found.push(bits(sum));
        }
        let wide = f64::from(*value);
        sum = wide.mul_add(wide, sum);
        steps += 1;
    }
    found.extend(cuts.map(|_| bits(sum)));
    found
}

/// The lanes of the squares of these values, as bits.
#[must_use]
pub fn lanes(values: &[f32]) -> [u64; LANES_COUNT] {
    std::array::from_fn(|lane| {
        let all = steps_count(values.len() as u64, lane as u64);
        let value = values_at(values, lane, &[all]);
        value.first().copied().unwrap_or_default()
    })
}

/// The bits of a sum, of which every NaN has the same.
fn bits(value: f64) -> u64 {
    let bytes = Encoding::Double.encode(value);
    bytes
        .iter()
        .rev()
        .fold(0, |bits, byte| bits << 8 | u64::from(*byte))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn values(count: usize) -> Vec<f32> {
        let value = |i: usize| f32::from(u16::try_from(i % 97).unwrap()) / 61.0 - 0.7;
        (0..count).map(value).collect()
    }

    #[test]
    fn a_lane_is_what_its_steps_come_to_one_after_the_other() {
        for count in [0, 1, 15, 16, 17, 333] {
            let values = values(count);
            let lanes = lanes(&values);
            for (lane, claimed) in lanes.iter().enumerate() {
                let steps = steps_count(count as u64, lane as u64);
                let cuts: Vec<u64> = (0..=steps).collect();
                let found = values_at(&values, lane, &cuts);
                assert_eq!(found[0], 0.0_f64.to_bits());
                for step in 0..steps {
                    let index = usize::try_from(index_of(lane as u64, step)).unwrap();
                    let at = usize::try_from(step).unwrap();
                    let next = taken_in(values[index], f64::from_bits(found[at]));
                    assert_eq!(next, found[at + 1]);
                }
                assert_eq!(found.last(), Some(claimed));
            }
        }
    }

    #[test]
    fn only_a_norm_above_the_limit_changes_values() {
        let mut lanes = [0.0; LANES_COUNT];
        lanes[3] = f64::from(UNIT_NORM_MAX) * f64::from(UNIT_NORM_MAX);
        assert_eq!(factor(lanes).to_bits(), 1.0_f32.to_bits());
        lanes[9] = 4.0 * lanes[3] - lanes[3];
        assert!((factor(lanes) - 0.5).abs() < 1e-6);
        assert_eq!(factor([f64::NAN; LANES_COUNT]).to_bits(), 1.0_f32.to_bits());
    }
}
