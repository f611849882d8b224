//! Random projections: eight bytes about every hidden state. Spec: 03-proof §9.
//!
//! A TOPLOC proof looks at the largest activations of a chunk and may dwell on a few channels that
//! are always large. So every token's hidden state `h` is also multiplied by eight vectors `r_i` of
//! signs that follow from the sample's seed, and what is left of it is
//!
//! ```text
//! p_i = round(clamp(32 <h, r_i> / |h|, -127, 127))
//! ```
//!
//! For a state without structure `<h, r_i> / |h|` is near a standard normal variable, so that one
//! byte holds four deviations. Every sum is one left fold over ascending channels, so that the
//! bytes are the same everywhere.

use engine::projection::Folded;
use protocol::rollout::PROJECTIONS_COUNT;

/// Steps of the byte for one standard deviation.
const STEPS: f32 = 32.0;
/// At and above this size, f32 holds whole numbers only.
const ROUNDING: f32 = 12_582_912.0;
/// Largest magnitude of a byte.
const BYTE_MAX: f32 = 127.0;

/// The signs of all projections: bit `i` of byte `k` is set where `r_i` is -1 in channel `k`.
#[must_use]
pub fn basis(sample_seed: &[u8; 32], width: usize) -> Vec<u8> {
    let mut signs = vec![0; width];
    blake3::Hasher::new_derive_key("cairn/projection-basis/v1")
        .update(sample_seed)
        .finalize_xof()
        .fill(&mut signs);
    signs
}

/// Projects hidden states: `hidden` is `[tokens, width]` f32 row-major, the result
/// `[tokens, 8]` i8 row-major, as bytes. Whatever is no number gives 0.
#[must_use]
pub fn project(hidden: &[f32], sample_seed: &[u8; 32], width: usize) -> Vec<u8> {
    let signs = signs(&basis(sample_seed, width));
    let folded = engine::projection::fold(hidden, &signs);
    folded
        .into_iter()
        .flat_map(|Folded { sums, squares }| {
            let norm = squares.sqrt();
            sums.map(|sum| byte((sum * STEPS) / norm))
        })
        .collect()
}

/// One row of eight signs a channel, as factors.
fn signs(basis: &[u8]) -> Vec<[f32; PROJECTIONS_COUNT]> {
    let sign = |byte: u8, index: usize| if byte >> index & 1 == 1 { -1.0 } else { 1.0 };
    let channels = basis.iter();
    channels
        .map(|byte| std::array::from_fn(|index| sign(*byte, index)))
        .collect()
}

/// The nearest whole number, ties to even, as a byte in two's complement.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a whole number of at most 127 in magnitude, or no number, which becomes 0"
)]
fn byte(value: f32) -> u8 {
    let limited = value.clamp(-BYTE_MAX, BYTE_MAX);
    // Adding and taking away 1.5 · 2²³ rounds to the nearest whole number, ties to even.
    let whole = (limited + ROUNDING) - ROUNDING;
    (whole as i8).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_and_its_multiple_have_the_same_bytes_and_its_negative_the_opposite() {
        let row: Vec<f32> = (0..64_u16).map(|k| f32::from(k * 37 % 64) - 31.5).collect();
        let scaled: Vec<f32> = row.iter().map(|value| value * 4.0).collect();
        let negative: Vec<f32> = row.iter().map(|value| -value).collect();
        let bytes = project(&row, &[7; 32], 64);
        assert_eq!(bytes.len(), PROJECTIONS_COUNT);
        assert_eq!(bytes, project(&scaled, &[7; 32], 64));
        let opposite: Vec<u8> = bytes.iter().map(|byte| byte.wrapping_neg()).collect();
        assert_eq!(opposite, project(&negative, &[7; 32], 64));
        assert_ne!(
            bytes,
            project(&row, &[8; 32], 64),
            "another seed, another basis"
        );
    }

    #[test]
    fn what_is_no_number_gives_zero_and_what_is_large_stays_within_a_byte() {
        assert_eq!(project(&[0.0; 4], &[1; 32], 4), [0; 8]);
        assert_eq!(project(&[f32::NAN; 4], &[1; 32], 4), [0; 8]);
        assert_eq!(project(&[f32::INFINITY, 0.0], &[1; 32], 2), [0; 8]);
        let aligned = signs(&basis(&[1; 32], 64))
            .iter()
            .map(|signs| signs[0])
            .collect::<Vec<_>>();
        assert_eq!(project(&aligned, &[1; 32], 64).first(), Some(&127));
        assert!(project(&[], &[1; 32], 4).is_empty());
    }
}
