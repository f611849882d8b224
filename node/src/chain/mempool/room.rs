//! How much may wait: in all, for a fee, and of one account; transactions and bytes.

use super::{MempoolError, Waiting};
use protocol::{Address, transaction::Lane};
use std::collections::BTreeMap;

/// Most transactions waiting of one account.
pub const ACCOUNT_COUNT_MAX: u64 = 128;

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// All chains.
    all: Load,
    /// Those of them that pay.
    paid: Load,
    /// One account's.
    account: Load,
    /// What came before what it follows.
    pub(super) early: Load,
}

impl Limits {
    /// For this many transactions in chains, of 2 KiB each on the average: a quarter of the room
    /// is for duties alone, an eighth more for what comes early, and one account has a sixteenth.
    #[must_use]
    pub const fn of(count: usize) -> Self {
        let bytes = count.saturating_mul(2 << 10);
        Self {
            all: Load { count, bytes },
            paid: Load {
                count: count / 4 * 3,
                bytes: bytes / 4 * 3,
            },
            account: Load {
                count: 128,
                bytes: bytes / 16,
            },
            early: Load {
                count: count / 8,
                bytes: bytes / 8,
            },
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::of(8192)
    }
}

/// A number of transactions, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) count: usize,
    pub(super) bytes: usize,
}

impl Load {
    const fn plus(self, bytes: usize) -> Self {
        Self {
            count: self.count.saturating_add(1),
            bytes: self.bytes.saturating_add(bytes),
        }
    }
    const fn minus(self, bytes: usize) -> Self {
        Self {
            count: self.count.saturating_sub(1),
            bytes: self.bytes.saturating_sub(bytes),
        }
    }
    fn check(
        self,
        new: &Use,
        (transactions, bytes): (&'static str, &'static str),
        max: Self,
    ) -> Result<(), MempoolError> {
        let after = self.plus(new.bytes);
        let (what, used, asked, limit) = if after.count > max.count {
            (transactions, self.count, 1, max.count)
        } else if after.bytes > max.bytes {
            (bytes, self.bytes, new.bytes, max.bytes)
        } else {
            return Ok(());
        };
        Err(MempoolError::Full {
            what,
            used,
            asked,
            limit,
        })
    }
}

/// What one transaction takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Use {
    sender: Address,
    lane: Lane,
    bytes: usize,
}

impl Use {
    pub(super) fn of(waiting: &Waiting) -> Self {
        Self {
            sender: waiting.transaction.sender(),
            lane: waiting.lane(),
            bytes: waiting.bytes_count(),
        }
    }
}

/// What all accounts use together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shared {
    all: Load,
    paid: Load,
}

impl Shared {
    fn take(&mut self, new: &Use) {
        self.all = self.all.plus(new.bytes);
        if new.lane == Lane::Paid {
            self.paid = self.paid.plus(new.bytes);
        }
    }
    pub(super) fn free(&mut self, old: &Use) {
        self.all = self.all.minus(old.bytes);
        if old.lane == Lane::Paid {
            self.paid = self.paid.minus(old.bytes);
        }
    }
    pub(super) fn check(self, new: &Use, limits: &Limits) -> Result<(), MempoolError> {
        if new.lane == Lane::Paid {
            let names = ("paid transactions", "bytes of paid transactions");
            self.paid.check(new, names, limits.paid)?;
        }
        self.all
            .check(new, ("transactions", "bytes of transactions"), limits.all)
    }
}

/// What one account uses.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Own(Load);

impl Own {
    pub(super) fn free(&mut self, old: &Use) {
        self.0 = self.0.minus(old.bytes);
    }
    pub(super) fn check(self, new: &Use, limits: &Limits) -> Result<(), MempoolError> {
        let names = ("transactions of the account", "bytes of the account");
        self.0.check(new, names, limits.account)
    }
}

/// What is in use.
#[derive(Clone, Debug, Default)]
pub(super) struct Room {
    shared: Shared,
    accounts: BTreeMap<Address, Own>,
}

impl Room {
    pub(super) const fn bytes_count(&self) -> usize {
        self.shared.all.bytes
    }
    pub(super) const fn shared(&self) -> Shared {
        self.shared
    }
    pub(super) fn own(&self, sender: Address) -> Own {
        self.accounts.get(&sender).copied().unwrap_or_default()
    }
    pub(super) fn take(&mut self, new: &Use) {
        self.shared.take(new);
        let Own(own) = self.accounts.entry(new.sender).or_default();
        *own = own.plus(new.bytes);
    }
    pub(super) fn free(&mut self, old: &Use) {
        self.shared.free(old);
        if let Some(own) = self.accounts.get_mut(&old.sender) {
            own.free(old);
            if own.0.count == 0 {
                self.accounts.remove(&old.sender);
            }
        }
    }
}
