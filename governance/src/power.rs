//! Power: aged stake, and what others entrust, as it was when voting began.
//!
//! Stake counts once it has been bonded for [`AGE_DAYS`]. Votes read it at a proposal's snapshot,
//! the block before voting began, so neither a loan nor a transfer during the vote moves a count.
//! Histories stay short: an entry is kept only while it is the newest or answers for a snapshot
//! that is still voted on. Stake leaves youngest first, so that waiting cannot be gamed.

use crate::{
    Refusal,
    calendar::AGE_DAYS,
    event::Event,
    mutant::on,
    proposal::live,
    settings,
    store::{Records, Store, records},
};
use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{Address, Height, proposal::Track};
use std::collections::BTreeMap;

/// Parcels of young stake that are told apart; more join the youngest and wait with it.
pub const YOUNG_COUNT_MAX: usize = 16;

/// Values by the height from which they hold.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct History<T>(Vec<(Height, T)>);

impl<T> Default for History<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Copy + PartialEq + Default> History<T> {
    /// The value at the end of a block.
    #[must_use]
    pub fn at(&self, height: Height) -> T {
        let known = self.0.iter().rev();
        let found = known.into_iter().find(|(from, _)| *from <= height);
        found.map(|(_, value)| *value).unwrap_or_default()
    }
    /// The newest value.
    #[must_use]
    pub fn newest(&self) -> T {
        self.0.last().map(|(_, value)| *value).unwrap_or_default()
    }
    /// Sets the value from `now` on and drops what no vote can ask for.
    fn set(&mut self, now: Height, value: T, snapshots: &BTreeMap<Height, u64>) {
        self.0.retain(|(from, _)| *from != now);
        self.0.push((now, value));
        let mut kept = Vec::with_capacity(self.0.len());
        let ends = self.0.iter().skip(1).map(|(from, _)| *from);
        for ((from, value), end) in self.0.iter().zip(ends.map(Some).chain([None])) {
            let is_asked = end.is_none_or(|end| {
                // A vote may begin in this block and ask for the block before.
                end == now || snapshots.range(*from..end).next().is_some()
            });
            if is_asked {
                kept.push((*from, *value));
            }
        }
        self.0 = kept;
    }
    /// Entries kept.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }
    /// Whether it was never set.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A holder's stake.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Stake {
    /// Stake that votes.
    pub aged: History<u64>,
    /// Stake that does not yet, with the height from which it will, oldest first.
    pub young: Vec<(Height, u64)>,
}

/// All stake that votes.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Total(pub History<u64>);

/// A note that a holder's stake comes of age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Ageing;

/// Whom a holder lets vote on a track.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Delegation(pub History<Option<Address>>);

/// Aged stake that others let an account vote with on a track.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Entrusted(pub History<u64>);

records! {
    10 Stake: Address;
    11 Total: ();
    12 Ageing: (Height, Address);
    13 Delegation: (Address, Track);
    14 Entrusted: (Address, Track);
}

/// A holder's voting stake at the end of a block.
#[must_use]
pub fn own(store: &impl Store, holder: Address, at: Height) -> u64 {
    let stake: Stake = store.get(&holder).unwrap_or_default();
    if on("powers are read when the vote is cast") {
        return stake.aged.newest();
    }
    stake.aged.at(at)
}

/// All voting stake at the end of a block.
#[must_use]
pub fn eligible(store: &impl Store, at: Height) -> u64 {
    store.get::<Total>(&()).unwrap_or_default().0.at(at)
}

/// What others entrust to an account at the end of a block.
#[must_use]
pub fn entrusted(store: &impl Store, to: Address, track: Track, at: Height) -> u64 {
    let entrusted: Option<Entrusted> = store.get(&(to, track));
    entrusted.map_or(0, |entrusted| entrusted.0.at(at))
}

/// Whom a holder lets vote on a track, as it was at the end of a block.
#[must_use]
pub fn delegate_of(
    store: &impl Store,
    holder: Address,
    track: Track,
    at: Height,
) -> Option<Address> {
    let delegation: Option<Delegation> = store.get(&(holder, track));
    delegation.and_then(|delegation| delegation.0.at(at))
}

/// Stake that exists since genesis and votes at once.
pub fn found(store: &mut impl Store, holder: Address, amount: u64) {
    change_aged(store, holder, Height::ZERO, |aged| {
        aged.saturating_add(amount)
    });
}

