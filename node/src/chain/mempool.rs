//! Transactions waiting for a block: bounded everywhere, and duties never behind spam.
//!
//! Of every account there waits a **chain**: transactions whose numbers follow the account's
//! without a gap, each valid after those before it. One that comes too early, because what is
//! before it is not here yet, is kept aside among few others, of which the newest displaces the
//! oldest; so nobody can fill the rest with what was never checked.
//!
//! When there is no room, the chain's end with the lowest tip per gas gives way to a duty, or to a
//! transaction that pays more. Duties give way to nobody, and a quarter of the room is theirs
//! alone. What is in place of a paid transaction pays a tip an eighth higher; of two duties, or a
//! duty and a paid one, the newer stays. What no proposer could use is forgotten after some blocks.

mod room;

use ledger_state::{
    Rejection, State,
    account::account,
    check_transaction,
    fee::{self, PRICED_GAS},
    selection::Rate,
    state::Writes,
};
use protocol::{
    Address, Amount, Height, Nonce,
    task::UnitId,
    transaction::{Body, Lane, Verified},
};
pub use room::{ACCOUNT_COUNT_MAX, Limits};
use room::{Room, Use};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

/// Blocks after which a transaction that no proposer could use is forgotten.
pub const AGE_BLOCKS_MAX: u64 = 12;

