//! The in-memory twin: the same promises, less the disk.

use crate::{
    Begun, Checked, Commit, Restored, State, Store, StoreError, StoredBlock, Tip, Visit,
    record::{ChainRecord, check_key},
};
use protocol::{BlockId, ChainId, Height, StateRoot, TransactionId};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    path::PathBuf,
    sync::{RwLock, RwLockReadGuard, RwLockWriteGuard},
};

/// A store that forgets everything when it is dropped.
#[derive(Debug, Default)]
pub struct MemoryStore {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    chain: Option<ChainRecord>,
    tip: Option<Tip>,
    blocks: BTreeMap<Height, (StoredBlock, Vec<TransactionId>)>,
    /// The lowest height whose block is kept, if blocks below it are not.
    first: Option<Height>,
    state: State,
    /// A state that comes in parts; `state` is what came.
    begun: Option<Begun>,
    transactions: BTreeMap<TransactionId, Height>,
    local: State,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner
            .read()
            .expect("invariant: nothing panics while it holds the lock")
    }
    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner
            .write()
            .expect("invariant: nothing panics while it holds the lock")
    }
}

impl Inner {
    /// Keeps the block before the first, or the only one.
    fn keep(&mut self, height: Height, block: &StoredBlock, transactions: &[TransactionId]) {
        let ids = transactions.to_vec();
        self.transactions.extend(ids.iter().map(|id| (*id, height)));
        self.blocks.insert(height, (block.clone(), ids));
        self.first = Some(height);
    }
    fn first(&self) -> Height {
        self.first.unwrap_or_else(|| Height::new(1))
    }
    fn check_empty(&self) -> Result<(), StoreError> {
        match self.tip {
            None => Ok(()),
            Some(Tip { height, .. }) => Err(StoreError::NotEmpty {
                path: path(),
                height,
            }),
        }
    }
    fn check_no_parts(&self) -> Result<(), StoreError> {
        match &self.begun {
            None => Ok(()),
            Some(_) => Err(self.in_parts("they must be all before there is a chain")),
        }
    }
    fn in_parts(&self, reason: &'static str) -> StoreError {
        let begun = self.begun.as_ref();
        StoreError::InParts {
            path: path(),
            parts_count: begun.map_or(0, |begun| begun.parts.len()),
            reason,
        }
    }
}

/// In which order entries are visited.
fn place(key: &[u8]) -> [u8; 8] {
    let hash = blake3::hash(key);
    hash.as_bytes().first_chunk().copied().unwrap_or_default()
}

/// What errors call this store.
fn path() -> PathBuf {
    PathBuf::from("(memory)")
}

impl Store for MemoryStore {
    fn chain(&self) -> Result<Option<ChainId>, StoreError> {
        Ok(self.read().chain.map(|record| record.chain))
    }

    fn tip(&self) -> Result<Option<Tip>, StoreError> {
        Ok(self.read().tip)
    }

    fn first(&self) -> Result<Height, StoreError> {
        Ok(self.read().first())
    }

    fn initialize(
        &self,
        chain: ChainId,
        state: &State,
        state_root: StateRoot,
    ) -> Result<(), StoreError> {
        let mut inner = self.write();
        if let Some(found) = inner.chain {
            return found.check(path(), chain, state_root);
        }
        inner.check_no_parts()?;
        state.keys().try_for_each(|key| check_key(key))?;
        inner.chain = Some(ChainRecord { chain, state_root });
        inner.state = state.clone();
        inner.tip = Some(Tip {
            height: Height::ZERO,
            block_id: BlockId::from_bytes(*chain.as_bytes()),
            state_root,
        });
        Ok(())
    }

    fn commit(&self, commit: &Commit<'_>) -> Result<(), StoreError> {
        let mut inner = self.write();
        commit.check(path(), inner.tip.map(|tip| tip.height))?;
        inner.tip = Some(commit.tip());
        let block = (commit.stored_block(), commit.transactions.to_vec());
        inner.blocks.insert(commit.height, block);
        for (key, value) in commit.writes {
            match value {
                Some(value) => inner.state.insert(key.clone(), value.clone()),
                None => inner.state.remove(key),
            };
        }
        for id in commit.transactions {
            inner.transactions.insert(*id, commit.height);
        }
        Ok(())
    }

    fn block(&self, height: Height) -> Result<Option<StoredBlock>, StoreError> {
        let inner = self.read();
        match inner.blocks.get(&height) {
            Some((block, _)) => Ok(Some(block.clone())),
            None if height == Height::ZERO || height >= inner.first() => Ok(None),
            None => Err(StoreError::BlockNotKept {
                path: path(),
                height,
                first: inner.first(),
            }),
        }
    }

