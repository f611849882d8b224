//! Memory: blocks and state on disk, and an in-memory twin.
//!
//! A node that loses power must come back at a block boundary: either the whole of block `h`
//! happened, with its certificate, its writes to the state and its transaction index, or nothing
//! of it did. That is all this crate promises, and it promises it about bytes: it knows neither
//! the rules that produced a write nor the engine that decided a block.
//!
//! * [`Store`] is the seam. The node reads [`Store::tip`] and [`Store::state`] when it starts,
//!   calls [`Store::commit`] once a decided block, and serves [`Store::block`] to peers that
//!   catch up.
//! * [`DiskStore`] keeps everything in one map of a database, so that one batch, which the database
//!   applies atomically, is one block. `commit` returns after the file is synchronised to the disk.
//!   [`SledStore`] is the default, [`RedbStore`] the other choice.
//! * [`MemoryStore`] behaves the same, for simulation; one suite runs against both.
//!
//! Disks lie. Every record carries a BLAKE3 checksum over its key and its bytes, so a flipped or
//! misplaced record is found when it is read and named ([`Record`]) with the height at which the
//! store stood. Records that are *missing* are found too: the tip carries the count and the
//! combined checksum of all records of the state ([`StoreError::StateDiffers`]). And a whole end
//! of the database that went missing is found by a witness beside it
//! ([`StoreError::BlocksLost`]). [`Store::check`] reads everything. The cure is to begin anew in an
//! empty folder ([`Store::begin`], [`Store::put_part`], [`Store::restore`], [`Store::backfill`])
//! from what peers have and what of the damaged store is still good ([`DiskStore::salvage`]).
//!
//! ```
//! use ledger_store::{Commit, MemoryStore, Store};
//! use protocol::{BlockId, ChainId, Height, StateRoot};
//! use std::collections::BTreeMap;
//!
//! let store = MemoryStore::new();
//! let root = StateRoot::from_bytes([0; 32]);
//! store.initialize(ChainId::from_bytes([1; 32]), &BTreeMap::new(), root)?;
//! let writes = BTreeMap::from([(b"account/7".to_vec(), Some(vec![5]))]);
//! store.commit(&Commit {
//!     height: Height::new(1),
//!     block_id: BlockId::from_bytes([2; 32]),
//!     block: b"the block",
//!     certificate: b"two thirds of the stake signed it",
//!     state_root: StateRoot::from_bytes([3; 32]),
//!     writes: &writes,
//!     transactions: &[],
//! })?;
//! assert_eq!(store.state()?[b"account/7".as_slice()], [5]);
//! # Ok::<(), ledger_store::StoreError>(())
//! ```
#![forbid(unsafe_code)]

mod check;
mod choice;
mod disk;
mod error;
mod memory;
mod parts;
mod record;
mod witness;

pub use choice::{Choice, UnknownChoice, open};
pub use disk::{DiskStore, Redb, RedbStore, Salvaged, Sled, SledStore};
pub use error::{Record, StoreError};
pub use memory::MemoryStore;
pub use parts::Begun;

use protocol::{BlockId, ChainId, Height, StateRoot, TransactionId};
use std::{collections::BTreeMap, fmt, ops::ControlFlow};

/// Largest key of the state or of the node's own notes, in bytes.
pub const KEY_BYTES_MAX: usize = 1024;

/// The state: every key with its value.
pub type State = BTreeMap<Vec<u8>, Vec<u8>>;
/// Receives one entry of the state after another, key and value, and says whether to go on.
pub type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;
/// What a block changes in the state: a value to write, or nothing to delete the key.
pub type Writes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// One decided block and everything it changes.
#[derive(Clone, Copy, Debug)]
pub struct Commit<'a> {
    /// Its height: the tip's plus one.
    pub height: Height,
    /// Its identifier.
    pub block_id: BlockId,
    /// Its canonical bytes.
    pub block: &'a [u8],
    /// The quorum certificate's bytes.
    pub certificate: &'a [u8],
    /// The state after this block.
    pub state_root: StateRoot,
    /// What it changes in the state.
    pub writes: &'a Writes,
    /// Its transactions, in order.
    pub transactions: &'a [TransactionId],
}