/// Why a transaction cannot wait here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MempoolError {
    /// Full of what may not give way to it.
    #[error("{used} {what} are waiting and {asked} more would be; at most {limit} may")]
    Full {
        /// Transactions or bytes, and whose.
        what: &'static str,
        /// Waiting now.
        used: usize,
        /// How much it would add.
        asked: usize,
        /// The limit.
        limit: usize,
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
    /// In place of another that pays as much.
    #[error("transaction has tip {tip}; in place of the one waiting it needs {needed}")]
    TipTooLow {
        /// The transaction's.
        tip: Amount,
        /// The least.
        needed: Amount,
    },
    /// Already applied, or refused by a rule.
    #[error(transparent)]
    Rejected(#[from] Rejection),
}

#[derive(Debug)]
struct Waiting {
    transaction: Verified,
    since: Height,
    /// In which order it came.
    came: u64,
    gas: u64,
}

impl Waiting {
    fn lane(&self) -> Lane {
        self.transaction.body().lane()
    }
    fn bytes_count(&self) -> usize {
        self.transaction.bytes_count()
    }
}

type Key = (Address, Nonce);

/// The end of an account's chain that pays: the least in order gives way first.
type End = (Rate, Reverse<u64>, Key);

/// Transactions waiting for a block.
#[derive(Debug, Default)]
pub struct Mempool {
    limits: Limits,
    waiting: BTreeMap<Key, Waiting>,
    room: Room,
    ends: BTreeSet<End>,
    /// What each account's chain writes, as far as it was checked on the present state.
    written: BTreeMap<Address, Writes>,
    early: BTreeMap<Key, Waiting>,
    early_bytes: usize,
    came: u64,
    paid_gas: u64,
}

impl Mempool {
    /// An empty one of these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }
    /// Transactions waiting.
    #[must_use]
    pub fn count(&self) -> usize {
        self.waiting.len().saturating_add(self.early.len())
    }
    /// Their bytes.
    #[must_use]
    pub fn bytes_count(&self) -> usize {
        self.room.bytes_count().saturating_add(self.early_bytes)
    }
    fn of(&self, sender: Address) -> impl DoubleEndedIterator<Item = (&Key, &Waiting)> {
        self.waiting.range(all_of(sender))
    }
    /// The first nonce from `account` on that nothing waiting uses.
    #[must_use]
    pub fn next_nonce(&self, sender: Address, account: Nonce) -> Nonce {
        let mut next = account;
        for ((_, nonce), _) in self.of(sender).chain(self.early.range(all_of(sender))) {
            if *nonce == next {
                next = next.next();
            }
        }
        next
    }
    /// Takes a transaction. If nothing is missing before it, it must be valid after those.
    ///
    /// # Errors
    /// When there is no room, the nonce is used or too far ahead, another in its place pays as
    /// much, or a rule refuses it now.
    pub fn insert(&mut self, state: &State, transaction: Verified) -> Result<(), MempoolError> {
        let (sender, nonce) = (transaction.sender(), transaction.nonce());
        if self.get(sender, nonce).map(Verified::id) == Some(transaction.id()) {
            return Ok(());
        }
        let view = state.view();
        let at = account(&view, sender).nonce;
        if nonce < at {
            let (found, expected) = (nonce, at);
            return Err(Rejection::NonceMismatch { found, expected }.into());
        }
        if nonce.get().saturating_sub(at.get()) >= ACCOUNT_COUNT_MAX {
            let (account, ahead_max) = (at, ACCOUNT_COUNT_MAX);
            return Err(MempoolError::NonceAhead {
                nonce,
                account,
                ahead_max,
            });
        }
        self.came = self.came.saturating_add(1);
        let new = Waiting {
            gas: fee::gas(&transaction),
            since: ledger_state::run::tip(&view).height,
            came: self.came,
            transaction,
        };
        if !self.follows(state, sender, nonce) {
            self.keep_early(new);
            return Ok(());
        }
        self.link(state, new)?;
        self.link_early(state, sender, nonce);
        Ok(())
    }
    /// Whether the account's chain reaches up to this number.
    fn follows(&mut self, state: &State, sender: Address, nonce: Nonce) -> bool {
        let view = state.view_after(self.written_below(state, sender, nonce));
        let reached = account(&view, sender).nonce;
        self.keep_written(sender, view.into_writes());
        reached == nonce
    }
    fn keep_written(&mut self, sender: Address, writes: Writes) {
        // Of accounts that nothing waits of there is nothing to keep, so strangers take no memory.
        if !writes.is_empty() {
            self.written.insert(sender, writes);
        }
    }
    /// What the account's chain below a number writes; kept for a chain that grows at its end.
    fn written_below(&mut self, state: &State, sender: Address, nonce: Nonce) -> Writes {
        let kept = self.written.remove(&sender).unwrap_or_default();
        let mut view = state.view_after(kept);
        if account(&view, sender).nonce > nonce {
            view = state.view();
        }
        let from = account(&view, sender).nonce;
        for (_, waiting) in self.waiting.range((sender, from)..(sender, nonce)) {
            // One that is invalid now is the proposer's to leave out, and so is what follows it.
            if check_transaction(&mut view, &waiting.transaction).is_err() {
                break;
            }
        }
        view.into_writes()
    }
    /// Appends to an account's chain, or puts it in place of one of its links.
    fn link(&mut self, state: &State, new: Waiting) -> Result<(), MempoolError> {
        let (sender, nonce) = (new.transaction.sender(), new.transaction.nonce());
        let before = self.written_below(state, sender, nonce);
        let mut view = state.view_after(before);
        let checked = check_transaction(&mut view, &new.transaction);
        let writes = view.into_writes();
        if let Err(rejection) = checked {
            // After a rejection the view is as it was.
            self.keep_written(sender, writes);
            return Err(rejection.into());
        }
        self.make_room(&new)?;
        let is_replaced = self.waiting.contains_key(&(sender, nonce));
        self.put(new);
        // What follows a replaced one was checked after the other.
        if !is_replaced {
            self.keep_written(sender, writes);
        }
        Ok(())
    }
    /// Links what came early and now follows.
    fn link_early(&mut self, state: &State, sender: Address, linked: Nonce) {
        let mut next = linked.next();
        while let Some(waiting) = self.take_early((sender, next)) {
            let height = waiting.since;
            if self.link(state, waiting).is_err() {
                tracing::debug!(%sender, nonce = %next, %height, "an early transaction is refused");
                return;
            }
            next = next.next();
        }
    }
    fn take_early(&mut self, key: Key) -> Option<Waiting> {
        let waiting = self.early.remove(&key)?;
        self.early_bytes = self.early_bytes.saturating_sub(waiting.bytes_count());
        Some(waiting)
    }
    fn keep_early(&mut self, new: Waiting) {
        let key = (new.transaction.sender(), new.transaction.nonce());
        drop(self.take_early(key));
        self.early_bytes = self.early_bytes.saturating_add(new.bytes_count());
        self.early.insert(key, new);
        let limit = self.limits.early;
        while self.early.len() > limit.count || self.early_bytes > limit.bytes {
            let oldest = self.early.iter().min_by_key(|(_, waiting)| waiting.came);
            let Some(key) = oldest.map(|(key, _)| *key) else {
                return;
            };
            drop(self.take_early(key));
        }
    }
    /// Makes room for a transaction, or says why there is none. Nothing changes then.
    fn make_room(&mut self, new: &Waiting) -> Result<(), MempoolError> {
        let key = (new.transaction.sender(), new.transaction.nonce());
        let mut shared = self.room.shared();
        let mut own = self.room.own(key.0);
        if let Some(old) = self.waiting.get(&key) {
            check_replacement(old, new)?;
            shared.free(&Use::of(old));
            own.free(&Use::of(old));
        }
        own.check(&Use::of(new), &self.limits)?;
        let rate = Rate::of(&new.transaction);
        let mut gone: Vec<Key> = Vec::new();
        let mut ends = self.ends.iter().copied().peekable();
        // Ends of chains that lost theirs.
        let mut shown: BTreeSet<End> = BTreeSet::new();
        while let Err(full) = shared.check(&Use::of(new), &self.limits) {
            let is_shown = match (shown.first(), ends.peek()) {
                (Some(shown), Some(end)) => shown < end,
                (Some(_), None) => true,
                (None, _) => false,
            };
            let lowest = if is_shown {
                shown.pop_first()
            } else {
                ends.next()
            };
            let Some((lowest, _, victim)) = lowest else {
                return Err(full);
            };
            if victim.0 == key.0 {
                continue;
            }
            if new.lane() == Lane::Paid && lowest >= rate {
                return Err(full);
            }
            if let Some(old) = self.waiting.get(&victim) {
                shared.free(&Use::of(old));
            }
            shown.extend(self.end_below(victim));
            gone.push(victim);
        }
        for key in gone {
            self.remove(key);
        }
        Ok(())
    }
    /// Puts a link in its place; there is room.
    fn put(&mut self, new: Waiting) {
        let key = (new.transaction.sender(), new.transaction.nonce());
        self.remove(key);
        self.unmark_end(key.0);
        self.room.take(&Use::of(&new));
        if new.lane() == Lane::Paid {
            self.paid_gas = self.paid_gas.saturating_add(new.gas);
        }
        self.waiting.insert(key, new);
        self.mark_end(key.0);
    }
    fn remove(&mut self, key: Key) {
        self.unmark_end(key.0);
        if let Some(old) = self.waiting.remove(&key) {
            self.room.free(&Use::of(&old));
            if old.lane() == Lane::Paid {
                self.paid_gas = self.paid_gas.saturating_sub(old.gas);
            }
            self.written.remove(&key.0);
        }
        self.mark_end(key.0);
    }
    fn end(&self, sender: Address) -> Option<End> {
        Self::as_end(self.of(sender).next_back()?)
    }
    /// What the chain's end would be without those from this one on.
    fn end_below(&self, (sender, nonce): Key) -> Option<End> {
        let below = self.waiting.range((sender, Nonce::ZERO)..(sender, nonce));
        Self::as_end(below.last()?)
    }
    fn as_end((key, last): (&Key, &Waiting)) -> Option<End> {
        let end = (Rate::of(&last.transaction), Reverse(last.came), *key);
        (last.lane() == Lane::Paid).then_some(end)
    }
    fn mark_end(&mut self, sender: Address) {
        self.ends.extend(self.end(sender));
    }
    fn unmark_end(&mut self, sender: Address) {
        if let Some(end) = self.end(sender) {
            self.ends.remove(&end);
        }
    }
    /// Everything that a proposer could use, as it came.
    #[must_use]
    pub fn candidates(&self) -> Vec<Verified> {
        let mut all: Vec<&Waiting> = self.waiting.values().collect();
        all.sort_unstable_by_key(|waiting| waiting.came);
        let transactions = all.into_iter().map(|waiting| waiting.transaction.clone());
        transactions.collect()
    }
    /// The tip for a million gas that comes before enough others to be among this much paid gas;
    /// nothing while all that waits fits.
    #[must_use]
    pub fn tip_to_be_next(&self, paid_gas_max: u64) -> u64 {
        if self.paid_gas <= paid_gas_max {
            return 0;
        }
        let paid = self.waiting.values().filter(|w| w.lane() == Lane::Paid);
        let mut paid: Vec<(Rate, u64)> = paid.map(|w| (Rate::of(&w.transaction), w.gas)).collect();
        paid.sort_unstable_by_key(|(rate, _)| Reverse(*rate));
        let mut gas = 0_u64;
        let last = paid.into_iter().find(|(_, own)| {
            gas = gas.saturating_add(*own);
            gas > paid_gas_max
        });
        let price = last.map_or(0, |(rate, _)| rate.of_gas(PRICED_GAS));
        price.saturating_add((price / 8).max(1))
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
    /// What waits here under this number; its signature was checked.
    #[must_use]
    pub fn get(&self, sender: Address, nonce: Nonce) -> Option<&Verified> {
        let key = (sender, nonce);
        let waiting = self.waiting.get(&key).or_else(|| self.early.get(&key))?;
        Some(&waiting.transaction)
    }
    /// Forgets what was applied, what has waited too long, and what follows that.
    pub fn retain_valid(&mut self, state: &State, height: Height) {
        let view = state.view();
        self.written.clear();
        let is_old =
            |waiting: &Waiting| height.get().saturating_sub(waiting.since.get()) >= AGE_BLOCKS_MAX;
        let mut gone = Vec::new();
        // The account whose chain is looked at, its number, and whether a link of it is too old.
        let mut chain = None;
        for (key, waiting) in &self.waiting {
            let (at, is_broken) = match chain {
                Some((sender, at, is_broken)) if sender == key.0 => (at, is_broken),
                _ => (account(&view, key.0).nonce, false),
            };
            let is_applied = key.1 < at;
            let is_broken = is_broken || (!is_applied && is_old(waiting));
            chain = Some((key.0, at, is_broken));
            if is_applied || is_broken {
                gone.push(*key);
            }
        }
        for key in gone {
            self.remove(key);
        }
        let is_gone = |(key, waiting): &(&Key, &Waiting)| {
            is_old(waiting) || key.1 < account(&view, key.0).nonce
        };
        let early: Vec<Key> = self
            .early
            .iter()
            .filter(is_gone)
            .map(|(key, _)| *key)
            .collect();
        for key in early {
            drop(self.take_early(key));
        }
    }
}

fn all_of(sender: Address) -> std::ops::RangeInclusive<Key> {
    (sender, Nonce::ZERO)..=(sender, Nonce::new(u64::MAX))
}

/// Whether one may be in place of another.
fn check_replacement(old: &Waiting, new: &Waiting) -> Result<(), MempoolError> {
    if old.lane() == Lane::Duty || new.lane() == Lane::Duty {
        return Ok(());
    }
    let tip = new.transaction.fee().tip;
    let before = old.transaction.fee().tip;
    let needed = before.saturating_add(before.get().div_ceil(8).max(1));
    if tip < needed {
        return Err(MempoolError::TipTooLow { tip, needed });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
