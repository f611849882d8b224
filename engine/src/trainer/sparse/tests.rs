//! Sparse updates: what is sent, its bytes, and what hostile bytes give.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use proptest::prelude::*;

fn noise(length: usize, seed: u64) -> Vec<f32> {
    let mut state = seed | 1;
    let mut next = || {
        state = state.wrapping_mul(0xd130_2b97_ae6f_34fb).wrapping_add(1);
        let uniform = (state >> 40) as f32 / 16_777_216.0 - 0.5;
        uniform * uniform * uniform * 1e-2
    };
    (0..length).map(|_| next()).collect()
}

/// The definition: sort all, take the first.
fn largest(values: &[f32], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).filter(|i| values[*i] != 0.0).collect();
    order.sort_by(|a, b| values[*b].abs().total_cmp(&values[*a].abs()).then(a.cmp(b)));
    order.truncate(count);
    order.sort_unstable();
    order
}

#[test]
fn the_largest_of_every_chunk_are_sent_and_ties_go_to_the_lower_index() {
    for length in [1, 63, 64, 65, 4095, 4096, 4097, 10_000] {
        let mut values = noise(length, 7);
        // Ties, zeros of both signs, and a run of equal values across the limit.
        for (index, value) in values.iter_mut().enumerate() {
            match index % 11 {
                0 => *value = 0.0,
                1 => *value = -0.0,
                2..7 => *value = if index % 2 == 0 { 1e-3 } else { -1e-3 },
                _ => {}
            }
        }
        let update = SparseUpdate::compress(&values).unwrap();
        let sent = sent(&update);
        let chunks = values.chunks(CHUNK_VALUES).enumerate();
        let expected: Vec<usize> = chunks
            .flat_map(|(chunk, values)| {
                let own = largest(values, values.len().div_ceil(64));
                own.into_iter()
                    .map(move |index| chunk * CHUNK_VALUES + index)
            })
            .collect();
        assert_eq!(sent, expected, "{length}");
        let decompressed = update.decompress();
        for (index, value) in values.iter().enumerate() {
            let back = decompressed[index];
            if sent.contains(&index) {
                assert_eq!(back.is_sign_negative(), value.is_sign_negative());
                assert!(back != 0.0);
            } else {
                assert!(back == 0.0);
            }
        }
    }
}

#[test]
fn a_chunk_takes_a_sixth_of_a_bit_a_value() {
    let values = noise(100 * CHUNK_VALUES, 3);
    let bytes = SparseUpdate::compress(&values).unwrap().encode();
    assert_eq!(bytes.len(), 100 * 85);
    assert_eq!(bytes.len(), encoded_length(values.len()));
}

#[test]
fn nothing_is_sent_of_nothing() {
    let update = SparseUpdate::compress(&[0.0; 5000]).unwrap();
    assert_eq!(sent(&update).len(), 0);
    assert_eq!(update.decompress(), vec![0.0; 5000]);
    assert_eq!(
        SparseUpdate::compress(&[]).unwrap().encode(),
        Vec::<u8>::new()
    );
}

#[test]
fn the_smallest_and_the_largest_values_come_back_nearly() {
    for magnitude in [2.0_f32, 1.0, 1e-3, 1e-9] {
        let update = SparseUpdate::compress(&[magnitude, -magnitude]).unwrap();
        let back = update.decompress();
        // Of two values one is sent; ties go to the first.
        assert!(
            (back[0] / magnitude - 1.0).abs() < 0.51,
            "{magnitude} {back:?}"
        );
        assert!(back[1] == 0.0);
    }
    for (value, is_finite) in [(2.1, true), (f32::NAN, false), (f32::INFINITY, false)] {
        let error = SparseUpdate::compress(&[0.0, value]).unwrap_err();
        assert_eq!(matches!(error, CompressError::OutOfRange { .. }), is_finite);
    }
}

#[test]
fn what_is_lost_is_sent_later() {
    let mut feedback = Feedback::new(256);
    let update: Vec<f32> = (1..=256).map(|index| index as f32 * 1e-5).collect();
    let mut sent = vec![0.0_f64; 256];
    for _ in 0..2000 {
        let step = feedback.compress(&update, 1.0).unwrap().decompress();
        for (sum, value) in sent.iter_mut().zip(step) {
            *sum += f64::from(value);
        }
    }
    // Everything arrives in the end, but for what is under way: a value is sent once it is among
    // the four largest, and four of about a twelfth a round carry what all 256 bring.
    for (index, sum) in sent.iter().enumerate() {
        let expected = 2000.0 * f64::from(update[index]);
        assert!(
            (sum - expected).abs() < 0.25,
            "{index}: {sum} of {expected}"
        );
    }
}

proptest! {
    #[test]
    fn bytes_and_updates_are_one_to_one(
        values in proptest::collection::vec(-1.9_f32..1.9, 0..9000),
        at in any::<prop::sample::Index>(),
        flip in 0..8_u32,
    ) {
        let update = SparseUpdate::compress(&values).unwrap();
        let mut bytes = update.encode();
        prop_assert_eq!(&SparseUpdate::decode(&bytes, values.len()).unwrap(), &update);
        prop_assert_eq!(bytes.len(), encoded_length(values.len()));
        if bytes.is_empty() {
            return Ok(());
        }
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << flip;
        // Another update or an error, never the same one from other bytes.
        if let Ok(other) = SparseUpdate::decode(&bytes, values.len()) {
            prop_assert_eq!(other.encode(), bytes);
        }
    }

    #[test]
    fn any_bytes_give_an_error_or_an_update_with_these_bytes(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        count in 0..20_000_usize,
    ) {
        if let Ok(update) = SparseUpdate::decode(&bytes, count) {
            prop_assert_eq!(update.encode(), bytes);
        }
    }
}

#[test]
fn claims_of_countless_values_cost_nothing() {
    assert!(SparseUpdate::decode(&[0; 64], usize::MAX).is_err());
}

/// Indices of the values that are sent.
fn sent(update: &SparseUpdate) -> Vec<usize> {
    let chunks = 0..update.value_count().div_ceil(CHUNK_VALUES);
    let of_chunk = |chunk: usize| {
        let values = update.chunk(chunk).1.iter();
        values.map(move |(index, _)| chunk * CHUNK_VALUES + usize::from(*index))
    };
    chunks.flat_map(of_chunk).collect()
}
