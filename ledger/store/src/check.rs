//! The checks that both stores make before they write.

use crate::{
    Commit, StoreError, StoredBlock, Tip,
    record::{ChainRecord, check_key},
};
use protocol::{ChainId, Height, StateRoot};
use std::path::PathBuf;

impl ChainRecord {
    /// Whether this is the chain that was asked for, from the same genesis state.
    pub(crate) fn check(
        &self,
        path: PathBuf,
        chain: ChainId,
        state_root: StateRoot,
    ) -> Result<(), StoreError> {
        if self.chain != chain {
            return Err(StoreError::OtherChain {
                path,
                found: self.chain,
                expected: chain,
            });
        }
        if self.state_root != state_root {
            return Err(StoreError::OtherGenesis {
                path,
                found: self.state_root,
                expected: state_root,
            });
        }
        Ok(())
    }
}

impl Commit<'_> {
    /// Whether this block may follow the tip.
    pub(crate) fn check(&self, path: PathBuf, tip: Option<Height>) -> Result<(), StoreError> {
        let Some(tip) = tip else {
            return Err(StoreError::NotInitialized { path });
        };
        if tip.checked_add(1) != Some(self.height) {
            return Err(StoreError::HeightNotNext {
                path,
                found: self.height,
                tip,
            });
        }
        self.writes.keys().try_for_each(|key| check_key(key))
    }

    pub(crate) const fn tip(&self) -> Tip {
        Tip {
            height: self.height,
            block_id: self.block_id,
            state_root: self.state_root,
        }
    }

    pub(crate) fn stored_block(&self) -> StoredBlock {
        StoredBlock {
            block_id: self.block_id,
            block: self.block.to_vec(),
            certificate: self.certificate.to_vec(),
            state_root: self.state_root,
        }
    }
}
