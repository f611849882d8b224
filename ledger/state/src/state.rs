//! State as a map of bytes, and typed views that collect writes over it.

use borsh::{BorshDeserialize, BorshSerialize};
use ledger_tree::Tree;
use protocol::{
    Address, Height, ProposalId, RunId, StateRoot, Step,
    codec::encode,
    task::{UnitId, UnitKind},
};
use std::{collections::BTreeMap, fmt};

/// A block's effect on the map: a value, or nothing to delete.
pub type Writes = ledger_tree::Writes;

/// All entries, and the tree over them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
    tree: Tree,
}

impl State {
    /// State read back from a store.
    #[must_use]
    pub fn from_entries(entries: BTreeMap<Vec<u8>, Vec<u8>>) -> Self {
        let tree = Tree::of(&entries);
        Self { entries, tree }
    }
    /// The same where the tree over these entries is known already.
    #[must_use]
    pub const fn with_tree(entries: BTreeMap<Vec<u8>, Vec<u8>>, tree: Tree) -> Self {
        Self { entries, tree }
    }
    /// All entries.
    #[must_use]
    pub const fn entries(&self) -> &BTreeMap<Vec<u8>, Vec<u8>> {
        &self.entries
    }
    /// The tree over all entries, which proves them.
    #[must_use]
    pub const fn tree(&self) -> &Tree {
        &self.tree
    }
    /// The commitment to all entries.
    #[must_use]
    pub fn root(&self) -> StateRoot {
        self.tree.root()
    }
    /// Makes writes permanent.
    pub fn advance(&mut self, writes: Writes) {
        let tree = self.tree.after(&writes);
        self.advance_to(writes, tree);
    }
    /// Makes writes permanent whose tree is known, as [`Transition`](crate::Transition) has it.
    /// Returns what they replaced: applied to the state after, it would give the one before.
    pub fn advance_to(&mut self, writes: Writes, tree: Tree) -> Writes {
        self.tree = tree;
        let replace = |(key, value): (Vec<u8>, Option<Vec<u8>>)| {
            let replaced = match value {
                Some(value) => self.entries.insert(key.clone(), value),
                None => self.entries.remove(&key),
            };
            (key, replaced)
        };
        writes.into_iter().map(replace).collect()
    }
    /// A view without writes, for reading.
    #[must_use]
    pub const fn view(&self) -> View<'_> {
        View {
            base: self,
            writes: BTreeMap::new(),
            journal: Vec::new(),
            attempts_count: 0,
        }
    }
    /// A view on top of writes that an earlier one collected.
    #[must_use]
    pub const fn view_after(&self, writes: Writes) -> View<'_> {
        View {
            base: self,
            writes,
            journal: Vec::new(),
            attempts_count: 0,
        }
    }
}

/// A typed entry: a table number and a key.
pub trait Record: BorshSerialize + BorshDeserialize {
    /// First byte of the key; one a type.
    const TABLE: u8;
    /// The rest of the key.
    type Key: Key;
}

/// Part of an entry's key; numbers are big-endian, so that scans are in order.
pub trait Key: Sized {
    /// Appends the bytes.
    fn write(&self, bytes: &mut Vec<u8>);
    /// Reads them back from the front.
    fn read(bytes: &mut &[u8]) -> Option<Self>;
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = bytes.split_first_chunk::<N>()?;
    *bytes = tail;
    Some(*head)
}

macro_rules! hash_key {
    ($($name:ident),+) => {$(
        impl Key for $name {
            fn write(&self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(self.as_bytes());
            }
            fn read(bytes: &mut &[u8]) -> Option<Self> {
                take::<32>(bytes).map(Self::from_bytes)
            }
        }
    )+};
}
hash_key!(Address, ProposalId);

macro_rules! number_key {
    ($($name:ident),+) => {$(
        impl Key for $name {
            fn write(&self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.get().to_be_bytes());
            }
            fn read(bytes: &mut &[u8]) -> Option<Self> {
                take::<8>(bytes).map(|b| Self::new(u64::from_be_bytes(b)))
            }
        }
    )+};
}
number_key!(RunId, Step, Height);

impl Key for () {
    fn write(&self, _: &mut Vec<u8>) {}
    fn read(_: &mut &[u8]) -> Option<Self> {
        Some(())
    }
}

impl<A: Key, B: Key> Key for (A, B) {
    fn write(&self, bytes: &mut Vec<u8>) {
        self.0.write(bytes);
        self.1.write(bytes);
    }
    fn read(bytes: &mut &[u8]) -> Option<Self> {
        Some((A::read(bytes)?, B::read(bytes)?))
    }
}

impl Key for UnitKind {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.push(match self {
            Self::Rollout => 0,
            Self::Gradient => 1,
        });
    }
    fn read(bytes: &mut &[u8]) -> Option<Self> {
        match take::<1>(bytes)? {
            [0] => Some(Self::Rollout),
            [1] => Some(Self::Gradient),
            [_] => None,
        }
    }
}

