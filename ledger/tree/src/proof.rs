//! Proofs: the part of a tree that some keys touch, the rest cut off at its hashes.
//!
//! The steps are the tree's parts in the order left before right, each before what is below it.
//! Whoever folds them back up gets the root; if it is the expected one, then every step is a part
//! of the tree under it, because parts without entries, with one and with more have hashes that
//! cannot be mistaken for one another.

use crate::hash::{
    DEPTH_MAX, EMPTY, Hash, Path, fork, is_right, leaf, path_of, to_the_right, value_of,
};
use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{
    StateRoot,
    codec::{BoundedVec, Bytes, DecodeError, TooMany, decode, encode},
};

/// Most steps of a proof.
pub const PROOF_STEPS_COUNT_MAX: usize = 1 << 20;
/// Largest proof in bytes.
const PROOF_BYTES_MAX: usize = 1 << 28;
/// Longest key and value that are proven, in bytes.
const KEY_BYTES_MAX: usize = 1 << 10;
const VALUE_BYTES_MAX: usize = 1 << 24;

/// A part of the tree, as a proof shows it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Step {
    /// It has no entries.
    Empty,
    /// Nothing is said about it but its hash.
    Pruned {
        /// Its hash; never that of an empty part.
        hash: [u8; 32],
    },
    /// It has two sides, which follow.
    Fork,
    /// It has this entry and no other.
    Leaf {
        /// The entry's key.
        key: Bytes<KEY_BYTES_MAX>,
        /// The entry's value.
        value: Bytes<VALUE_BYTES_MAX>,
    },
    /// It has one entry, which nobody asked for.
    Other {
        /// Hash of the entry's key.
        path: [u8; 32],
        /// Hash of the entry's value.
        value: [u8; 32],
    },
}

/// More than a proof may hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a proof cannot hold this: {0}")]
pub struct TooLarge(#[from] TooMany);

impl Step {
    /// An entry.
    pub(crate) fn leaf(key: &[u8], value: Vec<u8>) -> Result<Self, TooLarge> {
        Ok(Self::Leaf {
            key: Bytes::new(key.to_vec())?,
            value: Bytes::new(value)?,
        })
    }
}

/// What some keys touch of a tree. Proves nothing until it is verified.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Proof {
    steps: BoundedVec<Step, PROOF_STEPS_COUNT_MAX>,
}

/// Why a proof does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// It is a proof about another state, or no proof.
    #[error("proof has root {found}; the state's is {expected}")]
    Root {
        /// What its steps fold up to.
        found: StateRoot,
        /// The state's.
        expected: StateRoot,
    },
    /// A part that was announced does not follow.
    #[error("proof ends after {count} steps, within a fork")]
    Short {
        /// Its steps.
        count: usize,
    },
    /// Steps that belong to nothing.
    #[error("proof has {left} steps after its end")]
    Long {
        /// How many.
        left: usize,
    },
    /// Deeper than paths are long.
    #[error("proof forks at depth {depth}; paths have {DEPTH_MAX} bits")]
    Deep {
        /// Where.
        depth: usize,
    },
    /// An entry where its path does not lead.
    #[error("proof shows an entry at depth {depth} where its path does not lead")]
    Misplaced {
        /// Where.
        depth: usize,
    },
    /// Two ways to say that a part is empty.
    #[error("proof cuts an empty part off at depth {depth}")]
    PrunedEmpty {
        /// Where.
        depth: usize,
    },
}

/// A key about which a proof says nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("proof says nothing about this key of {bytes} bytes")]
pub struct NotProven {
    /// Length of the key.
    pub bytes: usize,
}

impl Proof {
    pub(crate) fn new(steps: Vec<Step>) -> Result<Self, TooLarge> {
        Ok(Self {
            steps: BoundedVec::new(steps)?,
        })
    }
    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }
    /// Reads a proof.
    ///
    /// # Errors
    /// When the bytes are not one canonical proof.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode("state proof", bytes, PROOF_BYTES_MAX)
    }
    /// Checks that this is a part of the tree with this root, and says what it proves.
    ///
    /// # Errors
    /// See [`ProofError`].
    pub fn verify(&self, root: StateRoot) -> Result<Proven<'_>, ProofError> {
        let mut fold = Fold {
            steps: self.steps.as_slice(),
            regions: Vec::new(),
        };
        let count = fold.steps.len();
        let found = fold.part([0; 32], 0, count)?;
        if !fold.steps.is_empty() {
            let left = fold.steps.len();
            return Err(ProofError::Long { left });
        }
        let found = StateRoot::from_bytes(found);
        if found != root {
            let expected = root;
            return Err(ProofError::Root { found, expected });
        }
        Ok(Proven {
            regions: fold.regions,
        })
    }
}

