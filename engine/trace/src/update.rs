//! How a block of values becomes bytes of an update: eight bits a value and one scale.
//!
//! With the largest magnitude `m` of a block, `scale = ceil(m 2^38 / 127)` and
//! `code = round(x 2^38 / scale)`, ties to even, both in f64; a block of zero codes has scale 0.
//!
//! Spec: arithmetic §8

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "codes and scales are bounded before they are narrowed"
)]

/// Values that share a scale.
pub const BLOCK_VALUES: usize = 256;
/// Binary digits of a scale after the point.
pub const SCALE_BITS: u32 = 38;
/// Units of a scale in one.
pub const SCALE_ONE: u64 = 1 << SCALE_BITS;
/// Bytes of a scale.
pub const SCALE_BYTES: usize = 4;

/// The largest magnitude that a block can hold, about 1.98.
#[must_use]
pub fn largest_magnitude() -> f64 {
    127.0 * f64::from(u32::MAX) / SCALE_ONE as f64
}

/// The scale of a block whose largest magnitude this is.
#[must_use]
pub fn scale(largest: f64) -> f64 {
    (largest * SCALE_ONE as f64 / 127.0).ceil()
}

/// The code of a value under its block's scale.
#[must_use]
pub fn code(value: f32, scale: f64) -> i8 {
    let divisor = if scale == 0.0 { 1.0 } else { scale };
    let code = (f64::from(value) * SCALE_ONE as f64 / divisor).round_ties_even();
    code.clamp(-127.0, 127.0) as i8
}

/// A block's bytes: the scale, little-endian, and the codes. Nothing if a value is not finite or
/// too large.
#[must_use]
pub fn block(values: &[f32]) -> Option<Vec<u8>> {
    let magnitudes = values.iter().map(|value| f64::from(value.abs()));
    let mut largest = 0.0;
    for magnitude in magnitudes {
        if magnitude.is_nan() || magnitude > largest_magnitude() {
            return None;
        }
        largest = if magnitude > largest {
            magnitude
        } else {
            largest
        };
    }
    let scale = scale(largest);
    let codes: Vec<i8> = values.iter().map(|value| code(*value, scale)).collect();
    let is_empty = codes.iter().all(|code| *code == 0);
    let scale = if is_empty { 0 } else { scale as u32 };
    let mut bytes = scale.to_le_bytes().to_vec();
    bytes.extend(codes.into_iter().map(i8::cast_unsigned));
    Some(bytes)
}

/// Value by value, what a unit gives: weights before, less weights after; both f32, little-endian.
#[must_use]
pub fn difference(before: &[u8], after: &[u8]) -> Vec<f32> {
    let values = |bytes: &[u8]| -> Vec<f32> {
        let (values, _) = bytes.as_chunks::<4>();
        values.iter().copied().map(f32::from_le_bytes).collect()
    };
    let pairs = values(before).into_iter().zip(values(after));
    pairs.map(|(before, after)| before - after).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_holds_what_is_finite_and_small_and_nothing_else() {
        assert_eq!(block(&[0.0, -0.0]), Some(vec![0; 6]));
        let whole = block(&[1.0, -0.5]);
        let scale = (SCALE_ONE as f64 / 127.0).ceil() as u32;
        let mut bytes = scale.to_le_bytes().to_vec();
        bytes.extend([127, (-63_i8).cast_unsigned()]);
        assert_eq!(whole, Some(bytes));
        for value in [f32::NAN, f32::INFINITY, 1.99, -2.0] {
            assert_eq!(block(&[0.1, value]), None, "{value}");
        }
    }
}
