//! Against the hash itself.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use proptest::prelude::*;

fn file(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

/// Walks down to the piece of a byte, and checks every name on the way.
fn walk(bytes: &[u8], byte: u64) -> Span {
    let mut span = Span::file(bytes.len() as u64);
    let mut name = span.name(bytes);
    while !span.is_piece() {
        let spans = span.below();
        let names: Vec<Name> = spans.iter().map(|span| span.name(span.of(bytes))).collect();
        assert_eq!(span.joined(&names), Some(name), "{span:?}");
        let next = spans.iter().rposition(|span| span.start <= byte).unwrap();
        (span, name) = (spans[next], names[next]);
    }
    span
}

proptest! {
    #[test]
    fn names_below_give_the_name_above_down_to_every_piece(
        length in 1_usize..300_000,
        part in 0.0_f64..1.0,
    ) {
        let bytes = file(length);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a test")]
        #[expect(clippy::cast_precision_loss, reason = "a test")]
        let byte = ((length as f64 * part) as u64).min(length as u64 - 1);
        let piece = walk(&bytes, byte);
        prop_assert!(piece.start <= byte && byte < piece.start + piece.length);
    }

    #[test]
    fn a_piece_opens_the_file_that_it_is_of_and_no_other(
        length in 1_usize..200_000,
        byte in any::<prop::sample::Index>(),
        flipped in any::<prop::sample::Index>(),
    ) {
        let bytes = file(length);
        let name = *blake3::hash(&bytes).as_bytes();
        let byte = byte.index(length) as u64;
        let opening = Opening::of(&bytes, byte);
        prop_assert!(opening.opens(&name, length as u64));
        let at = usize::try_from(byte).unwrap();
        prop_assert_eq!(opening.bytes_at(byte, 1).unwrap(), &bytes[at..=at]);
        prop_assert!(!opening.opens(&[7; 32], length as u64));

        let mut other = opening.clone();
        let at = flipped.index(other.bytes.len());
        other.bytes[at] ^= 1;
        prop_assert!(!other.opens(&name, length as u64));
        let mut other = opening.clone();
        other.piece += 1;
        prop_assert!(!other.opens(&name, length as u64));
        let mut other = opening;
        other.path.push(name);
        prop_assert!(!other.opens(&name, length as u64));
    }
}

#[test]
fn the_name_of_an_empty_file_is_its_hash() {
    let name = *blake3::hash(&[]).as_bytes();
    assert_eq!(Span::file(0).name(&[]), name);
    assert!(Opening::of(&[], 0).opens(&name, 0));
}
