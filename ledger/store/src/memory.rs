//! The in-memory twin: the same promises, less the disk.

use crate::{
    Commit, State, Store, StoreError, StoredBlock, Tip,
    record::{ChainRecord, check_key},
};
use protocol::{BlockId, ChainId, Height, StateRoot, TransactionId};
use std::{
    collections::BTreeMap,
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
    blocks: BTreeMap<Height, StoredBlock>,
    state: State,
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
        inner.blocks.insert(commit.height, commit.stored_block());
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
        Ok(self.read().blocks.get(&height).cloned())
    }

    fn state(&self) -> Result<State, StoreError> {
        Ok(self.read().state.clone())
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
}
