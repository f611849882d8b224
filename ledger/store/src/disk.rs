//! The store on disk: one sled tree, one batch a block.
//!
//! sled applies a batch to one tree atomically, also across a crash: on recovery a batch whose
//! end did not reach the disk is dropped as a whole. Hence one tree for everything, with the kind
//! of record in the first byte of the key. `flush` in sled 0.34 asks Linux for
//! `sync_file_range`, which leaves the disk's own cache and the file's length to chance, so this
//! store synchronises the file itself after it.

mod open;

use self::open::{open_database, panic_text};
use crate::{
    Commit, Record, State, Store, StoreError, StoredBlock, Tip,
    record::{
        BlockRecord, CHECKSUM_BYTES, ChainRecord, FORMAT, STATE, Summary, TipRecord, check_key,
        decode, seal, unseal,
    },
    witness::Witness,
};
use borsh::BorshDeserialize;
use protocol::{BlockId, ChainId, Height, StateRoot, TransactionId, codec::encode};
use std::{
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

/// A store in a folder.
#[derive(Debug)]
pub struct SledStore {
    path: PathBuf,
    database: sled::Db,
    /// The database's file, opened a second time to synchronise it.
    file: File,
    /// Remembers the last height that was acknowledged.
    witness: Witness,
    /// Readers of several records see one block boundary; only one block is written at a time.
    boundary: RwLock<()>,
}

impl SledStore {
    /// Opens or creates the store in the folder `path`, and checks its format, tip and last block.
    ///
    /// # Errors
    /// When another process has it open, or it is damaged or of another format.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path = path.into();
        let database = open_database(&path)?;
        let failed = |error: std::io::Error| StoreError::Open {
            path: path.clone(),
            reason: error.to_string(),
        };
        let file = File::open(path.join("db")).map_err(failed)?;
        let witness = Witness::open(&path).map_err(failed)?;
        let store = Self {
            path,
            database,
            file,
            witness,
            boundary: RwLock::new(()),
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
            None if self
                .guard("read a record", || self.database.iter().next().transpose())?
                .is_none() =>
            {
                let mut batch = sled::Batch::default();
                put(&mut batch, &Record::Format, &encode(&FORMAT));
                self.write(batch, "write its format")
            }
            None => Err(StoreError::RecordMissing {
                path: self.path.clone(),
                height: Height::ZERO,
                record: Record::Format,
            }),
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
    fn raw(&self, record: &Record) -> Result<Option<sled::IVec>, StoreError> {
        self.guard("read a record", || self.database.get(record.key()))
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
    fn write(&self, batch: sled::Batch, operation: &'static str) -> Result<(), StoreError> {
        self.guard(operation, || {
            self.database.apply_batch(batch)?;
            self.database.flush()?;
            Ok(self.file.sync_data()?)
        })
    }

    /// Runs one operation of the database; sled panics on some kinds of damage.
    fn guard<T>(
        &self,
        operation: &'static str,
        act: impl FnOnce() -> sled::Result<T>,
    ) -> Result<T, StoreError> {
        match catch_unwind(AssertUnwindSafe(act)) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error @ sled::Error::Corruption { .. })) => Err(StoreError::Damaged {
                path: self.path.clone(),
                reason: error.to_string(),
            }),
            Ok(Err(error)) => Err(StoreError::Failed {
                path: self.path.clone(),
                operation,
                reason: error.to_string(),
            }),
            Err(panic) => Err(StoreError::Damaged {
                path: self.path.clone(),
                reason: panic_text(panic.as_ref()),
            }),
        }
    }

    /// Adds the writes to the batch, and says what the state's summary is after them.
    fn put_writes(
        &self,
        batch: &mut sled::Batch,
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
                None => batch.remove(record.key()),
            }
        }
        Ok(summary)
    }

    /// Whether all records of the state are there, and no others.
    fn check_summary(&self, tip: &TipRecord, found: Summary) -> Result<(), StoreError> {
        let expected = tip.summary;
        if found == expected {
            return Ok(());
        }
        Err(StoreError::StateDiffers {
            path: self.path.clone(),
            height: tip.height,
            found_count: found.count,
            expected_count: expected.count,
            found: hex::encode(found.checksum),
            expected: hex::encode(expected.checksum),
        })
    }
}

