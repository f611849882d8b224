//! The hashes of the tree, and the bits of a path.

use blake3::hazmat::{ContextKey, HasherExt as _, hash_derive_key_context};
use std::sync::LazyLock;

/// Any hash of the tree.
pub(crate) type Hash = [u8; 32];
/// Where a key lies.
pub(crate) type Path = [u8; 32];

/// A part without entries. No input has this hash.
pub(crate) const EMPTY: Hash = [0; 32];
/// Bits of a path: no two keys agree in all of them.
pub(crate) const DEPTH_MAX: usize = 256;

// The first half of `tagged_hash`, once instead of at every node.
static LEAF: LazyLock<ContextKey> =
    LazyLock::new(|| hash_derive_key_context("cairn/state-leaf/v1"));
static FORK: LazyLock<ContextKey> =
    LazyLock::new(|| hash_derive_key_context("cairn/state-fork/v1"));

fn pair(context: &ContextKey, first: &Hash, second: &Hash) -> Hash {
    let mut hasher = blake3::Hasher::new_from_context_key(context);
    hasher.update(first).update(second);
    *hasher.finalize().as_bytes()
}

/// A part with one entry.
pub(crate) fn leaf(path: &Path, value: &Hash) -> Hash {
    pair(&LEAF, path, value)
}

/// A part with more.
pub(crate) fn fork(left: &Hash, right: &Hash) -> Hash {
    pair(&FORK, left, right)
}

/// Where a key lies.
pub(crate) fn path_of(key: &[u8]) -> Path {
    *blake3::hash(key).as_bytes()
}

/// What a leaf binds of a value.
pub(crate) fn value_of(value: &[u8]) -> Hash {
    *blake3::hash(value).as_bytes()
}

/// The bit of a path that a fork at this depth goes by; the first is the highest of the first byte.
pub(crate) fn is_right(path: &Path, depth: usize) -> bool {
    let byte = path.get(depth >> 3).copied().unwrap_or_default();
    byte & (0x80 >> (depth & 7)) != 0
}

/// The path with this bit set.
pub(crate) fn to_the_right(mut path: Path, depth: usize) -> Path {
    if let Some(byte) = path.get_mut(depth >> 3) {
        *byte |= 0x80 >> (depth & 7);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::identifiers::tagged_hash;

    #[test]
    fn hashes_are_the_tagged_hashes_of_the_specification() {
        let (a, b) = ([1; 32], [2; 32]);
        let tags = ["cairn/state-leaf/v1", "cairn/state-fork/v1"];
        assert_eq!(leaf(&a, &b), tagged_hash(tags[0], &(a, b)));
        assert_eq!(fork(&a, &b), tagged_hash(tags[1], &(a, b)));
    }

    #[test]
    fn bits_are_counted_from_the_highest_of_the_first_byte() {
        let path = to_the_right(to_the_right([0; 32], 0), 255);
        assert_eq!((path[0], path[31]), (0x80, 1));
        let set: Vec<usize> = (0..DEPTH_MAX).filter(|d| is_right(&path, *d)).collect();
        assert_eq!(set, [0, 255]);
    }
}
