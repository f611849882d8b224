//! The state of a store: read in order, and taken in parts before there is a tip.
//!
//! A part is written in batches of the size that the database likes best. Each has the part's mark,
//! which counts and sums the records so far, so what was lost of them is missed, and a part that a
//! crash cut off is gone on with where it ends. The last one's mark says that the part is whole.
//! The tip, which makes a store of all this, comes with one batch that also drops the marks.

use super::{Batch, Database, DiskStore, guard, put};
use crate::{
    Begun, Record, Restored, Store as _, StoreError, Tip, Visit,
    record::{
        BlockRecord, CHECKSUM_BYTES, ChainRecord, Mark, PART, STATE, Summary, TipRecord, check_key,
        decode, state_name, unseal,
    },
};
use protocol::{Height, codec::encode};
use std::{collections::BTreeMap, sync::PoisonError};

/// Marks by part.
type Marks = BTreeMap<u32, Mark>;
/// A key with its value.
type Entry<'a> = (&'a [u8], &'a [u8]);
/// A record, and what is wrong with it.
type Damage = (Record, String);

#[expect(
    private_bounds,
    reason = "which databases there are is this crate's own affair"
)]
impl<D: Database> DiskStore<D> {
    /// Visits all entries after the tip.
    pub(super) fn visit_state(&self, visit: Visit<'_>) -> Result<Option<Tip>, StoreError> {
        let guard_of = self.boundary.read().unwrap_or_else(PoisonError::into_inner);
        let tip_key = Record::Tip.key();
        let (mut tip, mut summary) = (None, Summary::default());
        let (mut damage, mut is_whole) = (None, true);
        let each = &mut |key: &[u8], value: &[u8]| {
            let mut visit_row = || {
                if key == tip_key {
                    let read = unseal(key, value).and_then(decode::<TipRecord>);
                    tip = Some(read.map_err(|reason| (Record::Tip, reason))?);
                    return Ok(true);
                }
                let (name, payload) = entry(key, value)?;
                summary.insert(value.get(..CHECKSUM_BYTES).unwrap_or_default());
                is_whole = visit(name, payload).is_continue();
                Ok(is_whole)
            };
            match visit_row() {
                Ok(goes_on) => goes_on,
                Err(found) => {
                    damage = Some(found);
                    false
                }
            }
        };
        let scanned = guard(D::NAME, || {
            self.database
                .scan_frozen(&tip_key, &[STATE], guard_of, each)
        });
        scanned.map_err(|trouble| trouble.named(&self.path, "read the state"))?;
        if let Some((record, reason)) = damage {
            return Err(self.damaged(record, reason));
        }
        if let Some(tip) = tip.filter(|_| is_whole) {
            self.check_summary((tip.height, tip.summary), summary)?;
        }
        Ok(tip.map(|tip| tip.tip()))
    }

    /// Only an empty store begins.
    pub(super) fn put_plan(&self, plan: &[u8]) -> Result<(), StoreError> {
        let _guard = self
            .boundary
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        self.check_empty()?;
        self.check_no_parts()?;
        let mut batch = Batch::new();
        put(&mut batch, &Record::Plan, plan);
        self.write(&batch, "begin a state")
    }

    /// Reads all that there is of a state.
    pub(super) fn parts_begun(&self) -> Result<Option<Begun>, StoreError> {
        let _guard = self.boundary.read().unwrap_or_else(PoisonError::into_inner);
        let Some(plan) = self.payload(&Record::Plan)? else {
            return Ok(None);
        };
        let marks = self.marks()?;
        let (mut found, mut damage) = (Summary::default(), None);
        self.scan(&[STATE], &mut |key, value| match entry(key, value) {
            Ok(_) => {
                found.insert(value.get(..CHECKSUM_BYTES).unwrap_or_default());
                true
            }
            Err(reason) => {
                damage = Some(reason);
                false
            }
        })?;
        if let Some((record, reason)) = damage {
            return Err(self.damaged(record, reason));
        }
        self.check_summary((Height::ZERO, total(&marks)), found)?;
        let whole = marks.into_iter().filter(|(_, mark)| mark.is_whole);
        let parts = whole.map(|(index, _)| index).collect();
        Ok(Some(Begun { plan, parts }))
    }

