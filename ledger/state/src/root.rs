//! The state root: a homomorphic hash of all entries, so that a block costs its own writes only.
//!
//! Every entry is expanded by BLAKE3's XOF to 1024 lanes of 16 bits; the lattice is the lane-wise
//! sum (`LtHash16`, Lewi, Kim, Maykov, Weis: "Securing Update Propagation with Homomorphic
//! Hashing", 2019), and the root is BLAKE3 of the lattice. Provisional: an authenticated tree with
//! inclusion proofs replaces it behind [`Lattice`]. Spec: 05-block, State root.

use protocol::{StateRoot, identifiers::tagged_hash};
use std::fmt;

const LANES: usize = 1024;

/// The lane-wise sum over all entries.
#[derive(Clone, PartialEq, Eq)]
pub struct Lattice(Box<[u16; LANES]>);

impl fmt::Debug for Lattice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lattice({})", self.root())
    }
}

impl Default for Lattice {
    fn default() -> Self {
        Self(Box::new([0; LANES]))
    }
}

impl Lattice {
    fn expand(key: &[u8], value: &[u8]) -> [u8; LANES * 2] {
        let mut hasher = blake3::Hasher::new_derive_key("cairn/state-entry/v1");
        hasher.update(&(key.len() as u64).to_le_bytes());
        hasher.update(key);
        hasher.update(value);
        let mut bytes = [0; LANES * 2];
        hasher.finalize_xof().fill(&mut bytes);
        bytes
    }
    fn combine(&mut self, key: &[u8], value: &[u8], operation: fn(u16, u16) -> u16) {
        let bytes = Self::expand(key, value);
        let (pairs, _) = bytes.as_chunks::<2>();
        for (lane, pair) in self.0.iter_mut().zip(pairs) {
            *lane = operation(*lane, u16::from_le_bytes(*pair));
        }
    }
    /// Adds an entry.
    pub fn insert(&mut self, key: &[u8], value: &[u8]) {
        self.combine(key, value, u16::wrapping_add);
    }
    /// Takes out an entry that was added.
    pub fn remove(&mut self, key: &[u8], value: &[u8]) {
        self.combine(key, value, u16::wrapping_sub);
    }
    /// The root.
    #[must_use]
    pub fn root(&self) -> StateRoot {
        StateRoot::from_bytes(tagged_hash("cairn/state-root/v1", &self.0.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_depends_on_entries_and_not_on_their_order_or_history() {
        let mut first = Lattice::default();
        first.insert(b"a", b"1");
        first.insert(b"b", b"2");
        let mut second = Lattice::default();
        second.insert(b"b", b"0");
        second.insert(b"a", b"1");
        assert_ne!(first.root(), second.root());
        second.remove(b"b", b"0");
        second.insert(b"b", b"2");
        assert_eq!(first.root(), second.root());
        second.insert(b"ab", b"");
        let with_empty = second.root();
        second.remove(b"ab", b"");
        second.insert(b"a", b"b");
        assert_ne!(with_empty, second.root(), "the key's length is bound");
    }
}
