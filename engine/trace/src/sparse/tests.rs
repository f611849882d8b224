//! A chunk is right exactly if every value of it may be where it is.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use proptest::prelude::*;

/// Values of few magnitudes, so that many are equal, with zeros of both signs.
fn values() -> impl Strategy<Value = Vec<f32>> {
    let few = (-4..=4_i8).prop_map(|level| f32::from(level) / 4.0);
    let value = prop_oneof![3 => few, 1 => -2.0_f32..=2.0, 1 => Just(-0.0)];
    proptest::collection::vec(value, 1..400)
}

fn sent(chunk: &Chunk, values: &[f32]) -> Vec<f32> {
    let indices = chunk.values.iter().map(|(index, _)| usize::from(*index));
    indices.map(|index| values[index]).collect()
}

fn is_right(chunk: &Chunk, sent: &[f32], values: &[f32]) -> bool {
    let indices = chunk.values.iter().map(|(index, _)| *index);
    let pairs: Vec<(u16, f32)> = indices.zip(sent.iter().copied()).collect();
    let allowed = |(index, value): (u16, &f32)| chunk.allows(values.len(), sent, (index, *value));
    Chunk::chosen(&pairs).as_ref() == Some(chunk) && (0..).zip(values).all(allowed)
}

proptest! {
    #[test]
    fn every_value_may_be_where_it_is_in_a_right_chunk(values in values()) {
        let chunk = Chunk::of(&values);
        prop_assert!(is_right(&chunk, &sent(&chunk, &values), &values));
        let bytes = chunk.encode(values.len());
        prop_assert_eq!(bytes.len(), chunk_bytes(values.len()));
        prop_assert_eq!(Chunk::decode(&bytes, values.len()), Ok(chunk));
    }

    /// Whatever is claimed to be sent, and of whatever values: one of them shows that it is not.
    #[test]
    fn no_other_chunk_is_right(
        values in values(),
        others in values(),
        changes in proptest::collection::vec(any::<prop::sample::Index>(), 0..3),
        is_stated in any::<bool>(),
    ) {
        let mut claimed = values.clone();
        for at in &changes {
            let index = at.index(values.len());
            claimed[index] = others[index % others.len()];
        }
        let chunk = Chunk::of(&claimed);
        let stated = sent(&chunk, if is_stated { &claimed } else { &values });
        let expected = chunk == Chunk::of(&values);
        // One that states other values than it has is wrong even if its bytes are right.
        let right = sent(&chunk, &values);
        let mut pairs = right.iter().zip(&stated);
        let same = pairs.all(|(right, stated)| right.to_bits() == stated.to_bits());
        prop_assert_eq!(is_right(&chunk, &stated, &values), expected && same);
    }

    #[test]
    fn any_bytes_are_one_chunk_or_none(
        bytes in proptest::collection::vec(any::<u8>(), 14..40),
        values_count in 1..200_usize,
    ) {
        if let Ok(chunk) = Chunk::decode(&bytes, values_count) {
            prop_assert_eq!(chunk.encode(values_count), bytes);
        }
    }
}

#[test]
fn values_without_an_encoding_are_nowhere_allowed() {
    let chunk = Chunk::of(&[1.0, 0.5]);
    assert_eq!(chunk.values, [(0, 2)]);
    for value in [f32::NAN, f32::INFINITY, -2.000_000_2] {
        assert!(!chunk.allows(2, &[1.0], (1, value)), "{value}");
        assert_eq!(Chunk::chosen(&[(0, value)]), None);
    }
    assert_eq!(Chunk::chosen(&[(0, -0.0)]), None);
    assert!(chunk.allows(2, &[1.0], (1, -1.0)), "equal, and later");
    assert!(!chunk.allows(2, &[1.0], (1, 1.001)));
    assert!(
        !Chunk::of(&[]).allows(2, &[], (1, 1.0)),
        "it sends fewer than it may"
    );
}
