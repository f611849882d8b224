//! The tree in memory: persistent, and changed by many entries at a time.

use crate::{
    hash::{EMPTY, Hash, Path, fork, is_right, leaf, path_of, value_of},
    outline::PartHash,
    proof::{Proof, Step, TooLarge},
};
use protocol::StateRoot;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

/// What changes: a value to write, or nothing to delete the key.
pub type Writes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// A part of the tree; nothing where there are no entries.
type Part = Option<Arc<Node>>;

#[derive(Debug)]
enum Node {
    /// The only entry of its part.
    Leaf(Leaf),
    /// At least two entries.
    Fork { hash: Hash, left: Part, right: Part },
}

#[derive(Clone, Copy, Debug)]
struct Leaf {
    path: Path,
    /// Hash of the value.
    value: Hash,
}

/// The tree over a state's entries. It holds hashes; keys and values are its owner's.
#[derive(Clone, Default)]
pub struct Tree {
    top: Part,
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tree({})", self.root())
    }
}

impl PartialEq for Tree {
    fn eq(&self, other: &Self) -> bool {
        self.root() == other.root()
    }
}

impl Eq for Tree {}

impl Tree {
    /// The tree over these entries.
    #[must_use]
    pub fn of(entries: &BTreeMap<Vec<u8>, Vec<u8>>) -> Self {
        let mut leaves = Leaves::default();
        entries.iter().for_each(|(key, value)| {
            leaves.push(key, value);
        });
        leaves.into_tree()
    }
    /// The tree after these writes; this one stays as it is.
    #[must_use]
    pub fn after(&self, writes: &Writes) -> Self {
        let change = |(key, value): (&Vec<u8>, &Option<Vec<u8>>)| {
            (path_of(key), value.as_deref().map(value_of))
        };
        let mut changes: Vec<Change> = writes.iter().map(change).collect();
        changes.sort_unstable_by_key(|(path, _)| *path);
        Self {
            top: update(&self.top, 0, &changes),
        }
    }
    /// The hash of the whole.
    #[must_use]
    pub fn root(&self) -> StateRoot {
        StateRoot::from_bytes(hash_of(&self.top))
    }
    /// Proves what these keys have, or that they have nothing. `read` gives the values as they are
    /// in this tree.
    ///
    /// # Errors
    /// When there are too many keys, or a key or value is too long.
    pub fn prove<'a>(
        &self,
        keys: impl IntoIterator<Item = &'a Vec<u8>>,
        read: impl Fn(&[u8]) -> Option<Vec<u8>>,
    ) -> Result<Proof, TooLarge> {
        let keys: BTreeSet<_> = keys.into_iter().map(|key| (path_of(key), key)).collect();
        let keys: Vec<(Path, &Vec<u8>)> = keys.into_iter().collect();
        let mut steps = Vec::new();
        show(&self.top, 0, &keys, &read, &mut steps)?;
        Proof::new(steps)
    }
}

/// What a tree over many entries is built from, once all of them have been seen in any order: the
/// hashes of their keys and values, which are most of the work.
#[derive(Debug, Default)]
pub struct Leaves(Vec<Leaf>);

impl Leaves {
    /// Adds an entry, which must not be there yet.
    pub fn push(&mut self, key: &[u8], value: &[u8]) {
        self.0.push(Leaf {
            path: path_of(key),
            value: value_of(value),
        });
    }
    /// Adds all of another's.
    pub fn append(&mut self, mut others: Self) {
        self.0.append(&mut others.0);
    }
    /// The tree over all that was added.
    #[must_use]
    pub fn into_tree(self) -> Tree {
        let Self(mut leaves) = self;
        // A stable sort takes what is in order already as it is, as a store's entries nearly are.
        leaves.sort_by_key(|leaf| leaf.path);
        // Two leaves on one path would have no fork between them.
        leaves.dedup_by_key(|leaf| leaf.path);
        Tree {
            top: build(&leaves, 0),
        }
    }
}

impl Tree {
    /// All parts at a depth, left before right.
    pub(crate) fn parts_at(&self, depth: u32, parts: &mut Vec<PartHash>) {
        let depth = usize::try_from(depth).unwrap_or(usize::MAX);
        parts_below(&self.top, (0, depth), parts);
    }
    /// The part over sorted entries that agree in the first `depth` bits.
    pub(crate) fn part_of(entries: &[(Path, Hash)], depth: u32) -> PartHash {
        let leaf = |(path, value): &(Path, Hash)| Leaf {
            path: *path,
            value: *value,
        };
        let leaves: Vec<Leaf> = entries.iter().map(leaf).collect();
        let depth = usize::try_from(depth).unwrap_or(usize::MAX);
        said_of(&build(&leaves, depth))
    }
}

/// What an outline says of a part.
fn said_of(part: &Part) -> PartHash {
    match part.as_deref() {
        None => PartHash::Empty,
        Some(Node::Leaf(Leaf { path, value })) => PartHash::One {
            path: *path,
            value: *value,
        },
        Some(Node::Fork { hash, .. }) => PartHash::More { hash: *hash },
    }
}