/// Stake was bonded; it votes once it is of age. The steward's never does.
pub fn bond(store: &mut impl Store, holder: Address, amount: u64, now: Height) {
    if amount == 0 {
        return;
    }
    let settings = settings(store);
    let mut stake: Stake = store.get(&holder).unwrap_or_default();
    let due = settings.calendar.after(now, AGE_DAYS).max(now.next());
    if stake.young.len() >= YOUNG_COUNT_MAX
        && let Some(youngest) = stake.young.last_mut()
    {
        store.delete::<Ageing>(&(youngest.0, holder));
        *youngest = (due, youngest.1.saturating_add(amount));
    } else {
        stake.young.push((due, amount));
    }
    store.put(&(due, holder), &Ageing);
    store.put(&holder, &stake);
}

/// Stake left or was slashed, youngest first.
pub fn release(store: &mut impl Store, holder: Address, amount: u64, now: Height) {
    let mut stake: Stake = store.get(&holder).unwrap_or_default();
    let mut left = amount;
    while left > 0
        && let Some((due, young)) = stake.young.pop()
    {
        let taken = young.min(left);
        left = left.saturating_sub(taken);
        if young > taken {
            stake.young.push((due, young.saturating_sub(taken)));
        }
    }
    store.put(&holder, &stake);
    if left > 0 {
        change_aged(store, holder, now, |aged| aged.saturating_sub(left));
    }
}

/// Makes what comes of age at this height vote.
pub fn age(store: &mut impl Store, now: Height) {
    for ((due, holder), Ageing) in store.scan::<Ageing>(&now) {
        store.delete::<Ageing>(&(due, holder));
        let mut stake: Stake = store.get(&holder).unwrap_or_default();
        let of_age = stake.young.iter().filter(|(due, _)| *due <= now);
        let amount = of_age.fold(0, |sum: u64, (_, amount)| sum.saturating_add(*amount));
        stake.young.retain(|(due, _)| *due > now);
        store.put(&holder, &stake);
        change_aged(store, holder, now, |aged| aged.saturating_add(amount));
    }
}

/// Changes a holder's voting stake, the total, and what its delegates vote with.
fn change_aged(
    store: &mut impl Store,
    holder: Address,
    now: Height,
    change: impl FnOnce(u64) -> u64,
) {
    let settings = settings(store);
    if settings.steward == Some(holder) {
        return;
    }
    let snapshots = live(store).snapshots;
    let mut stake: Stake = store.get(&holder).unwrap_or_default();
    let before = stake.aged.newest();
    let after = change(before);
    stake.aged.set(now, after, &snapshots);
    store.put(&holder, &stake);
    let moved = |value: u64| value.saturating_sub(before).saturating_add(after);
    let mut total: Total = store.get(&()).unwrap_or_default();
    total.0.set(now, moved(total.0.newest()), &snapshots);
    store.put(&(), &total);
    for track in Track::ALL {
        if let Some(to) = delegate_of(store, holder, *track, now) {
            let mut entrusted: Entrusted = store.get(&(to, *track)).unwrap_or_default();
            entrusted
                .0
                .set(now, moved(entrusted.0.newest()), &snapshots);
            store.put(&(to, *track), &entrusted);
        }
    }
}

/// Lets another account vote on a track, or nobody. It counts for votes that begin later.
///
/// # Errors
/// When the holder names itself, or holds nothing.
pub fn delegate(
    store: &mut impl Store,
    holder: Address,
    track: Track,
    to: Option<Address>,
    now: Height,
) -> Result<Vec<Event>, Refusal> {
    if to == Some(holder) {
        return Err(Refusal::DelegateSelf { holder });
    }
    let stake: Stake = store.get(&holder).unwrap_or_default();
    if stake.aged.newest() == 0 && stake.young.is_empty() {
        return Err(Refusal::NoVotingPower { sender: holder });
    }
    let snapshots = live(store).snapshots;
    let mut delegation: Delegation = store.get(&(holder, track)).unwrap_or_default();
    let (before, power) = (delegation.0.newest(), stake.aged.newest());
    delegation.0.set(now, to, &snapshots);
    store.put(&(holder, track), &delegation);
    if let Some(before) = before {
        let mut entrusted: Entrusted = store.get(&(before, track)).unwrap_or_default();
        let less = entrusted.0.newest().saturating_sub(power);
        entrusted.0.set(now, less, &snapshots);
        store.put(&(before, track), &entrusted);
    }
    if let Some(to) = to {
        let mut entrusted: Entrusted = store.get(&(to, track)).unwrap_or_default();
        let more = entrusted.0.newest().saturating_add(power);
        entrusted.0.set(now, more, &snapshots);
        store.put(&(to, track), &entrusted);
    }
    Ok(vec![Event::Delegated { holder, track, to }])
}
