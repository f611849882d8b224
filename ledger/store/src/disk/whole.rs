//! What concerns a store as a whole: filling and dropping its past, reading everything, and taking
//! out of a damaged one what is still good.

use super::{Batch, Database, DiskStore, put};
use crate::{
    Checked, Record, Store as _, StoreError, StoredBlock,
    record::{BLOCK, BlockRecord, LOCAL, TRANSACTION, TipRecord, decode, unseal},
};
use protocol::{Height, TransactionId, codec::encode};
use std::{collections::BTreeMap, ops::ControlFlow, path::Path, sync::PoisonError};

/// What could be read of a store, whatever else is damaged.
#[derive(Debug, Default)]
pub struct Salvaged {
    /// Blocks whose checksum holds, by height.
    pub blocks: BTreeMap<Height, (StoredBlock, Vec<TransactionId>)>,
    /// The node's own notes whose checksum holds.
    pub notes: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Records of these kinds that are damaged.
    pub damaged_count: u64,
}

#[expect(
    private_bounds,
    reason = "which databases there are is this crate's own affair"
)]
impl<D: Database> DiskStore<D> {
    /// Takes blocks and notes out of the store in a folder, as far as their checksums hold. Other
    /// damage does not stop it, unless the database cannot be opened at all.
    ///
    /// # Errors
    /// When it is in use, or cannot be opened.
    pub fn salvage(path: &Path) -> Result<Salvaged, StoreError> {
        let open = || D::open(path);
        let database =
            super::guard(D::NAME, open).map_err(|trouble| trouble.named(path, "open"))?;
        let mut salvaged = Salvaged::default();
        for kind in [BLOCK, LOCAL] {
            let taken = &mut salvaged;
            let read = super::guard(D::NAME, || {
                database.scan(&[kind], &mut |key, value| {
                    if taken.take(key, value).is_none() {
                        taken.damaged_count += 1;
                    }
                    true
                })
            });
            if let Err(trouble) = read {
                let error = trouble.named(path, "read its records");
                tracing::warn!("not everything can be read: {error}");
            }
        }
        Ok(salvaged)
    }

    /// Adds the block before the first.
    pub(super) fn put_before_first(
        &self,
        block: &StoredBlock,
        transactions: &[TransactionId],
    ) -> Result<Height, StoreError> {
        let _guard = self
            .boundary
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let path = || self.path.clone();
        let tip = self.tip_record()?;
        let tip = tip.ok_or_else(|| StoreError::NotInitialized { path: path() })?;
        let height = tip.first.saturating_sub(1);
        if height == Height::ZERO {
            return Err(StoreError::Whole { path: path() });
        }
        let mut batch = Batch::new();
        let record = BlockRecord::of(block, transactions);
        put(&mut batch, &Record::Block(height), &encode(&record));
        for id in transactions {
            put(&mut batch, &Record::Transaction(*id), &encode(&height));
        }
        let tip = TipRecord {
            first: height,
            ..tip
        };
        put(&mut batch, &Record::Tip, &encode(&tip));
        self.write(&batch, "add an old block")?;
        Ok(height)
    }

    /// Drops the lowest blocks.
    pub(super) fn drop_blocks(
        &self,
        below: Height,
        count_max: usize,
    ) -> Result<Height, StoreError> {
        let _guard = self
            .boundary
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(tip) = self.tip_record()? else {
            return Ok(Height::new(1));
        };
        // The last block stays: opening compares it with the tip.
        let end = below.min(tip.height);
        let mut batch = Batch::new();
        let mut first = tip.first;
        while first < end && batch.len() < count_max {
            if let Some(block) = self.read::<BlockRecord>(Record::Block(first))? {
                let ids = block.transactions.iter();
                batch.extend(ids.map(|id| (Record::Transaction(*id).key(), None)));
            }
            batch.push((Record::Block(first).key(), None));
            first = first.next();
        }
        if first == tip.first {
            return Ok(first);
        }
        put(
            &mut batch,
            &Record::Tip,
            &encode(&TipRecord { first, ..tip }),
        );
        self.write(&batch, "drop old blocks")?;
        Ok(first)
    }

    /// Reads every record, and shows those of the state.
    pub(super) fn check_all(
        &self,
        visit: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<Checked, StoreError> {
        let Some(tip) = self.tip()? else {
            return Ok(Checked::default());
        };
        let mut state_count = 0;
        self.visit_state(&mut |key, value| {
            state_count += 1;
            visit(key, value);
            ControlFlow::Continue(())
        })?;
        let _guard = self.boundary.read().unwrap_or_else(PoisonError::into_inner);
        let (mut damage, mut indexed, mut notes, mut blocks, mut due) = (None, 0, 0, 0, 0);
        let mut expected = self.first()?;
        for kind in [BLOCK, TRANSACTION, LOCAL] {
            self.scan(&[kind], &mut |key, value| {
                let found = match kind {
                    BLOCK => check_block(key, value, expected).map(|count| {
                        (blocks, due) = (blocks + 1, due + count);
                        expected = expected.next();
                    }),
                    TRANSACTION => unseal(key, value)
                        .and_then(decode::<Height>)
                        .map(|_| indexed += 1),
                    _ => unseal(key, value).map(|_| notes += 1),
                };
                damage = found.err().map(|reason| (Record::of_key(key), reason));
                damage.is_none()
            })?;
            if let Some((record, reason)) = damage {
                return Err(match record {
                    // A gap: the block that should be here is another.
                    Some(Record::Block(height)) if height != expected => self.missing(expected),
                    Some(record) => self.damaged(record, reason),
                    None => self.damaged(Record::Format, reason),
                });
            }
        }
        if expected <= tip.height {
            return Err(self.missing(expected));
        }
        if indexed != due {
            return Err(StoreError::IndexDiffers {
                path: self.path.clone(),
                found_count: indexed,
                expected_count: due,
            });
        }
        Ok(Checked {
            first: self.first()?,
            tip: tip.height,
            blocks_count: blocks,
            transactions_count: indexed,
            state_count,
            notes_count: notes,
        })
    }

    fn missing(&self, height: Height) -> StoreError {
        StoreError::RecordMissing {
            path: self.path.clone(),
            height: self.height(),
            record: Record::Block(height),
        }
    }
}

/// Whether this row is the block of a height; the number of its transactions.
fn check_block(key: &[u8], value: &[u8], height: Height) -> Result<u64, String> {
    if key != Record::Block(height).key() {
        return Err(format!("block {height} should be here"));
    }
    let block: BlockRecord = decode(unseal(key, value)?)?;
    Ok(block.transactions.len() as u64)
}

impl Salvaged {
    /// Takes a row, if its checksum holds.
    fn take(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        let payload = unseal(key, value).ok()?;
        match Record::of_key(key)? {
            Record::Block(height) => {
                let record: BlockRecord = decode(payload).ok()?;
                let ids = record.transactions.clone();
                self.blocks.insert(height, (record.into_stored(), ids));
            }
            Record::Local(key) => {
                self.notes.insert(key, payload.to_vec());
            }
            _ => {}
        }
        Some(())
    }
}
