//! One token of a list that a leaf binds, shown by the piece of the list that it is in.
//!
//! A list is written as its number of tokens and the tokens, u32 each, little-endian; a leaf of a
//! rollout binds its tagged hash, and its number of tokens besides, which only the last piece would
//! show. Since number and tokens take four bytes each, no token lies in two pieces.
//!
//! Spec: trace §4

use crate::tree::{Hashing, Name, Opening};

/// Bytes of a token, and of their number.
const WIDTH: u64 = 4;

/// A list of tokens whose hash and length are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenList {
    /// How it is hashed.
    pub hashing: Hashing,
    /// Its hash.
    pub name: Name,
    /// Its tokens.
    pub count: u32,
}

impl TokenList {
    /// The token at an index; nothing if there is none, or it is not in the piece, or the piece not
    /// in the list.
    #[must_use]
    pub fn token(&self, index: u32, opening: &Opening) -> Option<u32> {
        let length = WIDTH * (u64::from(self.count) + 1);
        if index >= self.count || !opening.opens_in(&self.hashing, &self.name, length) {
            return None;
        }
        let bytes = opening.bytes_at(WIDTH * (u64::from(index) + 1), WIDTH)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    }
}

/// The piece that shows the token at an index.
#[must_use]
pub fn shown(hashing: &Hashing, tokens: &[u32], index: u32) -> Opening {
    let count = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
    let words = [count].into_iter().chain(tokens.iter().copied());
    let bytes: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
    Opening::of_in(hashing, &bytes, WIDTH * (u64::from(index) + 1))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const TAG: &str = "a list of tokens in a test";

    fn list(tokens: &[u32]) -> TokenList {
        TokenList {
            hashing: Hashing::tagged(TAG),
            name: blake3::derive_key(TAG, &borsh::to_vec(tokens).unwrap()),
            count: u32::try_from(tokens.len()).unwrap(),
        }
    }

    #[test]
    fn every_token_is_shown_by_its_piece_whatever_the_length() {
        for count in [1, 2, 254, 255, 256, 257, 511, 512, 1_000, 4_096] {
            let tokens: Vec<u32> = (0..count).map(|index| index * 7_919 + 3).collect();
            let list = list(&tokens);
            for (index, token) in (0..).zip(&tokens) {
                let opening = shown(&list.hashing, &tokens, index);
                assert_eq!(list.token(index, &opening), Some(*token), "{count} {index}");
                assert_eq!(opening.piece, u64::from(index + 1) / 256);
            }
        }
    }

    #[test]
    fn a_piece_shows_no_token_of_another_list_place_length_or_tag() {
        let tokens: Vec<u32> = (0..700).collect();
        let list = list(&tokens);
        let opening = shown(&list.hashing, &tokens, 300);
        assert_eq!(list.token(300, &opening), Some(300));
        // Of another piece, and beyond the last.
        assert_eq!(list.token(254, &opening), None);
        assert_eq!(list.token(511, &opening), None);
        let last = shown(&list.hashing, &tokens, 699);
        assert_eq!(list.token(699, &last), Some(699));
        assert_eq!(list.token(700, &last), None);
        let (mut forged, mut moved) = (opening.clone(), opening.clone());
        forged.bytes[180] ^= 1;
        assert_eq!(list.token(300, &forged), None);
        moved.piece = 2;
        assert_eq!(list.token(600, &moved), None);
        for hashing in [Hashing::Plain, Hashing::tagged("another")] {
            let other = TokenList { hashing, ..list };
            assert_eq!(other.token(300, &opening), None);
            let plain = shown(&hashing, &tokens, 300);
            assert_eq!(list.token(300, &plain), None);
        }
        // The last piece shows the length, others need not: leaves bind it besides.
        for count in [699, 701, 800] {
            let other = TokenList { count, ..list };
            assert_eq!(other.token(690, &last), None, "{count}");
        }
    }
}
