//! Records: how keys are laid out, and the checksum in front of every value.
//!
//! A key is one byte for the kind, then what names the record. A value is the BLAKE3 checksum of
//! key and payload, then the payload; because the checksum covers the key, a record that turns up
//! under another key does not pass either.
//!
//! Records of the state lie in the order of the hashes of their keys, as they do in the state
//! tree: so a part of the tree is a range of records, which is written and read in one go, and
//! the whole is read in the order in which it is hashed. Why:
//! `spec/decisions/021-why-the-state-lies-by-hash-in-the-store.md`.

use crate::{KEY_BYTES_MAX, Record, StoreError, StoredBlock, Tip};
use blake3::hazmat::{ContextKey, HasherExt as _, hash_derive_key_context};
use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{BlockId, ChainId, Height, StateRoot, TransactionId};
use std::sync::LazyLock;

/// Version of this layout.
pub(crate) const FORMAT: u32 = 3;
/// Bytes of the checksum.
pub(crate) const CHECKSUM_BYTES: usize = 32;
/// First byte of the keys of the state, of blocks, of transactions, of notes, and of the marks of
/// parts.
pub(crate) const STATE: u8 = b's';
pub(crate) const BLOCK: u8 = b'b';
pub(crate) const TRANSACTION: u8 = b't';
pub(crate) const LOCAL: u8 = b'l';
pub(crate) const PART: u8 = b'p';
/// Bytes of a key's hash that its record lies by. Keys that share them lie side by side.
const PLACE_BYTES: usize = 8;
/// Largest record in bytes; only a limit against absurd lengths.
const RECORD_BYTES_MAX: usize = 1 << 30;

impl Record {
    /// The key under which the record lies.
    pub(crate) fn key(&self) -> Vec<u8> {
        match self {
            Self::Format => b"mformat".to_vec(),
            Self::Chain => b"mchain".to_vec(),
            Self::Tip => b"mtip".to_vec(),
            Self::Block(height) => prefixed(BLOCK, &height.get().to_be_bytes()),
            Self::Plan => b"mplan".to_vec(),
            Self::Part(index) => prefixed(PART, &index.to_be_bytes()),
            Self::State(key) => state_key(key),
            Self::Transaction(id) => prefixed(TRANSACTION, id.as_bytes()),
            Self::Local(key) => prefixed(LOCAL, key),
        }
    }
    /// Which record lies under a key.
    pub(crate) fn of_key(key: &[u8]) -> Option<Self> {
        let (kind, name) = key.split_first()?;
        match *kind {
            BLOCK => {
                let height = u64::from_be_bytes(name.try_into().ok()?);
                Some(Self::Block(Height::new(height)))
            }
            STATE => Some(Self::State(state_name(key)?.to_vec())),
            PART => Some(Self::Part(u32::from_be_bytes(name.try_into().ok()?))),
            TRANSACTION => {
                let id = TransactionId::from_bytes(name.try_into().ok()?);
                Some(Self::Transaction(id))
            }
            LOCAL => Some(Self::Local(name.to_vec())),
            _ => None,
        }
    }
}

fn prefixed(kind: u8, name: &[u8]) -> Vec<u8> {
    [&[kind], name].concat()
}

/// Where an entry of the state lies.
fn state_key(key: &[u8]) -> Vec<u8> {
    let hash = blake3::hash(key);
    let place = hash.as_bytes().first_chunk::<PLACE_BYTES>();
    let place = place.map_or(&[][..], |place| place);
    [&[STATE], place, key].concat()
}

/// The key of the entry that lies there.
pub(crate) fn state_name(key: &[u8]) -> Option<&[u8]> {
    key.get(1 + PLACE_BYTES..)
}

/// Refuses keys that a database page should not hold.
pub(crate) fn check_key(key: &[u8]) -> Result<(), StoreError> {
    if key.len() > KEY_BYTES_MAX {
        return Err(StoreError::KeyTooLong {
            bytes: key.len(),
            bytes_max: KEY_BYTES_MAX,
        });
    }
    Ok(())
}

// The first half of the hash, once instead of for every record.
static CHECKSUM: LazyLock<ContextKey> =
    LazyLock::new(|| hash_derive_key_context("cairn/store/record/v1"));

/// Checksum of a record; the key's length is hashed first, so that the two cannot run together.
fn checksum(key: &[u8], payload: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hasher = blake3::Hasher::new_from_context_key(&CHECKSUM);
    hasher.update(&(key.len() as u64).to_le_bytes());
    hasher.update(key);
    hasher.update(payload);
    *hasher.finalize().as_bytes()
}

