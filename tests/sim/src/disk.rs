//! A node's disk: a store of production that sometimes refuses, and that outlives its processes.

use crate::Mutant;
use ledger_state::{account::Account, state::key_bytes};
use ledger_store::{
    Begun, Checked, Choice, Commit, MemoryStore, Restored, State, Store, StoreError, StoredBlock,
    Tip, Visit,
};
use protocol::{
    Amount, BlockId, ChainId, Height, StateRoot, TransactionId,
    block::Block,
    codec::{decode, encode},
    transaction::Body,
};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

/// What the next commit does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// What it should.
    Good,
    /// Nothing is written, and it says so.
    Fails,
    /// All is written, and it says otherwise.
    Lies,
}

/// A block that is said to be written and is not: a mutant's.
#[derive(Debug)]
struct Held {
    height: Height,
    block_id: BlockId,
    block: Vec<u8>,
    certificate: Vec<u8>,
    state_root: StateRoot,
    writes: ledger_store::Writes,
    transactions: Vec<TransactionId>,
}

/// A store with moods.
#[derive(Debug)]
pub(crate) struct Disk {
    inner: Arc<dyn Store>,
    mood: Mutex<Mood>,
    mutant: Option<Mutant>,
    held: Mutex<Option<Held>>,
}

impl Disk {
    /// Opens what is in a folder, or one in memory.
    pub(crate) fn open(
        choice: Option<Choice>,
        folder: &Path,
        mutant: Option<Mutant>,
    ) -> Result<Arc<Self>, StoreError> {
        let inner: Arc<dyn Store> = match choice {
            Some(choice) => choice.open(folder)?,
            None => Arc::new(MemoryStore::new()),
        };
        Ok(Arc::new(Self::over(inner, mutant)))
    }

    fn over(inner: Arc<dyn Store>, mutant: Option<Mutant>) -> Self {
        Self {
            inner,
            mood: Mutex::new(Mood::Good),
            mutant,
            held: Mutex::new(None),
        }
    }

    /// The same disk after the process that used it is gone.
    pub(crate) fn after_crash(&self) -> Arc<Self> {
        Arc::new(Self::over(Arc::clone(&self.inner), self.mutant))
    }

    pub(crate) fn set_mood(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn fault(height: Height) -> StoreError {
        StoreError::Failed {
            path: PathBuf::from("(simulated)"),
            operation: "write",
            reason: format!("the disk refuses block {height}"),
        }
    }

    /// Writes what was held back, and holds this one back.
    fn hold(&self, commit: &Commit<'_>) -> Result<(), StoreError> {
        let mut held = self.held.lock().unwrap();
        if let Some(before) = held.take() {
            self.inner.commit(&Commit {
                height: before.height,
                block_id: before.block_id,
                block: &before.block,
                certificate: &before.certificate,
                state_root: before.state_root,
                writes: &before.writes,
                transactions: &before.transactions,
            })?;
        }
        *held = Some(Held {
            height: commit.height,
            block_id: commit.block_id,
            block: commit.block.to_vec(),
            certificate: commit.certificate.to_vec(),
            state_root: commit.state_root,
            writes: commit.writes.clone(),
            transactions: commit.transactions.to_vec(),
        });
        Ok(())
    }

    /// Writes a transfer's amount to its receiver once more.
    fn credit_twice(&self, commit: &Commit<'_>) -> Result<(), StoreError> {
        let block = Block::decode(commit.block).unwrap();
        let mut writes = commit.writes.clone();
        let transactions = block.transactions.as_slice().iter();
        let transfer = transactions
            .map(|transaction| transaction.claimed().body.clone())
            .find_map(|body| match body {
                Body::Transfer { to, amount } => Some((to, amount)),
                _ => None,
            });
        if let Some((to, amount)) = transfer
            && let Some(Some(value)) = writes.get_mut(&key_bytes::<Account>(&to))
        {
            let mut account: Account = decode("account", value, value.len()).unwrap();
            account.balance = Amount::new(account.balance.get() + amount.get());
            *value = encode(&account);
        }
        self.inner.commit(&Commit {
            writes: &writes,
            ..*commit
        })
    }
}

impl Store for Disk {
    fn commit(&self, commit: &Commit<'_>) -> Result<(), StoreError> {
        let mood = std::mem::replace(&mut *self.mood.lock().unwrap(), Mood::Good);
        if mood == Mood::Fails {
            return Err(Self::fault(commit.height));
        }
        match self.mutant {
            Some(Mutant::LosesLastBlock) => self.hold(commit)?,
            Some(Mutant::CreditsTwice) => self.credit_twice(commit)?,
            _ => self.inner.commit(commit)?,
        }
        match mood {
            Mood::Lies => Err(Self::fault(commit.height)),
            Mood::Good | Mood::Fails => Ok(()),
        }
    }
    fn block(&self, height: Height) -> Result<Option<StoredBlock>, StoreError> {
        if let Some(held) = self.held.lock().unwrap().as_ref()
            && held.height == height
        {
            return Ok(Some(StoredBlock {
                block_id: held.block_id,
                block: held.block.clone(),
                certificate: held.certificate.clone(),
                state_root: held.state_root,
            }));
        }
        self.inner.block(height)
    }
    fn chain(&self) -> Result<Option<ChainId>, StoreError> {
        self.inner.chain()
    }
    fn tip(&self) -> Result<Option<Tip>, StoreError> {
        self.inner.tip()
    }
    fn first(&self) -> Result<Height, StoreError> {
        self.inner.first()
    }
    fn initialize(
        &self,
        chain: ChainId,
        state: &State,
        state_root: StateRoot,
    ) -> Result<(), StoreError> {
        self.inner.initialize(chain, state, state_root)
    }
    fn read_state(&self, visit: Visit<'_>) -> Result<Option<Tip>, StoreError> {
        self.inner.read_state(visit)
    }
    fn transaction_height(&self, id: TransactionId) -> Result<Option<Height>, StoreError> {
        self.inner.transaction_height(id)
    }
    fn put_local(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.inner.put_local(key, value)
    }
    fn get_local(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get_local(key)
    }
    fn begin(&self, plan: &[u8]) -> Result<(), StoreError> {
        self.inner.begin(plan)
    }
    fn begun(&self) -> Result<Option<Begun>, StoreError> {
        self.inner.begun()
    }
    fn put_part(
        &self,
        index: u32,
        entries: &mut dyn Iterator<Item = (&[u8], &[u8])>,
    ) -> Result<(), StoreError> {
        self.inner.put_part(index, entries)
    }
    fn restore(&self, restored: &Restored<'_>) -> Result<(), StoreError> {
        self.inner.restore(restored)
    }
    fn backfill(
        &self,
        block: &StoredBlock,
        transactions: &[TransactionId],
    ) -> Result<Height, StoreError> {
        self.inner.backfill(block, transactions)
    }
    fn prune(&self, below: Height, count_max: usize) -> Result<Height, StoreError> {
        self.inner.prune(below, count_max)
    }
    fn check_reading(&self, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<Checked, StoreError> {
        self.inner.check_reading(visit)
    }
}