/// The last block that is stored in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Its height; zero is genesis.
    pub height: Height,
    /// Its identifier; the chain's, as bytes, for genesis.
    pub block_id: BlockId,
    /// The state after it.
    pub state_root: StateRoot,
}

/// A block as it was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBlock {
    /// Its identifier.
    pub block_id: BlockId,
    /// Its canonical bytes.
    pub block: Vec<u8>,
    /// The quorum certificate's bytes.
    pub certificate: Vec<u8>,
    /// The state after it.
    pub state_root: StateRoot,
}

/// Where in a chain a state is that came in parts, and the block that led to it.
#[derive(Clone, Copy, Debug)]
pub struct Restored<'a> {
    /// The chain.
    pub chain: ChainId,
    /// The state at its genesis.
    pub genesis_root: StateRoot,
    /// The block's height, at least 1.
    pub height: Height,
    /// The block, with the root of the state after it.
    pub block: &'a StoredBlock,
    /// Its transactions, in order.
    pub transactions: &'a [TransactionId],
    /// How many parts the state has.
    pub parts_count: u32,
}

/// What a store was found to hold when all of it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// The lowest height whose block is kept.
    pub first: Height,
    /// The last block.
    pub tip: Height,
    /// Blocks.
    pub blocks_count: u64,
    /// Transactions in the index.
    pub transactions_count: u64,
    /// Entries of the state.
    pub state_count: u64,
    /// Notes of the node's own.
    pub notes_count: u64,
}

/// Blocks, state and a node's own notes.
pub trait Store: fmt::Debug + Send + Sync {
    /// The chain, once initialised.
    ///
    /// # Errors
    /// When the record cannot be read or is damaged.
    fn chain(&self) -> Result<Option<ChainId>, StoreError>;

    /// The last block, once initialised.
    ///
    /// # Errors
    /// When the record cannot be read or is damaged.
    fn tip(&self) -> Result<Option<Tip>, StoreError>;

    /// The lowest height whose block is kept: 1 unless the store began in the middle of the chain
    /// or dropped blocks.
    ///
    /// # Errors
    /// When the record cannot be read or is damaged.
    fn first(&self) -> Result<Height, StoreError>;

    /// Writes genesis. Does nothing when the store already holds this chain.
    ///
    /// # Errors
    /// When the store holds another chain or another genesis state, or cannot be written.
    fn initialize(
        &self,
        chain: ChainId,
        state: &State,
        state_root: StateRoot,
    ) -> Result<(), StoreError>;

