//! Money that governance holds: deposits, and the treasury with what left it lately.
//!
//! Whatever vote allows it, the treasury pays at most a tenth of itself in any thirty days. Days
//! are counted in whole buckets, one more than thirty, so that every window of thirty days lies
//! within the buckets: with S spent in them and B left, a payment a needs S + a ≤ (B + S) / 10.

use crate::{
    Refusal, Share,
    mutant::on,
    settings,
    store::{Records, Store, records},
    world::World,
};
use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{Address, Amount, Height, proposal::Track};
use std::collections::BTreeMap;

/// Days of the rolling window.
pub const WINDOW_DAYS: u64 = 30;
/// Share of the treasury that may leave in a window.
pub const WINDOW: Share = Share::new(1, 10);
/// Largest share of the treasury that a track may pay, by track.
pub const TIERS: [(Track, Share); 3] = [
    (Track::TreasurySmall, Share::new(1, 1000)),
    (Track::TreasuryMedium, Share::new(1, 100)),
    (Track::TreasuryLarge, Share::new(1, 20)),
];

/// What governance holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Purse {
    /// Deposits of proposals whose vote is not over.
    pub deposits: Amount,
    /// The treasury.
    pub treasury: Amount,
    /// What left the treasury, by day, for the days of the window.
    pub outflows: BTreeMap<u64, Amount>,
}

records! { 20 Purse: (); }

/// What governance holds.
#[must_use]
pub fn purse(store: &impl Store) -> Purse {
    store.get(&()).unwrap_or_default()
}

impl Purse {
    /// What left the treasury in the window that ends today.
    #[must_use]
    pub fn spent(&self, today: u64) -> u64 {
        let from = today.saturating_sub(WINDOW_DAYS);
        let recent = self.outflows.range(from..);
        recent.fold(0, |sum: u64, (_, amount)| sum.saturating_add(amount.get()))
    }
    /// What may still leave it today.
    #[must_use]
    pub fn left(&self, today: u64) -> u64 {
        let spent = self.spent(today);
        WINDOW
            .of(self.treasury.get().saturating_add(spent))
            .saturating_sub(spent)
    }
}

/// The track that an outflow needs.
///
/// # Errors
/// When no track may pay so much.
pub fn tier(treasury: Amount, outflow: Amount) -> Result<Track, Refusal> {
    let limit = |share: Share| share.of(treasury.get());
    let found = TIERS
        .iter()
        .find(|(_, share)| outflow.get() <= limit(*share));
    let [.., (_, largest)] = TIERS;
    found
        .map(|(track, _)| *track)
        .ok_or_else(|| Refusal::SpendTooLarge {
            amount: outflow,
            amount_max: Amount::new(limit(largest)),
        })
}

/// Takes money out of the treasury.
///
/// # Errors
/// When the window has no room for it.
pub fn withdraw(store: &mut impl Store, amount: Amount, now: Height) -> Result<(), Refusal> {
    let mut purse = purse(store);
    let today = settings(store).calendar.day(now);
    let left = purse.left(today);
    if amount.get() > left && !on("the treasury has no window") {
        let left = Amount::new(left);
        return Err(Refusal::TreasuryWindow { amount, left });
    }
    if !on("spending does not debit the treasury") {
        purse.treasury = purse.treasury.saturating_sub(amount.get());
    }
    purse
        .outflows
        .retain(|day, _| *day >= today.saturating_sub(WINDOW_DAYS));
    let spent = purse.outflows.entry(today).or_default();
    *spent = spent.saturating_add(amount.get());
    store.put(&(), &purse);
    Ok(())
}

/// Puts money into the treasury.
pub fn donate(store: &mut impl Store, amount: Amount) {
    let mut purse = purse(store);
    purse.treasury = purse.treasury.saturating_add(amount.get());
    store.put(&(), &purse);
}

/// Takes a deposit from an account.
///
/// # Errors
/// When its balance is too low.
pub fn hold(world: &mut impl World, from: Address, amount: Amount) -> Result<(), Refusal> {
    let balance = world.balance(from);
    let rest = balance.minus(amount).ok_or(Refusal::DepositUnfunded {
        balance,
        needed: amount,
    })?;
    world.set_balance(from, rest);
    let mut purse = purse(world);
    purse.deposits = purse.deposits.saturating_add(amount.get());
    world.put(&(), &purse);
    Ok(())
}

/// Takes a deposit out of the purse; the caller gives it to somebody or burns it.
pub fn unhold(store: &mut impl Store, amount: Amount) {
    let mut purse = purse(store);
    purse.deposits = purse.deposits.saturating_sub(amount.get());
    store.put(&(), &purse);
}

/// Adds to an account.
pub fn give(world: &mut impl World, to: Address, amount: Amount) {
    let balance = world.balance(to).saturating_add(amount.get());
    world.set_balance(to, balance);
}