    fn read_state(&self, visit: Visit<'_>) -> Result<Option<Tip>, StoreError> {
        let inner = self.read();
        let entries = inner.state.iter().filter(|_| inner.tip.is_some());
        let mut placed: Vec<_> = entries
            .map(|(key, value)| (place(key), key, value))
            .collect();
        placed.sort_unstable();
        for (_, key, value) in placed {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(inner.tip)
    }

    fn transaction_height(&self, id: TransactionId) -> Result<Option<Height>, StoreError> {
        Ok(self.read().transactions.get(&id).copied())
    }

    fn put_local(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        check_key(key)?;
        self.write().local.insert(key.to_vec(), value.to_vec());
        Ok(())
    }

    fn get_local(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.read().local.get(key).cloned())
    }

    fn begin(&self, plan: &[u8]) -> Result<(), StoreError> {
        let mut inner = self.write();
        inner.check_empty()?;
        inner.check_no_parts()?;
        inner.begun = Some(Begun {
            plan: plan.to_vec(),
            parts: BTreeSet::new(),
        });
        Ok(())
    }

    fn begun(&self) -> Result<Option<Begun>, StoreError> {
        Ok(self.read().begun.clone())
    }

    fn put_part(
        &self,
        index: u32,
        entries: &mut dyn Iterator<Item = (&[u8], &[u8])>,
    ) -> Result<(), StoreError> {
        let mut inner = self.write();
        let begun = inner.begun.as_ref();
        let begun = begun.ok_or_else(|| inner.in_parts("none has begun"))?;
        if begun.parts.contains(&index) {
            return Err(inner.in_parts("this one is among them"));
        }
        let entries: Vec<_> = entries
            .map(|(key, value)| (key.to_vec(), value.to_vec()))
            .collect();
        entries.iter().try_for_each(|(key, _)| check_key(key))?;
        inner.state.extend(entries);
        if let Some(begun) = &mut inner.begun {
            begun.parts.insert(index);
        }
        Ok(())
    }

    fn restore(&self, restored: &Restored<'_>) -> Result<(), StoreError> {
        let Restored {
            chain,
            genesis_root,
            height,
            block,
            transactions,
            parts_count,
        } = *restored;
        let mut inner = self.write();
        inner.check_empty()?;
        let begun = inner.begun.take();
        let parts = begun.iter().flat_map(|begun| &begun.parts).copied();
        if !parts.eq(0..parts_count) {
            inner.begun = begun;
            return Err(inner.in_parts("the state has others"));
        }
        let StoredBlock {
            block_id,
            state_root,
            ..
        } = *block;
        inner.chain = Some(ChainRecord {
            chain,
            state_root: genesis_root,
        });
        inner.tip = Some(Tip {
            height,
            block_id,
            state_root,
        });
        inner.keep(height, block, transactions);
        Ok(())
    }

    fn backfill(
        &self,
        block: &StoredBlock,
        transactions: &[TransactionId],
    ) -> Result<Height, StoreError> {
        let mut inner = self.write();
        if inner.tip.is_none() {
            return Err(StoreError::NotInitialized { path: path() });
        }
        let height = inner.first().saturating_sub(1);
        if height == Height::ZERO {
            return Err(StoreError::Whole { path: path() });
        }
        inner.keep(height, block, transactions);
        Ok(height)
    }

    fn prune(&self, below: Height, count_max: usize) -> Result<Height, StoreError> {
        let mut inner = self.write();
        let Some(tip) = inner.tip else {
            return Ok(Height::new(1));
        };
        let mut first = inner.first();
        for _ in 0..count_max {
            if first >= below.min(tip.height) {
                break;
            }
            if let Some((_, ids)) = inner.blocks.remove(&first) {
                for id in ids {
                    inner.transactions.remove(&id);
                }
            }
            first = first.next();
        }
        inner.first = Some(first);
        Ok(first)
    }

    fn check_reading(&self, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<Checked, StoreError> {
        self.read_state(&mut |key, value| {
            visit(key, value);
            ControlFlow::Continue(())
        })?;
        let inner = self.read();
        Ok(Checked {
            first: inner.first(),
            tip: inner.tip.map_or(Height::ZERO, |tip| tip.height),
            blocks_count: inner.blocks.len() as u64,
            transactions_count: inner.transactions.len() as u64,
            state_count: inner.state.len() as u64,
            notes_count: inner.local.len() as u64,
        })
    }
}
