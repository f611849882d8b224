//! The store on disk: one map of records, one batch a block.
//!
//! A database applies a batch atomically, also across a crash; hence one map for everything, with
//! the kind of record in the first byte of the key. Which database that is stands behind
//! [`Database`]: [`SledStore`] is what nodes use, [`RedbStore`] what they can be told to use
//! (`spec/decisions/012-why-redb-beside-sled.md`).
//!
//! A write that failed leaves a database in a state that only reading the disk again can tell. So
//! after one the store refuses everything else that would change it, until it is opened anew.

mod database;
mod parts;
mod redb;
mod sled;
mod whole;

pub use self::{redb::Redb, sled::Sled, whole::Salvaged};

use self::database::{Batch, Database, Trouble, guard};
use crate::{
    Begun, Checked, Commit, Record, Restored, State, Store, StoreError, StoredBlock, Tip, Visit,
    record::{
        BlockRecord, ChainRecord, FORMAT, Summary, TipRecord, check_key, decode, seal, unseal,
    },
    witness::Witness,
};
use borsh::BorshDeserialize;
use protocol::{BlockId, ChainId, Height, StateRoot, TransactionId, codec::encode};
use std::{
    path::{Path, PathBuf},
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

/// A store in a folder, kept by sled.
pub type SledStore = DiskStore<Sled>;
/// A store in a folder, kept by redb.
pub type RedbStore = DiskStore<Redb>;

/// A store in a folder.
#[derive(Debug)]
pub struct DiskStore<D> {
    path: PathBuf,
    database: D,
    /// Remembers the last height that was acknowledged.
    witness: Witness,
    /// Readers of several records see one block boundary; only one block is written at a time.
    boundary: RwLock<()>,
    /// A write failed; nobody knows what is on the disk.
    is_spoiled: AtomicBool,
}

#[expect(
    private_bounds,
    reason = "which databases there are is this crate's own affair"
)]
impl<D: Database> DiskStore<D> {
    /// Opens or creates the store in the folder `path`, and checks its format, tip and last block.
    ///
    /// # Errors
    /// When another process has it open, or it is damaged or of another format.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path = path.into();
        // The witness says whether there should be a database, so it is asked before one is made.
        let failed = |reason: String| {
            let path = path.clone();
            StoreError::Open { path, reason }
        };
        std::fs::create_dir_all(&path).map_err(|error| failed(error.to_string()))?;
        let witness = Witness::open(&path).map_err(|error| failed(error.to_string()))?;
        if !path.join(D::FILE).exists() {
            witness.check(&path, None)?;
        }
        let database = guard(D::NAME, || D::open(&path)).map_err(|trouble| match trouble {
            Trouble::Failed(reason) => failed(reason),
            trouble => trouble.named(&path, "open"),
        })?;
        let store = Self {
            path,
            database,
            witness,
            boundary: RwLock::new(()),
            is_spoiled: AtomicBool::new(false),
        };
        let tip = store.tip()?;
        store
            .witness
            .check(&store.path, tip.map(|tip| tip.height))?;
        store.check_format()?;
        if let Some(tip) = tip {
            store.check_last_block(tip)?;
            tracing::debug!(path = %store.path.display(), height = %tip.height, "store opened");
        }
        Ok(store)
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A fresh database gets the format; another one must have it.
    fn check_format(&self) -> Result<(), StoreError> {
        match self.read::<u32>(Record::Format)? {
            Some(FORMAT) => Ok(()),
            Some(found) => Err(StoreError::Format {
                path: self.path.clone(),
                found,
                expected: FORMAT,
            }),
            None => {
                let mut is_empty = true;
                self.scan(&[], &mut |_, _| {
                    is_empty = false;
                    false
                })?;
                if !is_empty {
                    return Err(StoreError::RecordMissing {
                        path: self.path.clone(),
                        height: Height::ZERO,
                        record: Record::Format,
                    });
                }
                let mut batch = Batch::new();
                put(&mut batch, &Record::Format, &encode(&FORMAT));
                self.write(&batch, "write its format")
            }
        }
    }

    /// The last block must be there, and be the one that the tip names.
    fn check_last_block(&self, tip: Tip) -> Result<(), StoreError> {
        match self.block(tip.height)? {
            Some(block) if block.block_id != tip.block_id => Err(self.damaged(
                Record::Block(tip.height),
                format!("it is {}; the tip names {}", block.block_id, tip.block_id),
            )),
            _ => Ok(()),
        }
    }

    /// The value under a key, checksum included.
    fn raw(&self, record: &Record) -> Result<Option<Vec<u8>>, StoreError> {
        guard(D::NAME, || self.database.get(&record.key()))
            .map_err(|trouble| trouble.named(&self.path, "read a record"))
    }

