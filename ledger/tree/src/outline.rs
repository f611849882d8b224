//! A tree in pieces that can each be checked: for whoever fetches a whole state from strangers.
//!
//! An outline of depth d says what each of the 2^d parts of the tree has whose paths begin with
//! the same d bits. Folded up, it gives the tree's root, so one certified header proves it; and a
//! part's entries give what the outline says of the part, so each piece is proven by itself, in
//! any order, and a stranger who sends a wrong one is known by that piece.
//!
//! The paths are hashes, so the pieces are of a size wherever no entry is large.

use crate::{
    hash::{DEPTH_MAX, EMPTY, Hash, Path, fork, is_right, leaf, path_of, value_of},
    tree::Tree,
};
use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{
    StateRoot,
    codec::{BoundedVec, Bytes, DecodeError, TooMany, decode, encode},
};

/// Deepest outline.
pub const OUTLINE_DEPTH_MAX: u32 = 16;
/// Most parts of an outline.
pub(crate) const OUTLINE_PARTS_COUNT_MAX: usize = 1 << OUTLINE_DEPTH_MAX;
/// Most entries of a piece.
pub(crate) const PIECE_ENTRIES_COUNT_MAX: usize = 1 << 20;
/// Largest encoded piece in bytes: of several mebibytes as they are made, unless one entry is as
/// large as entries may be.
pub const PIECE_BYTES_MAX: usize = 1 << 26;
/// Largest encoded outline in bytes.
const OUTLINE_BYTES_MAX: usize = OUTLINE_PARTS_COUNT_MAX * 65 + 4;
/// Longest key and value of an entry, in bytes.
const KEY_BYTES_MAX: usize = 1 << 10;
const VALUE_BYTES_MAX: usize = 1 << 24;

/// What an outline says of one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum PartHash {
    /// It has no entries.
    Empty,
    /// It has one.
    One {
        /// Hash of its key.
        path: [u8; 32],
        /// Hash of its value.
        value: [u8; 32],
    },
    /// It has more.
    More {
        /// Their hash; never that of an empty part.
        hash: [u8; 32],
    },
}

/// All parts of a tree at a depth, left before right.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Outline {
    parts: BoundedVec<PartHash, OUTLINE_PARTS_COUNT_MAX>,
}

/// The entries of one part, in ascending order of path.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Piece {
    entries: BoundedVec<(Bytes<KEY_BYTES_MAX>, Bytes<VALUE_BYTES_MAX>), PIECE_ENTRIES_COUNT_MAX>,
}

/// Why an outline or a piece is not of the state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutlineError {
    /// Not a power of two.
    #[error("outline has {count} parts; a power of two is needed")]
    Count {
        /// How many it has.
        count: usize,
    },
    /// Two ways to say that a part is empty.
    #[error("outline gives part {index} the hash of an empty one")]
    MoreEmpty {
        /// Which part.
        index: usize,
    },
    /// An entry in a part where its path does not lead.
    #[error("outline has an entry in part {index} where its path does not lead")]
    Misplaced {
        /// Which part.
        index: usize,
    },
    /// Of another state.
    #[error("outline has root {found}; the state's is {expected}")]
    Root {
        /// What its parts fold up to.
        found: StateRoot,
        /// The state's.
        expected: StateRoot,
    },
    /// No such part.
    #[error("there is no piece {index}; the outline has {count}")]
    Index {
        /// Which was asked for.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// Not in order of path, or twice.
    #[error("piece {index} has entries out of order at {at}")]
    Order {
        /// Which piece.
        index: usize,
        /// Position of the entry.
        at: usize,
    },
    /// An entry of another part.
    #[error("piece {index} has an entry of another part at {at}")]
    Stranger {
        /// Which piece.
        index: usize,
        /// Position of the entry.
        at: usize,
    },
    /// Other entries than the state's.
    #[error("piece {index} of {count} entries is not what the outline says")]
    Piece {
        /// Which piece.
        index: usize,
        /// How many entries it has.
        count: usize,
    },
}

/// In which part of an outline of this depth a key lies.
#[must_use]
pub fn part_of(key: &[u8], depth: u32) -> usize {
    part_index(&path_of(key), depth)
}

fn part_index(path: &Path, depth: u32) -> usize {
    let bits = 0..usize::try_from(depth).unwrap_or(usize::MAX).min(DEPTH_MAX);
    bits.fold(0, |index: usize, bit| {
        index.wrapping_shl(1) | usize::from(is_right(path, bit))
    })
}

impl PartHash {
    fn folded(&self) -> Hash {
        match self {
            Self::Empty => EMPTY,
            Self::One { path, value } => leaf(path, value),
            Self::More { hash } => *hash,
        }
    }
    /// Two sides as one part, as a tree has them.
    fn join(left: Self, right: Self) -> Self {
        match (left, right) {
            (Self::Empty, Self::Empty) => Self::Empty,
            (one @ Self::One { .. }, Self::Empty) | (Self::Empty, one @ Self::One { .. }) => one,
            (left, right) => Self::More {
                hash: fork(&left.folded(), &right.folded()),
            },
        }
    }
}