impl Store for SledStore {
    fn chain(&self) -> Result<Option<ChainId>, StoreError> {
        let record = self.read::<ChainRecord>(Record::Chain)?;
        Ok(record.map(|record| record.chain))
    }

    fn tip(&self) -> Result<Option<Tip>, StoreError> {
        Ok(self.tip_record()?.map(|record| record.tip()))
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
        let mut batch = sled::Batch::default();
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
        };
        put(&mut batch, &Record::Tip, &encode(&tip));
        let genesis = ChainRecord { chain, state_root };
        put(&mut batch, &Record::Chain, &encode(&genesis));
        self.write(batch, "write genesis")?;
        self.guard("record its height", || {
            Ok(self.witness.record(Height::ZERO)?)
        })
    }

    fn commit(&self, commit: &Commit<'_>) -> Result<(), StoreError> {
        let _guard = self
            .boundary
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let old = self.tip_record()?;
        commit.check(self.path.clone(), old.map(|tip| tip.height))?;
        let summary = old.map_or_else(Summary::default, |tip| tip.summary);
        let mut batch = sled::Batch::default();
        let summary = self.put_writes(&mut batch, commit, summary)?;
        let Tip {
            height,
            block_id,
            state_root,
        } = commit.tip();
        let block = BlockRecord {
            block_id,
            state_root,
            block: commit.block.to_vec(),
            certificate: commit.certificate.to_vec(),
        };
        put(&mut batch, &Record::Block(height), &encode(&block));
        for id in commit.transactions {
            put(&mut batch, &Record::Transaction(*id), &encode(&height));
        }
        let tip = TipRecord {
            height,
            block_id,
            state_root,
            summary,
        };
        put(&mut batch, &Record::Tip, &encode(&tip));
        self.write(batch, "commit a block")?;
        self.guard("record its height", || Ok(self.witness.record(height)?))
    }

    fn block(&self, height: Height) -> Result<Option<StoredBlock>, StoreError> {
        let _guard = self.boundary.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(record) = self.read::<BlockRecord>(Record::Block(height))? {
            return Ok(Some(StoredBlock {
                block_id: record.block_id,
                block: record.block,
                certificate: record.certificate,
                state_root: record.state_root,
            }));
        }
        let tip = self.tip()?.map_or(Height::ZERO, |tip| tip.height);
        if height == Height::ZERO || height > tip {
            return Ok(None);
        }
        Err(StoreError::RecordMissing {
            path: self.path.clone(),
            height: tip,
            record: Record::Block(height),
        })
    }

    fn state(&self) -> Result<State, StoreError> {
        let _guard = self.boundary.read().unwrap_or_else(PoisonError::into_inner);
        let Some(tip) = self.tip_record()? else {
            return Ok(State::new());
        };
        let mut state = State::new();
        let mut summary = Summary::default();
        let mut rows = self.database.scan_prefix([STATE]);
        while let Some((key, value)) = self.guard("read the state", || rows.next().transpose())? {
            let name = key.get(1..).unwrap_or_default().to_vec();
            let payload = unseal(&key, &value)
                .map_err(|reason| self.damaged(Record::State(name.clone()), reason))?;
            summary.insert(value.get(..CHECKSUM_BYTES).unwrap_or_default());
            state.insert(name, payload.to_vec());
        }
        self.check_summary(&tip, summary)?;
        Ok(state)
    }

    fn transaction_height(&self, id: TransactionId) -> Result<Option<Height>, StoreError> {
        self.read(Record::Transaction(id))
    }

    fn put_local(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        check_key(key)?;
        let mut batch = sled::Batch::default();
        put(&mut batch, &Record::Local(key.to_vec()), value);
        self.write(batch, "write a note")
    }

    fn get_local(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.payload(&Record::Local(key.to_vec()))
    }
}

/// Adds a record to a batch, and returns the value that it stores.
fn put(batch: &mut sled::Batch, record: &Record, payload: &[u8]) -> Vec<u8> {
    let key = record.key();
    let value = seal(&key, payload);
    batch.insert(key, value.as_slice());
    value
}