    fn scan(
        &self,
        prefix: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        guard(D::NAME, || self.database.scan(prefix, visit))
            .map_err(|trouble| trouble.named(&self.path, "read its records"))
    }

    /// A record's payload, its checksum verified.
    fn payload(&self, record: &Record) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(value) = self.raw(record)? else {
            return Ok(None);
        };
        let payload =
            unseal(&record.key(), &value).map_err(|reason| self.damaged(record.clone(), reason))?;
        Ok(Some(payload.to_vec()))
    }

    /// A record's content.
    fn read<T: BorshDeserialize>(&self, record: Record) -> Result<Option<T>, StoreError> {
        let Some(payload) = self.payload(&record)? else {
            return Ok(None);
        };
        decode(&payload)
            .map(Some)
            .map_err(|reason| self.damaged(record, reason))
    }

    fn tip_record(&self) -> Result<Option<TipRecord>, StoreError> {
        self.read(Record::Tip)
    }

    /// The height at which the store stands, as far as it can be told, for messages.
    fn height(&self) -> Height {
        let payload = self.raw(&Record::Tip).ok().flatten().and_then(|value| {
            let payload = unseal(&Record::Tip.key(), &value).ok()?;
            decode::<TipRecord>(payload).ok()
        });
        payload.map_or(Height::ZERO, |tip| tip.height)
    }

    fn damaged(&self, record: Record, reason: String) -> StoreError {
        StoreError::RecordDamaged {
            path: self.path.clone(),
            height: self.height(),
            record,
            reason,
        }
    }

    /// Applies a batch and returns once it is on the disk.
    fn write(&self, batch: &Batch, operation: &'static str) -> Result<(), StoreError> {
        self.write_by(operation, || self.database.write(batch))
    }

    /// Applies a batch that is on the disk not after the next one.
    fn write_soon(&self, batch: &Batch, operation: &'static str) -> Result<(), StoreError> {
        self.write_by(operation, || self.database.write_soon(batch))
    }

    fn write_by(
        &self,
        operation: &'static str,
        write: impl FnOnce() -> Result<(), Trouble>,
    ) -> Result<(), StoreError> {
        if self.is_spoiled.load(Ordering::Acquire) {
            return Err(StoreError::Failed {
                path: self.path.clone(),
                operation,
                reason: "an earlier write failed; start again to see what is on the disk"
                    .to_owned(),
            });
        }
        guard(D::NAME, write).map_err(|trouble| {
            self.is_spoiled.store(true, Ordering::Release);
            trouble.named(&self.path, operation)
        })
    }

    /// Remembers a height as acknowledged.
    fn acknowledge(&self, height: Height) -> Result<(), StoreError> {
        self.witness
            .record(height)
            .map_err(|error| StoreError::Failed {
                path: self.path.clone(),
                operation: "record its height",
                reason: error.to_string(),
            })
    }

    /// Adds the writes to the batch, and says what the state's summary is after them.
    fn put_writes(
        &self,
        batch: &mut Batch,
        commit: &Commit<'_>,
        mut summary: Summary,
    ) -> Result<Summary, StoreError> {
        for (key, value) in commit.writes {
            let record = Record::State(key.clone());
            if let Some(old) = self.raw(&record)? {
                summary.remove(&old);
            }
            match value {
                Some(value) => summary.insert(&put(batch, &record, value)),
                None => batch.push((record.key(), None)),
            }
        }
        Ok(summary)
    }

    /// Whether all records of the state are there, and no others.
    fn check_summary(
        &self,
        (height, expected): (Height, Summary),
        found: Summary,
    ) -> Result<(), StoreError> {
        if found == expected {
            return Ok(());
        }
        Err(StoreError::StateDiffers {
            path: self.path.clone(),
            height,
            found_count: found.count,
            expected_count: expected.count,
            found: hex::encode(found.checksum),
            expected: hex::encode(expected.checksum),
        })
    }
}

impl Trouble {
    fn named(self, path: &Path, operation: &'static str) -> StoreError {
        let path = path.to_path_buf();
        match self {
            Self::Locked(reason) => StoreError::Locked { path, reason },
            Self::Damaged(reason) => StoreError::Damaged { path, reason },
            Self::Failed(reason) => StoreError::Failed {
                path,
                operation,
                reason,
            },
        }
    }
}

impl<D: Database> Store for DiskStore<D> {
    fn chain(&self) -> Result<Option<ChainId>, StoreError> {
        let record = self.read::<ChainRecord>(Record::Chain)?;
        Ok(record.map(|record| record.chain))
    }

    fn tip(&self) -> Result<Option<Tip>, StoreError> {
        Ok(self.tip_record()?.map(|record| record.tip()))
    }

    fn first(&self) -> Result<Height, StoreError> {
        let record = self.tip_record()?;
        Ok(record.map_or(Height::new(1), |record| record.first))
    }