impl Tree {
    /// The tree's outline at a depth of at most [`OUTLINE_DEPTH_MAX`]; deeper is as deep as that.
    ///
    /// # Errors
    /// Never; the bound on parts holds at every depth.
    pub fn outline(&self, depth: u32) -> Result<Outline, TooMany> {
        let mut parts = Vec::new();
        self.parts_at(depth.min(OUTLINE_DEPTH_MAX), &mut parts);
        Outline::of(parts)
    }
}

impl Outline {
    /// The outline whose parts are these, left before right.
    ///
    /// # Errors
    /// When there are too many.
    pub fn of(parts: Vec<PartHash>) -> Result<Self, TooMany> {
        Ok(Self {
            parts: BoundedVec::new(parts)?,
        })
    }
    /// The root of the state whose outline this is, if it is one.
    #[must_use]
    pub fn root(&self) -> StateRoot {
        let mut level = self.parts.as_slice().to_vec();
        while level.len() > 1 {
            let pairs = level.chunks_exact(2);
            level = pairs
                .map(|pair| match pair {
                    [left, right] => PartHash::join(*left, *right),
                    _ => PartHash::Empty,
                })
                .collect();
        }
        let top = level.first().copied().unwrap_or(PartHash::Empty);
        StateRoot::from_bytes(top.folded())
    }
    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }
    /// Reads an outline.
    ///
    /// # Errors
    /// When the bytes are not one canonical outline.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode("state outline", bytes, OUTLINE_BYTES_MAX)
    }
    /// How many parts.
    #[must_use]
    pub fn count(&self) -> usize {
        self.parts.as_slice().len()
    }
    /// Its depth, if the number of parts is a power of two.
    #[must_use]
    pub fn depth(&self) -> u32 {
        self.count().trailing_zeros()
    }
    /// Checks that this is the outline of the state with this root.
    ///
    /// # Errors
    /// See [`OutlineError`].
    pub fn verify(&self, root: StateRoot) -> Result<(), OutlineError> {
        let count = self.count();
        if !count.is_power_of_two() {
            return Err(OutlineError::Count { count });
        }
        for (index, part) in self.parts.as_slice().iter().enumerate() {
            match part {
                PartHash::More { hash } if *hash == EMPTY => {
                    return Err(OutlineError::MoreEmpty { index });
                }
                PartHash::One { path, .. } if part_index(path, self.depth()) != index => {
                    return Err(OutlineError::Misplaced { index });
                }
                PartHash::Empty | PartHash::One { .. } | PartHash::More { .. } => {}
            }
        }
        let found = self.root();
        if found != root {
            let expected = root;
            return Err(OutlineError::Root { found, expected });
        }
        Ok(())
    }
    /// Checks that a piece has the entries of one part, all of them and no others.
    ///
    /// # Errors
    /// See [`OutlineError`].
    pub fn check(&self, index: usize, piece: &Piece) -> Result<(), OutlineError> {
        let (count, depth) = (self.count(), self.depth());
        let Some(part) = self.parts.as_slice().get(index) else {
            return Err(OutlineError::Index { index, count });
        };
        let mut before: Option<Path> = None;
        let mut entries = Vec::new();
        for (at, (key, value)) in piece.entries().enumerate() {
            let path = path_of(key);
            if part_index(&path, depth) != index {
                return Err(OutlineError::Stranger { index, at });
            }
            if before.is_some_and(|before| before >= path) {
                return Err(OutlineError::Order { index, at });
            }
            before = Some(path);
            entries.push((path, value_of(value)));
        }
        let count = entries.len();
        if Tree::part_of(&entries, depth).folded() == part.folded() {
            return Ok(());
        }
        Err(OutlineError::Piece { index, count })
    }
}

impl Piece {
    /// The entries of one part, in any order.
    ///
    /// # Errors
    /// When there are too many, or one is too large.
    pub fn new(entries: Vec<(Vec<u8>, Vec<u8>)>) -> Result<Self, TooMany> {
        let mut sorted: Vec<_> = entries
            .into_iter()
            .map(|(key, value)| (path_of(&key), key, value))
            .collect();
        sorted.sort_unstable_by_key(|(path, _, _)| *path);
        let bounded = |(_, key, value)| Ok((Bytes::new(key)?, Bytes::new(value)?));
        let entries = sorted.into_iter().map(bounded);
        Ok(Self {
            entries: BoundedVec::new(entries.collect::<Result<_, TooMany>>()?)?,
        })
    }
    /// What an outline of this depth says of the part whose entries these are.
    #[must_use]
    pub fn part(&self, depth: u32) -> PartHash {
        let hashes = self.entries();
        let hashes = hashes.map(|(key, value)| (path_of(key), value_of(value)));
        Tree::part_of(&hashes.collect::<Vec<_>>(), depth)
    }
    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }
    /// Reads a piece.
    ///
    /// # Errors
    /// When the bytes are not one canonical piece.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode("state piece", bytes, PIECE_BYTES_MAX)
    }
    /// The entries.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let entries = self.entries.as_slice().iter();
        entries.map(|(key, value)| (key.as_slice(), value.as_slice()))
    }
    /// The entries, taken out.
    pub fn into_entries(self) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
        let entries = self.entries.into_vec().into_iter();
        entries.map(|(key, value)| (key.as_slice().to_vec(), value.as_slice().to_vec()))
    }
}
