//! A file as pieces of 1 MiB, whose hashes are those of its own BLAKE3 tree.
//!
//! A file's id is the root of a tree of which every whole mebibyte is a subtree, so the list of
//! their hashes belongs to the id and to no other file: whoever gets the list from a stranger
//! checks it by hashing it up. Two files differ first where their lists do, and a list is 32 768
//! times smaller than its file.

use anyhow::{Result, ensure};
use blake3::hazmat::{self, HasherExt as _, Mode};
use protocol::BlobId;
use serde::{Deserialize, Serialize};

/// Bytes of every piece but the last.
pub const PIECE_BYTES: usize = 1 << 20;
/// Most bytes of a file whose pieces are listed: 2 MiB of hashes.
const BYTES_MAX: u64 = 1 << 36;

/// The pieces of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pieces {
    /// Bytes of the file.
    pub bytes: u64,
    /// Hash of each piece, in order.
    pub hashes: Vec<BlobId>,
}

impl Pieces {
    /// Of a file in memory.
    #[must_use]
    pub fn of(file: &[u8]) -> Self {
        let hashes = if file.len() <= PIECE_BYTES {
            vec![BlobId::of(file)]
        } else {
            let chunks = (0_u64..).zip(file.chunks(PIECE_BYTES));
            chunks.map(|(index, chunk)| subtree(index, chunk)).collect()
        };
        Self {
            bytes: file.len() as u64,
            hashes,
        }
    }

    /// The id of the file whose pieces these are.
    ///
    /// # Errors
    /// Another number of pieces than the file has.
    pub fn id(&self) -> Result<BlobId> {
        ensure!(
            self.bytes <= BYTES_MAX,
            "file has {} bytes; at most {BYTES_MAX} are compared",
            self.bytes
        );
        let expected = self.bytes.div_ceil(PIECE_BYTES as u64).max(1);
        let count = self.hashes.len();
        ensure!(
            count as u64 == expected,
            "list has {count} pieces; a file of {} bytes has {expected}",
            self.bytes
        );
        Ok(match self.hashes.as_slice() {
            [whole] => *whole,
            pieces => {
                let (left, right) = halves(pieces);
                let (left, right) = (merged(left), merged(right));
                let root = hazmat::merge_subtrees_root(&left, &right, Mode::Hash);
                BlobId::from_bytes(*root.as_bytes())
            }
        })
    }

    /// Index of the first piece in which two files differ; nothing if they are equal.
    #[must_use]
    pub fn first_difference(&self, other: &Self) -> Option<usize> {
        let pairs = self.hashes.iter().zip(&other.hashes);
        let equal = pairs.take_while(|(a, b)| a == b).count();
        let is_end = equal == self.hashes.len() && equal == other.hashes.len();
        (!is_end).then_some(equal)
    }
}

fn subtree(index: u64, piece: &[u8]) -> BlobId {
    let mut hasher = blake3::Hasher::new();
    hasher.set_input_offset(index * PIECE_BYTES as u64);
    BlobId::from_bytes(hasher.update(piece).finalize_non_root())
}

/// A left part is the largest power of two that leaves something.
fn halves(pieces: &[BlobId]) -> (&[BlobId], &[BlobId]) {
    let middle = pieces.len().next_power_of_two() / 2;
    pieces.split_at(middle)
}

fn merged(pieces: &[BlobId]) -> [u8; 32] {
    match pieces {
        [one] => *one.as_bytes(),
        _ => {
            let (left, right) = halves(pieces);
            hazmat::merge_subtrees_non_root(&merged(left), &merged(right), Mode::Hash)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn file(bytes: usize) -> Vec<u8> {
        let numbers = (0_u32..).map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()[3]);
        numbers.take(bytes).collect()
    }

    #[test]
    fn pieces_hash_up_to_the_id_of_their_file() {
        let mib = PIECE_BYTES;
        for bytes in [
            0,
            1,
            mib - 1,
            mib,
            mib + 1,
            2 * mib,
            3 * mib,
            5 * mib + 7,
            8 * mib,
        ] {
            let file = file(bytes);
            let pieces = Pieces::of(&file);
            assert_eq!(pieces.id().unwrap(), BlobId::of(&file), "{bytes}");
        }
    }

    #[test]
    fn a_changed_byte_changes_its_piece_and_no_other() {
        let one = file(3 * PIECE_BYTES + 5);
        let pieces = Pieces::of(&one);
        assert_eq!(pieces.first_difference(&pieces), None);
        for at in [0, PIECE_BYTES, 3 * PIECE_BYTES - 1, 3 * PIECE_BYTES + 4] {
            let mut other = one.clone();
            other[at] ^= 1;
            let other = Pieces::of(&other);
            assert_eq!(pieces.first_difference(&other), Some(at / PIECE_BYTES));
        }
        let longer = Pieces::of(&file(3 * PIECE_BYTES + 6));
        assert_eq!(longer.first_difference(&pieces), Some(3));
    }

    #[test]
    fn lists_of_another_length_have_no_id() {
        let mut pieces = Pieces::of(&file(2 * PIECE_BYTES));
        pieces.hashes.pop();
        assert!(pieces.id().unwrap_err().to_string().contains("1 pieces"));
        pieces.bytes = u64::MAX;
        assert!(pieces.id().is_err());
    }
}