/// What is known of the paths from where a part begins to where the next one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Region<'a> {
    Unknown,
    Absent,
    Entry { key: &'a [u8], value: &'a [u8] },
}

struct Fold<'a> {
    /// Those to come.
    steps: &'a [Step],
    /// In order of path, without gaps.
    regions: Vec<(Path, Region<'a>)>,
}

impl<'a> Fold<'a> {
    /// Takes the steps of the part whose paths begin with `depth` bits of `prefix`; its hash.
    fn part(&mut self, prefix: Path, depth: usize, count: usize) -> Result<Hash, ProofError> {
        let Some((step, rest)) = self.steps.split_first() else {
            return Err(ProofError::Short { count });
        };
        self.steps = rest;
        let (region, hash) = match step {
            Step::Empty => (Region::Absent, EMPTY),
            Step::Pruned { hash } if *hash == EMPTY => {
                return Err(ProofError::PrunedEmpty { depth });
            }
            Step::Pruned { hash } => (Region::Unknown, *hash),
            Step::Fork if depth >= DEPTH_MAX => return Err(ProofError::Deep { depth }),
            Step::Fork => {
                let below = depth.saturating_add(1);
                let left = self.part(prefix, below, count)?;
                let right = self.part(to_the_right(prefix, depth), below, count)?;
                return Ok(fork(&left, &right));
            }
            Step::Leaf { key, value } => {
                let (key, value) = (key.as_slice(), value.as_slice());
                let path = path_of(key);
                check_place(&path, &prefix, depth)?;
                (Region::Entry { key, value }, leaf(&path, &value_of(value)))
            }
            Step::Other { path, value } => {
                check_place(path, &prefix, depth)?;
                (Region::Absent, leaf(path, value))
            }
        };
        // One other entry is said to be there, but not which key it has, so its own path is open.
        match step {
            Step::Other { path, .. } => self.around(prefix, depth, *path),
            Step::Empty | Step::Pruned { .. } | Step::Fork | Step::Leaf { .. } => {
                self.regions.push((prefix, region));
            }
        }
        Ok(hash)
    }
    /// Nothing but an unknown entry at `path`.
    fn around(&mut self, prefix: Path, depth: usize, path: Path) {
        if path != prefix {
            self.regions.push((prefix, Region::Absent));
        }
        self.regions.push((path, Region::Unknown));
        if let Some(next) = successor(path)
            && agrees(&next, &prefix, depth)
        {
            self.regions.push((next, Region::Absent));
        }
    }
}

/// The path after this one.
fn successor(mut path: Path) -> Option<Path> {
    for byte in path.iter_mut().rev() {
        let (next, carries) = byte.overflowing_add(1);
        *byte = next;
        if !carries {
            return Some(path);
        }
    }
    None
}

fn agrees(path: &Path, prefix: &Path, depth: usize) -> bool {
    (0..depth).all(|bit| is_right(path, bit) == is_right(prefix, bit))
}

fn check_place(path: &Path, prefix: &Path, depth: usize) -> Result<(), ProofError> {
    if agrees(path, prefix, depth) {
        return Ok(());
    }
    Err(ProofError::Misplaced { depth })
}

/// What a proof proves about a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven<'a> {
    regions: Vec<(Path, Region<'a>)>,
}

impl<'a> Proven<'a> {
    /// The value of a key, or that it has none.
    ///
    /// # Errors
    /// When the proof leaves it open.
    pub fn get(&self, key: &[u8]) -> Result<Option<&'a [u8]>, NotProven> {
        let path = path_of(key);
        let from = self.regions.partition_point(|(start, _)| *start <= path);
        let region = from
            .checked_sub(1)
            .and_then(|index| self.regions.get(index));
        match region {
            Some((_, Region::Entry { key: found, value })) if *found == key => Ok(Some(value)),
            Some((_, Region::Entry { .. } | Region::Absent)) => Ok(None),
            Some((_, Region::Unknown)) | None => {
                let bytes = key.len();
                Err(NotProven { bytes })
            }
        }
    }
    /// All entries that the proof shows, by the hashes of their keys.
    pub fn entries(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.regions.iter().filter_map(|(_, region)| match region {
            Region::Entry { key, value } => Some((*key, *value)),
            Region::Unknown | Region::Absent => None,
        })
    }
}