/// The value to store for a payload.
pub(crate) fn seal(key: &[u8], payload: &[u8]) -> Vec<u8> {
    [checksum(key, payload).as_slice(), payload].concat()
}

/// The payload of a stored value, or why it is damaged.
pub(crate) fn unseal<'a>(key: &[u8], value: &'a [u8]) -> Result<&'a [u8], String> {
    let Some((claimed, payload)) = value.split_at_checked(CHECKSUM_BYTES) else {
        return Err(format!(
            "it has {} bytes; its checksum alone has {CHECKSUM_BYTES}",
            value.len()
        ));
    };
    let found = checksum(key, payload);
    if claimed != found {
        return Err(format!(
            "its {} bytes have checksum {}; {} was recorded",
            payload.len(),
            hex::encode(found),
            hex::encode(claimed)
        ));
    }
    Ok(payload)
}

/// Decodes a payload whose checksum held.
pub(crate) fn decode<T: BorshDeserialize>(payload: &[u8]) -> Result<T, String> {
    protocol::codec::decode("record", payload, RECORD_BYTES_MAX).map_err(|error| error.to_string())
}

/// The chain and its genesis.
#[derive(Clone, Copy, Debug, BorshSerialize, BorshDeserialize)]
pub(crate) struct ChainRecord {
    pub(crate) chain: ChainId,
    pub(crate) state_root: StateRoot,
}

/// The last block, with a summary of the state's records.
#[derive(Clone, Copy, Debug, BorshSerialize, BorshDeserialize)]
pub(crate) struct TipRecord {
    pub(crate) height: Height,
    pub(crate) block_id: BlockId,
    pub(crate) state_root: StateRoot,
    pub(crate) summary: Summary,
    /// The lowest height whose block is kept.
    pub(crate) first: Height,
}

impl TipRecord {
    pub(crate) const fn tip(&self) -> Tip {
        Tip {
            height: self.height,
            block_id: self.block_id,
            state_root: self.state_root,
        }
    }
}

/// What there is of a part of a state.
#[derive(Clone, Copy, Debug, BorshSerialize, BorshDeserialize)]
pub(crate) struct Mark {
    pub(crate) summary: Summary,
    pub(crate) is_whole: bool,
}

/// A block as it is stored.
#[derive(Clone, Debug, BorshSerialize, BorshDeserialize)]
pub(crate) struct BlockRecord {
    pub(crate) block_id: BlockId,
    pub(crate) state_root: StateRoot,
    pub(crate) block: Vec<u8>,
    pub(crate) certificate: Vec<u8>,
    /// What is indexed of it, to be dropped with it.
    pub(crate) transactions: Vec<TransactionId>,
}

impl BlockRecord {
    pub(crate) fn of(block: &StoredBlock, transactions: &[TransactionId]) -> Self {
        let StoredBlock {
            block_id,
            block,
            certificate,
            state_root,
        } = block;
        Self {
            block_id: *block_id,
            state_root: *state_root,
            block: block.clone(),
            certificate: certificate.clone(),
            transactions: transactions.to_vec(),
        }
    }
    pub(crate) fn into_stored(self) -> StoredBlock {
        StoredBlock {
            block_id: self.block_id,
            block: self.block,
            certificate: self.certificate,
            state_root: self.state_root,
        }
    }
}

/// How many records the state has, and the exclusive or of their checksums. It changes with each
/// write in constant time, and finds by accident lost or stale records; it is no defence against
/// someone who writes to the disk on purpose: that is what the state root is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct Summary {
    pub(crate) count: u64,
    pub(crate) checksum: [u8; CHECKSUM_BYTES],
}

impl Summary {
    /// Takes a stored value in.
    pub(crate) fn insert(&mut self, value: &[u8]) {
        self.count = self.count.wrapping_add(1);
        self.combine(value);
    }
    /// Takes a stored value out.
    pub(crate) fn remove(&mut self, value: &[u8]) {
        self.count = self.count.wrapping_sub(1);
        self.combine(value);
    }
    /// Takes in all that another has counted.
    pub(crate) fn add(&mut self, other: &Self) {
        self.count = self.count.wrapping_add(other.count);
        self.combine(&other.checksum);
    }
    fn combine(&mut self, value: &[u8]) {
        for (total, byte) in self.checksum.iter_mut().zip(value) {
            *total ^= byte;
        }
    }
}
