//! The state tree: one hash for all entries, and proofs about any of them.
//!
//! A binary trie over the hashes of the keys. An entry lies where the bits of its key's hash lead,
//! as near to the root as it is alone:
//!
//! ```text
//! path  = BLAKE3(key)
//! leaf  = H("cairn/state-leaf/v1", path ‖ BLAKE3(value))      a part with one entry
//! fork  = H("cairn/state-fork/v1", left ‖ right)              a part with more: by its next bit
//! empty = 32 bytes zero                                       a part with none
//! root  = the hash of the whole
//! ```
//!
//! The tree is a function of the entries alone, whatever the order in which they came, so a node
//! that reads its state back from a disk has the tree that everyone has, and nothing of the tree
//! needs to be stored. A block costs about log₂ of the number of entries for each that it writes.
//!
//! [`Tree`] is persistent: [`Tree::after`] makes a new one that shares with the old all that did
//! not change, so a node may hold the trees before and after a block for the price of the
//! difference, and a version is dropped by dropping it.
//!
//! [`Proof`] is the part of a tree that some keys touch, the rest cut off at its hashes. One proof
//! speaks of many keys, present and absent, and repeats nothing. Checking one needs no tree:
//!
//! ```
//! use ledger_tree::{Proof, Tree};
//! use std::collections::BTreeMap;
//!
//! let entries = BTreeMap::from([(b"a".to_vec(), b"1".to_vec()), (b"b".to_vec(), b"2".to_vec())]);
//! let tree = Tree::of(&entries);
//! let asked = [b"a".to_vec(), b"c".to_vec()];
//! let proof = tree.prove(&asked, |key| entries.get(key).cloned())?;
//! let proven = proof.verify(tree.root()).unwrap();
//! assert_eq!(proven.get(b"a"), Ok(Some(b"1".as_slice())));
//! assert_eq!(proven.get(b"c"), Ok(None));
//! # Ok::<(), ledger_tree::TooLarge>(())
//! ```
//!
//! [`Outline`] and [`Piece`] carry a whole state between strangers, each piece proven by itself.
//!
//! Spec: 05-block §2 and §13. Why not the `jmt` crate:
//! `spec/decisions/010-why-our-own-state-tree.md`.
#![forbid(unsafe_code)]
#![deny(
    clippy::float_arithmetic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

mod hash;
mod outline;
mod proof;
mod tree;

pub use outline::{
    OUTLINE_DEPTH_MAX, Outline, OutlineError, PIECE_BYTES_MAX, PartHash, Piece, part_of,
};
pub use proof::{NotProven, PROOF_STEPS_COUNT_MAX, Proof, ProofError, Proven, Step, TooLarge};
pub use tree::{Leaves, Tree, Writes};
