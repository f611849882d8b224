//! What can go wrong, whose fault it is, and where.

use protocol::{ChainId, Height, StateRoot, TransactionId};
use std::{fmt, path::PathBuf};

/// Names one record of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The version of the layout.
    Format,
    /// The chain and its genesis.
    Chain,
    /// The last block.
    Tip,
    /// The block at a height.
    Block(Height),
    /// A key of the state.
    State(Vec<u8>),
    /// Where a transaction is.
    Transaction(TransactionId),
    /// A note of the node's own.
    Local(Vec<u8>),
    /// Which state is taken in parts.
    Plan,
    /// The mark of a part that was taken.
    Part(u32),
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format => write!(f, "format record"),
            Self::Chain => write!(f, "chain record"),
            Self::Tip => write!(f, "tip record"),
            Self::Block(height) => write!(f, "block {height}"),
            Self::State(key) => write!(f, "state key {}", readable(key)),
            Self::Transaction(id) => write!(f, "transaction {id}"),
            Self::Local(key) => write!(f, "local key {}", readable(key)),
            Self::Plan => write!(f, "plan record"),
            Self::Part(index) => write!(f, "mark of part {index}"),
        }
    }
}

/// A key for people: as text when it is printable ASCII, else in hexadecimal.
fn readable(key: &[u8]) -> String {
    match std::str::from_utf8(key) {
        Ok(text) if !key.is_empty() && key.iter().all(u8::is_ascii_graphic) => format!("{text:?}"),
        _ => format!("0x{}", hex::encode(key)),
    }
}

/// Why a store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it open.
    #[error("store {} is in use by another process: {reason}", path.display())]
    Locked {
        /// Where.
        path: PathBuf,
        /// What the operating system said.
        reason: String,
    },
    /// It cannot be opened.
    #[error("store {} cannot be opened: {reason}", path.display())]
    Open {
        /// Where.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Reading or writing failed while open.
    #[error("store {} failed to {operation}: {reason}", path.display())]
    Failed {
        /// Where.
        path: PathBuf,
        /// What was attempted.
        operation: &'static str,
        /// Why.
        reason: String,
    },
    /// The files of the database are damaged.
    #[error("store {} is damaged: {reason}", path.display())]
    Damaged {
        /// Where.
        path: PathBuf,
        /// What the database found.
        reason: String,
    },
    /// A record does not match its checksum or cannot be decoded.
    #[error("store {} at height {height}: {record} is damaged: {reason}", path.display())]
    RecordDamaged {
        /// Where.
        path: PathBuf,
        /// The height at which the store stood.
        height: Height,
        /// Which record.
        record: Record,
        /// What is wrong with it.
        reason: String,
    },
    /// A record that the tip implies is not there.
    #[error("store {} at height {height}: {record} is missing", path.display())]
    RecordMissing {
        /// Where.
        path: PathBuf,
        /// The height at which the store stood.
        height: Height,
        /// Which record.
        record: Record,
    },
    /// The records of the state are not those that the tip summarises.
    #[error(
        "store {} at height {height}: state has {found_count} records with checksum {found}; \
         the tip says {expected_count} with {expected}", path.display()
    )]
    StateDiffers {
        /// Where.
        path: PathBuf,
        /// The height at which the store stood.
        height: Height,
        /// Records found.
        found_count: u64,
        /// Records that the tip counts.
        expected_count: u64,
        /// Combined checksum of the records found, in hexadecimal.
        found: String,
        /// Combined checksum that the tip carries, in hexadecimal.
        expected: String,
    },
    /// The database dropped blocks that were on the disk: its files are damaged.
    #[error(
        "store {} holds blocks up to height {found}; it had stored {expected}: its files are \
         damaged", path.display()
    )]
    BlocksLost {
        /// Where.
        path: PathBuf,
        /// The last block that is still there.
        found: Height,
        /// The last block that was acknowledged.
        expected: Height,
    },
    /// The block is below those that the store keeps.
    #[error(
        "store {} keeps blocks from height {first} on; block {height} is below it: ask an archive \
         node", path.display()
    )]
    BlockNotKept {
        /// Where.
        path: PathBuf,
        /// The block.
        height: Height,
        /// The lowest block that is kept.
        first: Height,
    },
    /// The index of transactions does not have what the blocks have.
    #[error(
        "store {} has {found_count} transactions in its index; its blocks have {expected_count}",
        path.display()
    )]
    IndexDiffers {
        /// Where.
        path: PathBuf,
        /// In the index.
        found_count: u64,
        /// In the blocks.
        expected_count: u64,
    },
    /// Only an empty store takes a state.
    #[error("store {} stands at height {height}; only an empty one takes a state", path.display())]
    NotEmpty {
        /// Where.
        path: PathBuf,
        /// Its tip.
        height: Height,
    },
    /// A store that takes its state in parts is asked for something else meanwhile.
    #[error("store {} has {parts_count} parts of a state: {reason}", path.display())]
    InParts {
        /// Where.
        path: PathBuf,
        /// Parts that it has.
        parts_count: usize,
        /// Why it refuses.
        reason: &'static str,
    },
    /// There is no block before the first.
    #[error("store {} has every block already", path.display())]
    Whole {
        /// Where.
        path: PathBuf,
    },
    /// It was written with another layout.
    #[error("store {} has format {found}; this program reads {expected}", path.display())]
    Format {
        /// Where.
        path: PathBuf,
        /// The format found.
        found: u32,
        /// The format that this program reads.
        expected: u32,
    },
    /// It belongs to another chain.
    #[error("store {} holds chain {found}; this node runs {expected}", path.display())]
    OtherChain {
        /// Where.
        path: PathBuf,
        /// The chain in the store.
        found: ChainId,
        /// The chain that was asked for.
        expected: ChainId,
    },
    /// The chain is the same, its state at genesis is not: the rules differ.
    #[error(
        "store {} has genesis state {found}; this node computes {expected}", path.display()
    )]
    OtherGenesis {
        /// Where.
        path: PathBuf,
        /// The state root in the store.
        found: StateRoot,
        /// The state root that was asked for.
        expected: StateRoot,
    },
    /// Genesis was not written yet.
    #[error("store {} holds no chain yet", path.display())]
    NotInitialized {
        /// Where.
        path: PathBuf,
    },
    /// A block out of order.
    #[error("block has height {found}; store {} is at {}", path.display(), tip)]
    HeightNotNext {
        /// Where.
        path: PathBuf,
        /// The block's height.
        found: Height,
        /// The store's tip.
        tip: Height,
    },
    /// A key longer than a store accepts.
    #[error("key has {bytes} bytes; at most {bytes_max} are allowed")]
    KeyTooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
}

impl StoreError {
    /// Whether what is on the disk is not what was written, so that only peers can help.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Damaged { .. }
                | Self::RecordDamaged { .. }
                | Self::RecordMissing { .. }
                | Self::StateDiffers { .. }
                | Self::IndexDiffers { .. }
                | Self::BlocksLost { .. }
        )
    }
}