    fn initialize(
        &self,
        chain: ChainId,
        state: &State,
        state_root: StateRoot,
    ) -> Result<(), StoreError> {
        let _guard = self
            .boundary
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = self.read::<ChainRecord>(Record::Chain)? {
            return found.check(self.path.clone(), chain, state_root);
        }
        if let Some(tip) = self.tip_record()? {
            return Err(StoreError::RecordMissing {
                path: self.path.clone(),
                height: tip.height,
                record: Record::Chain,
            });
        }
        self.check_no_parts()?;
        let mut batch = Batch::new();
        let mut summary = Summary::default();
        for (key, value) in state {
            check_key(key)?;
            summary.insert(&put(&mut batch, &Record::State(key.clone()), value));
        }
        let tip = TipRecord {
            height: Height::ZERO,
            block_id: BlockId::from_bytes(*chain.as_bytes()),
            state_root,
            summary,
            first: Height::new(1),
        };
        put(&mut batch, &Record::Tip, &encode(&tip));
        let genesis = ChainRecord { chain, state_root };
        put(&mut batch, &Record::Chain, &encode(&genesis));
        self.write(&batch, "write genesis")?;
        self.acknowledge(Height::ZERO)
    }

    fn commit(&self, commit: &Commit<'_>) -> Result<(), StoreError> {
        let _guard = self
            .boundary
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let old = self.tip_record()?;
        commit.check(self.path.clone(), old.map(|tip| tip.height))?;
        let (summary, first) = old.map_or_else(
            || (Summary::default(), Height::new(1)),
            |tip| (tip.summary, tip.first),
        );
        let mut batch = Batch::new();
        let summary = self.put_writes(&mut batch, commit, summary)?;
        let Tip {
            height,
            block_id,
            state_root,
        } = commit.tip();
        let block = BlockRecord::of(&commit.stored_block(), commit.transactions);
        put(&mut batch, &Record::Block(height), &encode(&block));
        for id in commit.transactions {
            put(&mut batch, &Record::Transaction(*id), &encode(&height));
        }
        let tip = TipRecord {
            height,
            block_id,
            state_root,
            summary,
            first,
        };
        put(&mut batch, &Record::Tip, &encode(&tip));
        self.write(&batch, "commit a block")?;
        self.acknowledge(height)
    }

    fn block(&self, height: Height) -> Result<Option<StoredBlock>, StoreError> {
        let _guard = self.boundary.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(record) = self.read::<BlockRecord>(Record::Block(height))? {
            return Ok(Some(record.into_stored()));
        }
        let Some(TipRecord {
            height: tip, first, ..
        }) = self.tip_record()?
        else {
            return Ok(None);
        };
        if height == Height::ZERO || height > tip {
            return Ok(None);
        }
        let path = self.path.clone();
        if height < first {
            return Err(StoreError::BlockNotKept {
                path,
                height,
                first,
            });
        }
        Err(StoreError::RecordMissing {
            path,
            height: tip,
            record: Record::Block(height),
        })
    }

    fn read_state(&self, visit: Visit<'_>) -> Result<Option<Tip>, StoreError> {
        self.visit_state(visit)
    }

    fn transaction_height(&self, id: TransactionId) -> Result<Option<Height>, StoreError> {
        self.read(Record::Transaction(id))
    }

    fn put_local(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        check_key(key)?;
        let mut batch = Batch::new();
        put(&mut batch, &Record::Local(key.to_vec()), value);
        self.write(&batch, "write a note")
    }

    fn get_local(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.payload(&Record::Local(key.to_vec()))
    }

    fn begin(&self, plan: &[u8]) -> Result<(), StoreError> {
        self.put_plan(plan)
    }

    fn begun(&self) -> Result<Option<Begun>, StoreError> {
        self.parts_begun()
    }

    fn put_part(
        &self,
        index: u32,
        entries: &mut dyn Iterator<Item = (&[u8], &[u8])>,
    ) -> Result<(), StoreError> {
        self.put_part_of_state(index, entries)
    }

    fn restore(&self, restored: &Restored<'_>) -> Result<(), StoreError> {
        self.close_parts(restored)
    }

    fn backfill(&self, block: &StoredBlock, ids: &[TransactionId]) -> Result<Height, StoreError> {
        self.put_before_first(block, ids)
    }

    fn prune(&self, below: Height, count_max: usize) -> Result<Height, StoreError> {
        self.drop_blocks(below, count_max)
    }

    fn check_reading(&self, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<Checked, StoreError> {
        self.check_all(visit)
    }
}

/// Adds a record to a batch, and returns the value that it stores.
fn put(batch: &mut Batch, record: &Record, payload: &[u8]) -> Vec<u8> {
    let key = record.key();
    let value = seal(&key, payload);
    batch.push((key, Some(value.clone())));
    value
}