    /// Adds a part and its mark, or what is missing of it.
    pub(super) fn put_part_of_state(
        &self,
        index: u32,
        entries: &mut dyn Iterator<Item = (&[u8], &[u8])>,
    ) -> Result<(), StoreError> {
        let _guard = self
            .boundary
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if self.raw(&Record::Plan)?.is_none() {
            return Err(self.in_parts("none has begun")?);
        }
        let there = self.read::<Mark>(Record::Part(index))?;
        if there.is_some_and(|mark| mark.is_whole) {
            return Err(self.in_parts("this one is among them")?);
        }
        let there = there.map(|mark| mark.summary).unwrap_or_default();
        let (mut batch, mut summary) = (Batch::new(), Summary::default());
        for (key, value) in entries {
            check_key(key)?;
            summary.insert(&put(&mut batch, &Record::State(key.to_vec()), value));
            if summary.count <= there.count {
                batch.clear();
            }
            if summary.count == there.count {
                // Another part's beginning, or another order: not to be gone on with.
                self.check_summary((Height::ZERO, there), summary)?;
            }
            if batch.len() >= D::ROWS_COUNT_BEST {
                put_mark(&mut batch, index, (summary, false));
                self.write_soon(&batch, "write a part of a state")?;
                batch.clear();
            }
        }
        if summary.count < there.count {
            self.check_summary((Height::ZERO, there), summary)?;
        }
        put_mark(&mut batch, index, (summary, true));
        self.write(&batch, "write a part of a state")
    }

    /// Makes the store whole.
    pub(super) fn close_parts(&self, restored: &Restored<'_>) -> Result<(), StoreError> {
        let _guard = self
            .boundary
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let Restored {
            chain,
            genesis_root,
            height,
            block,
            transactions,
            parts_count,
        } = *restored;
        self.check_empty()?;
        let marks = self.marks()?;
        let whole = marks.iter().filter(|(_, mark)| mark.is_whole);
        if !whole.map(|(index, _)| *index).eq(0..parts_count) {
            return Err(self.in_parts("the state has others")?);
        }
        let mut batch = Batch::new();
        let dropped = marks.keys().map(|index| Record::Part(*index));
        let dropped = dropped.chain([Record::Plan]);
        batch.extend(dropped.map(|record| (record.key(), None)));
        let record = BlockRecord::of(block, transactions);
        put(&mut batch, &Record::Block(height), &encode(&record));
        for id in transactions {
            put(&mut batch, &Record::Transaction(*id), &encode(&height));
        }
        let tip = TipRecord {
            height,
            block_id: block.block_id,
            state_root: block.state_root,
            summary: total(&marks),
            first: height,
        };
        put(&mut batch, &Record::Tip, &encode(&tip));
        let record = ChainRecord {
            chain,
            state_root: genesis_root,
        };
        put(&mut batch, &Record::Chain, &encode(&record));
        self.write(&batch, "make a state the store's")?;
        self.acknowledge(height)
    }

    fn check_empty(&self) -> Result<(), StoreError> {
        match self.tip()? {
            None => Ok(()),
            Some(tip) => Err(StoreError::NotEmpty {
                path: self.path.clone(),
                height: tip.height,
            }),
        }
    }

    /// A store that takes a state takes nothing else.
    pub(super) fn check_no_parts(&self) -> Result<(), StoreError> {
        match self.raw(&Record::Plan)? {
            None => Ok(()),
            Some(_) => Err(self.in_parts("they must be all before there is a chain")?),
        }
    }

    fn in_parts(&self, reason: &'static str) -> Result<StoreError, StoreError> {
        Ok(StoreError::InParts {
            path: self.path.clone(),
            parts_count: self.marks()?.len(),
            reason,
        })
    }

    fn marks(&self) -> Result<Marks, StoreError> {
        let (mut marks, mut damage) = (Marks::new(), None);
        self.scan(&[PART], &mut |key, value| {
            let record = Record::of_key(key).unwrap_or(Record::Plan);
            let read = unseal(key, value).and_then(decode::<Mark>);
            match (&record, read) {
                (Record::Part(index), Ok(mark)) => {
                    marks.insert(*index, mark);
                }
                (_, read) => {
                    let reason = read.err().unwrap_or_else(|| "it has no index".to_owned());
                    damage = Some((record, reason));
                }
            }
            damage.is_none()
        })?;
        match damage {
            Some((record, reason)) => Err(self.damaged(record, reason)),
            None => Ok(marks),
        }
    }
}

/// What all marks count together.
fn total(marks: &Marks) -> Summary {
    let mut total = Summary::default();
    marks.values().for_each(|mark| total.add(&mark.summary));
    total
}

fn put_mark(batch: &mut Batch, index: u32, (summary, is_whole): (Summary, bool)) {
    let mark = Mark { summary, is_whole };
    put(batch, &Record::Part(index), &encode(&mark));
}

/// The key and the value of an entry, its checksum verified.
fn entry<'a>(key: &'a [u8], value: &'a [u8]) -> Result<Entry<'a>, Damage> {
    let name = state_name(key).unwrap_or_default();
    match unseal(key, value) {
        Ok(payload) => Ok((name, payload)),
        Err(reason) => Err((Record::State(name.to_vec()), reason)),
    }
}
