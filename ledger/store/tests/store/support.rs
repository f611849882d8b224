//! A deterministic history of blocks, so that any process can say what a store must hold.

use ledger_store::{Commit, State, Store, StoredBlock, Tip, Writes};
use protocol::{BlockId, ChainId, Height, StateRoot, TransactionId};

pub(crate) fn bytes_of(what: &str, number: u64) -> [u8; 32] {
    *blake3::hash(format!("{what}/{number}").as_bytes()).as_bytes()
}

pub(crate) fn chain() -> ChainId {
    ChainId::from_bytes(bytes_of("chain", 0))
}

pub(crate) fn root(height: u64) -> StateRoot {
    StateRoot::from_bytes(bytes_of("root", height))
}

pub(crate) fn transaction(height: u64, index: u64) -> TransactionId {
    TransactionId::from_bytes(bytes_of("transaction", height * 1000 + index))
}

pub(crate) fn genesis() -> State {
    (0..20u64)
        .map(|number| (format!("account/{number}").into_bytes(), vec![7; 24]))
        .collect()
}

/// One block with everything it changes.
pub(crate) struct Block {
    pub(crate) height: u64,
    pub(crate) block: Vec<u8>,
    pub(crate) certificate: Vec<u8>,
    pub(crate) writes: Writes,
    pub(crate) transactions: Vec<TransactionId>,
}

impl Block {
    /// Overwrites two accounts, adds a unit and deletes the unit of three blocks before.
    pub(crate) fn at(height: u64) -> Self {
        let mut writes = Writes::new();
        for number in [height % 20, (height * 7 + 3) % 20] {
            let key = format!("account/{number}").into_bytes();
            writes.insert(
                key,
                Some(bytes_of("balance", height * 100 + number).to_vec()),
            );
        }
        let unit = |height: u64| format!("unit/{height}").into_bytes();
        writes.insert(unit(height), Some(vec![1; (height % 300) as usize]));
        if height > 3 {
            writes.insert(unit(height - 3), None);
        }
        Self {
            height,
            block: bytes_of("block", height).repeat(1 + (height % 40) as usize),
            certificate: bytes_of("certificate", height).to_vec(),
            writes,
            transactions: (0..height % 4)
                .map(|index| transaction(height, index))
                .collect(),
        }
    }

    pub(crate) fn id(&self) -> BlockId {
        BlockId::from_bytes(*blake3::hash(&self.block).as_bytes())
    }

    pub(crate) fn commit(&self) -> Commit<'_> {
        Commit {
            height: Height::new(self.height),
            block_id: self.id(),
            block: &self.block,
            certificate: &self.certificate,
            state_root: root(self.height),
            writes: &self.writes,
            transactions: &self.transactions,
        }
    }

    pub(crate) fn stored(&self) -> StoredBlock {
        StoredBlock {
            block_id: self.id(),
            block: self.block.clone(),
            certificate: self.certificate.clone(),
            state_root: root(self.height),
        }
    }
}

pub(crate) fn initialize(store: &dyn Store) {
    store.initialize(chain(), &genesis(), root(0)).unwrap();
}

pub(crate) fn tip_at(height: u64) -> Tip {
    let block_id = match height {
        0 => BlockId::from_bytes(*chain().as_bytes()),
        _ => Block::at(height).id(),
    };
    Tip {
        height: Height::new(height),
        block_id,
        state_root: root(height),
    }
}

/// The state that the history leads to, by plain replay.
pub(crate) fn state_at(height: u64) -> State {
    let mut state = genesis();
    for past in 1..=height {
        for (key, value) in Block::at(past).writes {
            match value {
                Some(value) => state.insert(key, value),
                None => state.remove(&key),
            };
        }
    }
    state
}

/// Asserts that the store holds exactly the history up to `height`.
pub(crate) fn assert_holds(store: &dyn Store, height: u64) {
    assert_eq!(store.chain().unwrap(), Some(chain()));
    assert_eq!(store.tip().unwrap(), Some(tip_at(height)));
    assert_eq!(store.state().unwrap(), state_at(height));
    for past in 1..=height {
        let block = Block::at(past);
        let height = Height::new(past);
        assert_eq!(store.block(height).unwrap(), Some(block.stored()));
        for id in block.transactions {
            assert_eq!(store.transaction_height(id).unwrap(), Some(height));
        }
    }
    assert_eq!(store.block(Height::new(height + 1)).unwrap(), None);
    assert_eq!(
        store
            .transaction_height(transaction(height + 3, 0))
            .unwrap(),
        None
    );
}