    /// Stores a block and all it changes: all or nothing, and on the disk before it returns.
    ///
    /// # Errors
    /// When the height is not the tip's plus one, or the store cannot be written.
    fn commit(&self, commit: &Commit<'_>) -> Result<(), StoreError>;

    /// The block at a height; genesis has none.
    ///
    /// # Errors
    /// When the record cannot be read or is damaged, is missing below the tip, or is below
    /// [`Self::first`].
    fn block(&self, height: Height) -> Result<Option<StoredBlock>, StoreError>;

    /// Visits every entry of the state after the tip, all as they are at one instant, in the order
    /// of the first 8 bytes of the BLAKE3 hashes of their keys and then of the keys; nothing before
    /// initialisation. If it fails, what was visited is worth nothing.
    ///
    /// # Errors
    /// When a record is damaged or, if all were visited, missing.
    fn read_state(&self, visit: Visit<'_>) -> Result<Option<Tip>, StoreError>;

    /// The tip and the whole state after it; nothing before initialisation.
    ///
    /// # Errors
    /// When a record is damaged or missing.
    fn snapshot(&self) -> Result<Option<(Tip, State)>, StoreError> {
        let mut entries = Vec::new();
        let tip = self.read_state(&mut |key, value| {
            entries.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        })?;
        // Sorted once and built from the bottom, which is faster than one insertion after another.
        Ok(tip.map(|tip| (tip, entries.into_iter().collect())))
    }

    /// The whole state after the tip; empty before initialisation.
    ///
    /// # Errors
    /// When a record is damaged or missing.
    fn state(&self) -> Result<State, StoreError> {
        let snapshot = self.snapshot()?;
        Ok(snapshot.map(|(_, state)| state).unwrap_or_default())
    }

    /// The height of the block that holds a transaction.
    ///
    /// # Errors
    /// When the record cannot be read or is damaged.
    fn transaction_height(&self, id: TransactionId) -> Result<Option<Height>, StoreError>;

    /// Keeps a note of the node's own, such as the salt of an audit it must later reveal. It is
    /// not part of the state, and on the disk before this returns.
    ///
    /// # Errors
    /// When the key is too long or the store cannot be written.
    fn put_local(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError>;

    /// Reads a note of the node's own.
    ///
    /// # Errors
    /// When the record cannot be read or is damaged.
    fn get_local(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Begins to take a state in parts, which an empty store may. `plan` says in the caller's own
    /// words which state it is and how it is cut, so that who comes back after a crash knows.
    ///
    /// # Errors
    /// When the store is not empty or has begun, or cannot be written.
    fn begin(&self, plan: &[u8]) -> Result<(), StoreError>;

    /// What has begun and which parts are there, all of whose records are read; nothing if nothing
    /// has begun, or the state is whole.
    ///
    /// # Errors
    /// When a record is damaged or missing: then the folder is best removed.
    fn begun(&self) -> Result<Option<Begun>, StoreError>;

    /// Takes a part of the state, which counts when it is there as a whole: on the disk before this
    /// returns. No key may be in two parts, and a part that a crash cut off must come again with
    /// the same entries in the same order. Parts that are ranges of [`Self::read_state`]'s order
    /// are taken the fastest.
    ///
    /// # Errors
    /// When nothing has begun, the part is there already, a key is too long, the part is not the
    /// one that was cut off, or the store cannot be written.
    fn put_part(
        &self,
        index: u32,
        entries: &mut dyn Iterator<Item = (&[u8], &[u8])>,
    ) -> Result<(), StoreError>;

    /// Makes a state of which every part is there the store's, with the block that led to it: all
    /// or nothing, and on the disk before it returns. Until then the store is one without a chain,
    /// which takes neither genesis nor blocks.
    ///
    /// # Errors
    /// When a part is missing, or the store cannot be written.
    fn restore(&self, restored: &Restored<'_>) -> Result<(), StoreError>;

    /// Adds the block before the first one kept, with its transactions; its height.
    ///
    /// # Errors
    /// When there is no height before the first, or the store cannot be written.
    fn backfill(
        &self,
        block: &StoredBlock,
        transactions: &[TransactionId],
    ) -> Result<Height, StoreError>;

    /// Drops blocks below a height and their transactions from the index, the lowest first and
    /// about `count_max` records at once; the lowest height that is kept then. The last block
    /// stays.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    fn prune(&self, below: Height, count_max: usize) -> Result<Height, StoreError>;

    /// Reads every record once, compares what should agree, and visits the entries of the state on
    /// the way, as [`Self::read_state`] does: who needs both reads the store once. The visit cannot
    /// end it. If it fails, what was visited is worth nothing.
    ///
    /// # Errors
    /// The first damage found.
    fn check_reading(&self, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<Checked, StoreError>;

    /// Reads every record and compares what should agree.
    ///
    /// # Errors
    /// The first damage found.
    fn check(&self) -> Result<Checked, StoreError> {
        self.check_reading(&mut |_, _| ())
    }
}