/// Appends the parts at depth `to` of a part that lies at depth `at`.
fn parts_below(part: &Part, (at, to): (usize, usize), parts: &mut Vec<PartHash>) {
    if at >= to {
        parts.push(said_of(part));
        return;
    }
    let below = (at.saturating_add(1), to);
    let empty = None;
    let (left, right) = match part.as_deref() {
        None => (&empty, &empty),
        Some(Node::Leaf(leaf)) if is_right(&leaf.path, at) => (&empty, part),
        Some(Node::Leaf(_)) => (part, &empty),
        Some(Node::Fork { left, right, .. }) => (left, right),
    };
    parts_below(left, below, parts);
    parts_below(right, below, parts);
}

/// A path and the hash of its new value, or nothing to delete it.
type Change = (Path, Option<Hash>);

fn hash_of(part: &Part) -> Hash {
    match part.as_deref() {
        None => EMPTY,
        Some(Node::Leaf(Leaf { path, value })) => leaf(path, value),
        Some(Node::Fork { hash, .. }) => *hash,
    }
}

/// The two sides of what is sorted by path and agrees in the first `depth` bits.
fn sides<T>(sorted: &[T], depth: usize, path: impl Fn(&T) -> &Path) -> (&[T], &[T]) {
    sorted.split_at(sorted.partition_point(|item| !is_right(path(item), depth)))
}

/// The part over sorted leaves that agree in the first `depth` bits.
fn build(leaves: &[Leaf], depth: usize) -> Part {
    match leaves {
        [] => None,
        [only] => Some(Arc::new(Node::Leaf(*only))),
        more => {
            let (left, right) = sides(more, depth, |leaf| &leaf.path);
            let below = depth.saturating_add(1);
            join(build(left, below), build(right, below))
        }
    }
}

/// Two sides as one part: an only entry moves up to where it is alone.
fn join(left: Part, right: Part) -> Part {
    let is_leaf = |part: &Part| matches!(part.as_deref(), Some(Node::Leaf(_)));
    match (&left, &right) {
        (None, None) => None,
        (Some(_), None) if is_leaf(&left) => left,
        (None, Some(_)) if is_leaf(&right) => right,
        (Some(_) | None, Some(_) | None) => {
            let hash = fork(&hash_of(&left), &hash_of(&right));
            Some(Arc::new(Node::Fork { hash, left, right }))
        }
    }
}

/// The part after sorted changes, all of which lie in it.
fn update(part: &Part, depth: usize, changes: &[Change]) -> Part {
    if changes.is_empty() {
        return part.clone();
    }
    match part.as_deref() {
        Some(Node::Fork { left, right, .. }) => {
            let (to_left, to_right) = sides(changes, depth, |(path, _)| path);
            let below = depth.saturating_add(1);
            join(update(left, below, to_left), update(right, below, to_right))
        }
        Some(Node::Leaf(kept)) => build(&merge(Some(*kept), changes), depth),
        None => build(&merge(None, changes), depth),
    }
}

/// The leaves after changes where there was one at most.
fn merge(kept: Option<Leaf>, changes: &[Change]) -> Vec<Leaf> {
    let mut leaves: BTreeMap<Path, Hash> = BTreeMap::new();
    leaves.extend(kept.map(|leaf| (leaf.path, leaf.value)));
    for (path, value) in changes {
        match value {
            Some(value) => leaves.insert(*path, *value),
            None => leaves.remove(path),
        };
    }
    let leaf = |(path, value)| Leaf { path, value };
    leaves.into_iter().map(leaf).collect()
}

/// Appends what sorted keys touch of a part, and the rest of it as a hash.
fn show(
    part: &Part,
    depth: usize,
    keys: &[(Path, &Vec<u8>)],
    read: &impl Fn(&[u8]) -> Option<Vec<u8>>,
    steps: &mut Vec<Step>,
) -> Result<(), TooLarge> {
    let step = match part.as_deref() {
        None => Step::Empty,
        Some(_) if keys.is_empty() => Step::Pruned {
            hash: hash_of(part),
        },
        Some(Node::Leaf(Leaf { path, value })) => {
            let own = keys.iter().find(|(key, _)| key == path);
            match own.and_then(|(_, key)| Some((key, read(key)?))) {
                Some((key, content)) => Step::leaf(key, content)?,
                None => Step::Other {
                    path: *path,
                    value: *value,
                },
            }
        }
        Some(Node::Fork { left, right, .. }) => {
            steps.push(Step::Fork);
            let (to_left, to_right) = sides(keys, depth, |(path, _)| path);
            let below = depth.saturating_add(1);
            show(left, below, to_left, read, steps)?;
            return show(right, below, to_right, read, steps);
        }
    };
    steps.push(step);
    Ok(())
}