impl Key for UnitId {
    fn write(&self, bytes: &mut Vec<u8>) {
        let Self {
            run,
            step,
            kind,
            index,
        } = self;
        ((*run, *step), *kind).write(bytes);
        bytes.extend_from_slice(&index.to_be_bytes());
    }
    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let ((run, step), kind) = Key::read(bytes)?;
        let index = u32::from_be_bytes(take::<4>(bytes)?);
        Some(Self {
            run,
            step,
            kind,
            index,
        })
    }
}

/// Where a record lies in the state, and in the tree over it.
pub fn key_bytes<R: Record>(key: &impl Key) -> Vec<u8> {
    let mut bytes = vec![R::TABLE];
    key.write(&mut bytes);
    bytes
}

/// A key, and what a write to it replaced among the view's writes.
type Replaced = (Vec<u8>, Option<Option<Vec<u8>>>);

/// State with a block's writes on top.
#[derive(Clone)]
pub struct View<'a> {
    base: &'a State,
    writes: Writes,
    /// What each write since the last attempt began replaced; undone when the attempt fails.
    journal: Vec<Replaced>,
    /// Attempts that are under way, each within the one before.
    attempts_count: usize,
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "View({} writes)", self.writes.len())
    }
}

impl View<'_> {
    fn bytes(&self, key: &[u8]) -> Option<&[u8]> {
        match self.writes.get(key) {
            Some(written) => written.as_deref(),
            None => self.base.entries.get(key).map(Vec::as_slice),
        }
    }
    /// Reads a record.
    ///
    /// # Panics
    /// When the store holds bytes that this program did not write; going on would fork the chain.
    #[must_use]
    pub fn get<R: Record>(&self, key: &R::Key) -> Option<R> {
        self.bytes(&key_bytes::<R>(key)).map(decode_record)
    }
    /// Writes a record.
    pub fn put<R: Record>(&mut self, key: &R::Key, record: &R) {
        let key = key_bytes::<R>(key);
        let replaced = self.writes.insert(key.clone(), Some(encode(record)));
        self.journal.push((key, replaced));
    }
    /// Deletes a record.
    pub fn delete<R: Record>(&mut self, key: &R::Key) {
        let key = key_bytes::<R>(key);
        let replaced = self.writes.insert(key.clone(), None);
        self.journal.push((key, replaced));
    }
    /// Runs `operation`; if it fails, the view is as it was before. Operations may attempt
    /// others.
    ///
    /// # Errors
    /// What the operation returned.
    pub fn attempt<T, E>(
        &mut self,
        operation: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        if self.attempts_count == 0 {
            self.journal.clear();
        }
        let begun_at = self.journal.len();
        self.attempts_count = self.attempts_count.saturating_add(1);
        let result = operation(self);
        self.attempts_count = self.attempts_count.saturating_sub(1);
        if result.is_err() {
            for (key, replaced) in self.journal.drain(begun_at..).rev() {
                match replaced {
                    Some(value) => self.writes.insert(key, value),
                    None => self.writes.remove(&key),
                };
            }
        }
        result
    }
    /// All records of a table whose key starts with `prefix`, in order.
    #[must_use]
    pub fn scan<R: Record>(&self, prefix: &impl Key) -> Vec<(R::Key, R)> {
        let prefix = key_bytes::<R>(prefix);
        let from = || prefix.clone()..;
        let mut merged: BTreeMap<&[u8], Option<&[u8]>> = BTreeMap::new();
        let base = self
            .base
            .entries
            .range(from())
            .map(|(k, v)| (k.as_slice(), Some(v.as_slice())));
        let written = self
            .writes
            .range(from())
            .map(|(k, v)| (k.as_slice(), v.as_deref()));
        merged.extend(base.take_while(|(key, _)| key.starts_with(&prefix)));
        merged.extend(written.take_while(|(key, _)| key.starts_with(&prefix)));
        let present = merged
            .into_iter()
            .filter_map(|(key, value)| value.map(|v| (key, v)));
        present
            .map(|(key, value)| (decode_key::<R>(key), decode_record(value)))
            .collect()
    }
    /// Entries written or deleted so far, each counted once.
    #[must_use]
    pub fn writes_count(&self) -> usize {
        self.writes.len()
    }
    /// The writes so far.
    #[must_use]
    pub fn into_writes(self) -> Writes {
        self.writes
    }
    /// The tree after the writes so far.
    #[must_use]
    pub fn tree(&self) -> Tree {
        self.base.tree.after(&self.writes)
    }
    /// The root after the writes so far.
    #[must_use]
    pub fn root(&self) -> StateRoot {
        self.tree().root()
    }
}

fn decode_record<R: Record>(bytes: &[u8]) -> R {
    R::try_from_slice(bytes).expect("invariant: state holds only records that this program wrote")
}

fn decode_key<R: Record>(bytes: &[u8]) -> R::Key {
    let mut rest = bytes.get(1..).unwrap_or_default();
    R::Key::read(&mut rest).expect("invariant: state holds only keys that this program wrote")
}
