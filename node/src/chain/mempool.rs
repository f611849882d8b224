//! Transactions waiting for a block: bounded, in nonce order per account, newest wins a nonce.

use ledger_state::{Rejection, State, account::account, check_transaction};
use protocol::{
    Address, Height, Nonce,
    task::UnitId,
    transaction::{Body, Verified},
};
use std::collections::{BTreeMap, BTreeSet};

/// Most transactions waiting.
pub const MEMPOOL_COUNT_MAX: usize = 8192;
/// Most transactions waiting of one account.
pub const ACCOUNT_COUNT_MAX: u64 = 128;
/// Blocks after which a transaction that no proposer could use is forgotten.
pub const AGE_BLOCKS_MAX: u64 = 12;

/// Why a transaction cannot wait here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MempoolError {
    /// Full.
    #[error("{count} transactions are waiting; at most {count_max} may")]
    Full {
        /// Waiting now.
        count: usize,
        /// The limit.
        count_max: usize,
    },
    /// Too far ahead of the account.
    #[error(
        "transaction has nonce {nonce}; the account is at {account} and at most {ahead_max} may wait"
    )]
    NonceAhead {
        /// The transaction's.
        nonce: Nonce,
        /// The account's.
        account: Nonce,
        /// How far ahead it may be.
        ahead_max: u64,
    },
    /// Already applied.
    #[error(transparent)]
    Rejected(#[from] Rejection),
}

#[derive(Debug)]
struct Waiting {
    transaction: Verified,
    since: Height,
}

/// Transactions waiting for a block.
#[derive(Debug, Default)]
pub struct Mempool {
    waiting: BTreeMap<(Address, Nonce), Waiting>,
}

impl Mempool {
    /// Transactions waiting.
    #[must_use]
    pub fn count(&self) -> usize {
        self.waiting.len()
    }
    fn of(&self, sender: Address) -> impl Iterator<Item = &Waiting> {
        let range = (sender, Nonce::ZERO)..=(sender, Nonce::new(u64::MAX));
        self.waiting.range(range).map(|(_, waiting)| waiting)
    }
    /// The first nonce from `account` on that nothing waiting uses.
    #[must_use]
    pub fn next_nonce(&self, sender: Address, account: Nonce) -> Nonce {
        let mut next = account;
        for waiting in self.of(sender) {
            if waiting.transaction.nonce() == next {
                next = next.next();
            }
        }
        next
    }
    /// Takes a transaction; one with the same nonce is replaced. If nothing is missing before it,
    /// it must be valid after those.
    ///
    /// # Errors
    /// When there is no room, the nonce is used or too far ahead, or a rule refuses it now.
    pub fn insert(&mut self, state: &State, transaction: Verified) -> Result<(), MempoolError> {
        let (sender, nonce) = (transaction.sender(), transaction.nonce());
        let count = self.waiting.len();
        if count >= MEMPOOL_COUNT_MAX && !self.waiting.contains_key(&(sender, nonce)) {
            return Err(MempoolError::Full {
                count,
                count_max: MEMPOOL_COUNT_MAX,
            });
        }
        let mut view = state.view();
        let at = account(&view, sender).nonce;
        if nonce < at {
            return Err(Rejection::NonceMismatch {
                found: nonce,
                expected: at,
            }
            .into());
        }
        if nonce.get().saturating_sub(at.get()) >= ACCOUNT_COUNT_MAX {
            let ahead_max = ACCOUNT_COUNT_MAX;
            return Err(MempoolError::NonceAhead {
                nonce,
                account: at,
                ahead_max,
            });
        }
        for waiting in self
            .of(sender)
            .take_while(|waiting| waiting.transaction.nonce() < nonce)
        {
            // One that is invalid now is the proposer's to leave out; what follows may still hold.
            drop(check_transaction(&mut view, &waiting.transaction));
        }
        if account(&view, sender).nonce == nonce {
            check_transaction(&mut view, &transaction)?;
        }
        let since = ledger_state::run::tip(&view).height;
        self.waiting
            .insert((sender, nonce), Waiting { transaction, since });
        Ok(())
    }
    /// Everything waiting, by account and nonce.
    #[must_use]
    pub fn candidates(&self) -> Vec<Verified> {
        self.waiting
            .values()
            .map(|waiting| waiting.transaction.clone())
            .collect()
    }
    /// Units to which others than `own` bind a verdict.
    #[must_use]
    pub fn audits(&self, own: Address) -> BTreeSet<UnitId> {
        let others = self.waiting.iter().filter(|((who, _), _)| *who != own);
        let units = others.filter_map(|(_, waiting)| match waiting.transaction.body() {
            Body::AuditCommit { unit, .. } => Some(*unit),
            _ => None,
        });
        units.collect()
    }
    /// Whether exactly this transaction waits here, so that its signature was checked.
    #[must_use]
    pub fn get(&self, sender: Address, nonce: Nonce) -> Option<&Verified> {
        self.waiting
            .get(&(sender, nonce))
            .map(|waiting| &waiting.transaction)
    }
    /// Forgets what was applied or has waited too long.
    pub fn retain_valid(&mut self, state: &State, height: Height) {
        let view = state.view();
        self.waiting.retain(|(sender, nonce), waiting| {
            let fresh = height.get().saturating_sub(waiting.since.get()) < AGE_BLOCKS_MAX;
            fresh && *nonce >= account(&view, *sender).nonce
        });
    }
}
