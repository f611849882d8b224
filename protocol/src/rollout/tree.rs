//! A binary Merkle tree, and proofs that one leaf is in it.
//!
//! Level 0 are the leaves' digests. A node hashes two neighbours under a tag of its own, so that no
//! node can pass for a leaf; an odd last one moves up as it is. An [`Inclusion`] lets someone who
//! knows only the root check one sample without the others.

use super::{GROUPS_COUNT_MAX, SAMPLES_COUNT_MAX};
use crate::{
    codec::BoundedVec,
    identifiers::{identifier, tagged_hash},
};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

identifier!(
    /// A node of the tree, a leaf's hash, or the hash of a leaf's part.
    Digest
);

/// Most levels between a leaf and the root.
pub const INCLUSION_LEVELS_MAX: usize = 12;
const _: () = assert!(1 << INCLUSION_LEVELS_MAX == GROUPS_COUNT_MAX * SAMPLES_COUNT_MAX);

fn node(left: Digest, right: Digest) -> Digest {
    Digest::from_bytes(tagged_hash("cairn/rollout-node/v1", &(left, right)))
}

/// All levels, from the leaves to the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    levels: Vec<Vec<Digest>>,
    root: Digest,
}

impl Tree {
    /// The tree over these leaves; nothing without any.
    #[must_use]
    pub fn of(leaves: Vec<Digest>) -> Option<Self> {
        let mut root = *leaves.first()?;
        let mut levels = vec![leaves];
        while let Some(below) = levels.last().filter(|level| level.len() > 1) {
            let above: Vec<Digest> = below
                .chunks(2)
                .filter_map(|pair| match pair {
                    [left, right] => Some(node(*left, *right)),
                    [odd] => Some(*odd),
                    _ => None,
                })
                .collect();
            root = *above.first()?;
            levels.push(above);
        }
        Some(Self { levels, root })
    }
    /// The root.
    #[must_use]
    pub const fn root(&self) -> Digest {
        self.root
    }
    /// The proof that leaf `index` is in the tree; nothing if there is no such leaf.
    #[must_use]
    pub fn inclusion(&self, index: u32) -> Option<Inclusion> {
        let leaves = self.levels.first()?.len();
        let mut place = index as usize;
        if place >= leaves {
            return None;
        }
        let mut path = Vec::new();
        for level in &self.levels {
            path.extend(level.get(place ^ 1).copied());
            place /= 2;
        }
        Some(Inclusion {
            index,
            leaves_count: u32::try_from(leaves).ok()?,
            path: BoundedVec::new(path).ok()?,
        })
    }
}

/// The neighbours that a leaf meets on its way to the root.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Inclusion {
    /// Index of the leaf.
    pub index: u32,
    /// Leaves in all.
    pub leaves_count: u32,
    /// From the leaf upwards; a level where it has no neighbour has none here.
    pub path: BoundedVec<Digest, INCLUSION_LEVELS_MAX>,
}

impl Inclusion {
    /// The root of the tree that holds `leaf` at this place; nothing if the path has another
    /// length than a path in such a tree.
    #[must_use]
    pub fn root_with(&self, leaf: Digest) -> Option<Digest> {
        let (mut place, mut width) = (self.index, self.leaves_count);
        if place >= width {
            return None;
        }
        let mut path = self.path.as_slice().iter();
        let mut root = leaf;
        while width > 1 {
            if place ^ 1 < width {
                let neighbour = *path.next()?;
                root = if place.is_multiple_of(2) {
                    node(root, neighbour)
                } else {
                    node(neighbour, root)
                };
            }
            place /= 2;
            width = width.div_ceil(2);
        }
        path.next().is_none().then_some(root)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn leaves(count: u8) -> Vec<Digest> {
        (0..count).map(|byte| Digest([byte; 32])).collect()
    }

    #[test]
    fn every_leaf_of_every_size_is_shown_to_be_in_the_tree() {
        for count in 1..=37 {
            let leaves = leaves(count);
            let tree = Tree::of(leaves.clone()).unwrap();
            for (index, leaf) in (0..).zip(&leaves) {
                let inclusion = tree.inclusion(index).unwrap();
                assert_eq!(
                    inclusion.root_with(*leaf),
                    Some(tree.root()),
                    "{index} of {count}"
                );
            }
            assert!(tree.inclusion(count.into()).is_none());
        }
        assert!(Tree::of(Vec::new()).is_none());
    }

    #[test]
    fn another_leaf_place_or_path_gives_another_root_or_none() {
        let tree = Tree::of(leaves(11)).unwrap();
        let sound = tree.inclusion(6).unwrap();
        let is_sound = |inclusion: &Inclusion, leaf| inclusion.root_with(leaf) == Some(tree.root());
        assert!(is_sound(&sound, Digest([6; 32])));
        assert!(!is_sound(&sound, Digest([7; 32])));
        for index in (0..12).filter(|index| *index != 6) {
            let moved = Inclusion {
                index,
                ..sound.clone()
            };
            assert!(!is_sound(&moved, Digest([6; 32])), "index {index}");
        }
        let wide = Inclusion {
            leaves_count: u32::MAX,
            ..sound.clone()
        };
        assert!(!is_sound(&wide, Digest([6; 32])));
        let path = sound.path.as_slice();
        for path in [&path[1..], &path[..path.len() - 1], &[path, path].concat()] {
            let path = BoundedVec::new(path.to_vec()).unwrap();
            let cut = Inclusion {
                path,
                ..sound.clone()
            };
            assert!(!is_sound(&cut, Digest([6; 32])));
        }
    }

    #[test]
    fn a_node_is_no_leaf() {
        let four = Tree::of(leaves(4)).unwrap();
        let halves: Vec<Digest> = four.levels[1].clone();
        // The two inner nodes, taken for leaves, would give the same root if tags were equal;
        // leaves are hashed under another tag before they come here.
        assert_eq!(Tree::of(halves.clone()).unwrap().root(), four.root());
        let leaf = tagged_hash("another/v1", &halves[0]);
        assert_ne!(
            Tree::of(vec![Digest(leaf), halves[1]]).unwrap().root(),
            four.root()
        );
    }
}
