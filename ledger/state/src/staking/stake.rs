//! Stake comes, goes and moves; and is burned wherever it is.

use super::{STAKERS_COUNT_MAX, register, reward, share_up};
use crate::{
    Rejection, View, account,
    event::Event,
    mutant::on,
    run, slash,
    state::Record,
    validator::{Standing, Validator},
};
use borsh::{BorshDeserialize, BorshSerialize};
use governance::{parameters::Name, power, settings, vote};
use protocol::{Address, Amount, Height, Micro};
use std::cmp::Reverse;

/// An account's stake with a validator.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Stake {
    /// Locked tokens.
    pub amount: Amount,
    /// The validator's reward index when rewards were last added up.
    pub reward_index: u128,
    /// Rewards added up and not claimed.
    pub owed: Amount,
    /// Until when stake that came from another validator answers for that one, too, and cannot
    /// move on.
    pub moved_until: Height,
}

impl Record for Stake {
    const TABLE: u8 = 40;
    type Key = (Address, Address);
}

/// Stake on its way to its owner, by the height at which it arrives, validator and owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Unbonding {
    /// How much.
    pub amount: Amount,
    /// When it was taken out: it answers for what the validator signed before.
    pub since: Height,
}

impl Record for Unbonding {
    const TABLE: u8 = 41;
    type Key = (Height, (Address, Address));
}

/// Stake that moved, by the height until which it answers for the validator that it left, that
/// validator, its owner, and the validator where it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Moved {
    /// How much.
    pub amount: Amount,
    /// When it moved.
    pub since: Height,
}

impl Record for Moved {
    const TABLE: u8 = 42;
    type Key = (Height, (Address, (Address, Address)));
}

/// A validator that stake may come to or leave from.
fn open(view: &View<'_>, operator: Address) -> Result<Validator, Rejection> {
    let validator: Validator = view
        .get(&operator)
        .ok_or(Rejection::ValidatorUnknown { operator })?;
    if let Standing::Frozen { slashed_at } = validator.standing {
        return Err(Rejection::ValidatorFrozen {
            operator,
            slashed_at,
        });
    }
    Ok(validator)
}

/// What an account has with a validator.
#[must_use]
pub fn of(view: &View<'_>, operator: Address, owner: Address) -> Stake {
    view.get(&(operator, owner)).unwrap_or_default()
}

/// Stakes tokens of the sender's account.
///
/// # Errors
/// When the validator is unknown, removed or frozen, has too many stakers, the amount is too
/// small, or the balance too low.
pub fn stake(
    view: &mut View<'_>,
    owner: Address,
    operator: Address,
    amount: Amount,
    height: Height,
) -> Result<Vec<Event>, Rejection> {
    may_join(view, operator, owner, amount)?;
    account::debit(view, owner, amount)?;
    add(view, operator, owner, amount);
    power::bond(view, owner, amount.get(), height);
    Ok(vec![Event::Staked {
        owner,
        operator,
        amount,
    }])
}

/// Whether an account may add this much to what it has with a validator.
fn may_join(
    view: &View<'_>,
    operator: Address,
    owner: Address,
    amount: Amount,
) -> Result<(), Rejection> {
    let validator = open(view, operator)?;
    if validator.standing == Standing::Removed {
        return Err(Rejection::ValidatorRemoved { operator });
    }
    let known = of(view, operator, owner).amount;
    let stake_min = Amount::new(run::parameters(view).get(Name::StakeMin));
    let together = known.saturating_add(amount.get());
    if amount == Amount::ZERO || together < stake_min {
        return Err(Rejection::StakeTooSmall {
            stake: together,
            stake_min,
        });
    }
    if known == Amount::ZERO && validator.stakers_count >= STAKERS_COUNT_MAX {
        return Err(Rejection::StakersTooMany {
            operator,
            count: validator.stakers_count,
        });
    }
    Ok(())
}

/// Adds to an account's stake; the caller took the tokens from somewhere.
pub(crate) fn add(view: &mut View<'_>, operator: Address, owner: Address, amount: Amount) {
    let Some(mut validator) = view.get::<Validator>(&operator) else {
        return;
    };
    let mut stake = of(view, operator, owner);
    reward::settle(&validator, &mut stake);
    if stake.amount == Amount::ZERO {
        validator.stakers_count = validator.stakers_count.saturating_add(1);
    }
    stake.amount = stake.amount.saturating_add(amount.get());
    validator.stake = validator.stake.saturating_add(amount.get());
    view.put(&operator, &validator);
    view.put(&(operator, owner), &stake);
}

/// Takes from an account's stake, at most what there is; the caller puts the tokens somewhere.
/// Rewards of stake that is all gone are paid.
fn take(view: &mut View<'_>, operator: Address, owner: Address, amount: Amount) -> Amount {
    let Some(mut validator) = view.get::<Validator>(&operator) else {
        return Amount::ZERO;
    };
    let mut stake = of(view, operator, owner);
    reward::settle(&validator, &mut stake);
    let taken = amount.min(stake.amount);
    if taken == Amount::ZERO {
        return taken;
    }
    stake.amount = stake.amount.saturating_sub(taken.get());
    validator.stake = validator.stake.saturating_sub(taken.get());
    if stake.amount > Amount::ZERO {
        view.put(&operator, &validator);
        view.put(&(operator, owner), &stake);
        return taken;
    }
    validator.stakers_count = validator.stakers_count.saturating_sub(1);
    let paid = stake.owed.min(validator.pot);
    validator.pot = validator.pot.saturating_sub(paid.get());
    view.put(&operator, &validator);
    view.delete::<Stake>(&(operator, owner));
    account::credit(view, owner, paid);
    taken
}

/// Whether an account may take this much out of a validator's stake.
fn may_leave(
    view: &View<'_>,
    operator: Address,
    owner: Address,
    amount: Amount,
) -> Result<(), Rejection> {
    open(view, operator)?;
    let stake = of(view, operator, owner).amount;
    let left = stake.minus(amount).filter(|_| amount > Amount::ZERO);
    let Some(left) = left else {
        return Err(Rejection::StakeTooLow { stake, amount });
    };
    let stake_min = Amount::new(run::parameters(view).get(Name::StakeMin));
    if left > Amount::ZERO && left < stake_min {
        return Err(Rejection::StakeTooSmall {
            stake: left,
            stake_min,
        });
    }
    if let Some(proposal) = vote::bound_by(view, owner) {
        return Err(Rejection::StakeBound { owner, proposal });
    }
    Ok(())
}

/// When stake that leaves at this height is free.
fn free_at(view: &View<'_>, height: Height) -> Height {
    if on("stake is free at once") {
        return height.next();
    }
    let days = run::parameters(view).get(Name::UnbondingDays);
    settings(view).calendar.after(height, days)
}

/// Takes stake out.
///
/// # Errors
/// When there is not so much, too little would be left, a vote binds it, or the validator is
/// frozen.
pub fn unstake(
    view: &mut View<'_>,
    owner: Address,
    operator: Address,
    amount: Amount,
    height: Height,
) -> Result<Vec<Event>, Rejection> {
    may_leave(view, operator, owner, amount)?;
    let amount = take(view, operator, owner, amount);
    power::release(view, owner, amount.get(), height);
    let free_at = free_at(view, height);
    put_unbonding(view, (free_at, (operator, owner)), amount, height);
    Ok(vec![Event::Unstaked {
        owner,
        operator,
        amount,
        free_at,
    }])
}

fn put_unbonding(
    view: &mut View<'_>,
    key: <Unbonding as Record>::Key,
    amount: Amount,
    since: Height,
) {
    let before: Option<Unbonding> = view.get(&key);
    let (known, known_since) = before.map_or((Amount::ZERO, since), |b| (b.amount, b.since));
    let amount = amount.saturating_add(known.get());
    let since = since.min(known_since);
    view.put(&key, &Unbonding { amount, since });
}

/// Moves stake to another validator.
///
/// # Errors
/// As for taking it out and putting it in; and when it moved lately, or to where it is.
pub fn restake(
    view: &mut View<'_>,
    owner: Address,
    (from, to): (Address, Address),
    amount: Amount,
    height: Height,
) -> Result<Vec<Event>, Rejection> {
    let moved_until = of(view, from, owner).moved_until;
    if height <= moved_until {
        return Err(Rejection::StakeMovedBefore {
            owner,
            until: moved_until,
        });
    }
    if from == to {
        return Err(Rejection::StakeMovedNowhere { operator: from });
    }
    may_leave(view, from, owner, amount)?;
    may_join(view, to, owner, amount)?;
    let amount = take(view, from, owner, amount);
    add(view, to, owner, amount);
    let until = free_at(view, height);
    let since = height;
    hold_moved(view, (until, (from, (owner, to))), Moved { amount, since });
    Ok(vec![Event::Restaked {
        owner,
        from,
        to,
        amount,
    }])
}

/// Pays out what is free at this height. What a frozen validator may yet lose waits for its slash,
/// also what moved away from it and what was taken out after that.
pub fn free(view: &mut View<'_>, height: Height) -> Vec<Event> {
    for (key, moved) in view.scan::<Moved>(&height) {
        view.delete::<Moved>(&key);
        let (_, (from, (owner, to))) = key;
        let later = held_until(view, from, height);
        if let Some(later) = later.filter(|_| !on("what moved is forgotten before a slash")) {
            hold_moved(view, (later, (from, (owner, to))), moved);
        }
    }
    let mut events = Vec::new();
    for (key, unbonding) in view.scan::<Unbonding>(&height) {
        view.delete::<Unbonding>(&key);
        let (_, (operator, owner)) = key;
        let Unbonding { amount, since } = unbonding;
        let held = held_until(view, operator, height);
        let later = held.or_else(|| origin_held_until(view, (operator, owner), since, height));
        if let Some(later) = later {
            put_unbonding(view, (later, (operator, owner)), amount, since);
            continue;
        }
        account::credit(view, owner, amount);
        events.push(Event::StakeFreed {
            owner,
            operator,
            amount,
        });
    }
    events
}

/// The block after a frozen validator's slash; nothing if it is not frozen.
fn held_until(view: &View<'_>, operator: Address, height: Height) -> Option<Height> {
    let validator: Validator = view.get(&operator)?;
    let Standing::Frozen { slashed_at } = validator.standing else {
        return None;
    };
    let held = !on("what a frozen validator may lose is freed");
    held.then(|| slashed_at.max(height).next())
}

/// The same of a validator that this stake answers for, because it moved from there before it was
/// taken out.
fn origin_held_until(
    view: &View<'_>,
    (operator, owner): (Address, Address),
    since: Height,
    height: Height,
) -> Option<Height> {
    if on("what moved and left is freed before a slash") {
        return None;
    }
    let all = view.scan::<Moved>(&()).into_iter();
    let own = all
        .filter(|((_, (_, moved)), moving)| *moved == (owner, operator) && moving.since <= since);
    own.filter_map(|((_, (from, _)), _)| held_until(view, from, height))
        .max()
}

/// Keeps in mind that stake moved, for longer; and that it may not move on before.
fn hold_moved(view: &mut View<'_>, key: <Moved as Record>::Key, moved: Moved) {
    let (until, (_, (owner, to))) = key;
    let before: Option<Moved> = view.get(&key);
    let known = before.map_or(0, |before| before.amount.get());
    let since = before.map_or(moved.since, |before| before.since.min(moved.since));
    let amount = moved.amount.saturating_add(known);
    view.put(&key, &Moved { amount, since });
    if let Some(mut stake) = view.get::<Stake>(&(to, owner)) {
        stake.moved_until = stake.moved_until.max(until);
        view.put(&(to, owner), &stake);
    }
}

/// Burns a penalty from what a validator's holder has with it: its stake, of which one token
/// always remains, and what it has taken out. Returns what was taken.
pub(crate) fn fine(view: &mut View<'_>, operator: Address, penalty: Amount) -> Option<Amount> {
    let mut validator: Validator = view.get(&operator)?;
    let holder = validator.holder;
    let own = of(view, operator, holder).amount.saturating_sub(1);
    let taken = take(view, operator, holder, penalty.min(own));
    let now = run::tip(view).height.next();
    power::release(view, holder, taken.get(), now);
    let missing = penalty.saturating_sub(taken.get());
    let unbonding = burn_unbonding(view, (operator, holder), Height::ZERO, missing);
    let burned = taken.saturating_add(unbonding.get());
    validator = view.get(&operator)?;
    validator.fined = validator.fined.saturating_add(burned.get());
    view.put(&operator, &validator);
    slash::burn(view, burned);
    Some(burned)
}

/// Takes up to `missing` from an owner's stake on its way out that was taken out at `since` or
/// later; the last to arrive first.
fn burn_unbonding(
    view: &mut View<'_>,
    who: (Address, Address),
    since: Height,
    missing: Amount,
) -> Amount {
    let mut taken = Amount::ZERO;
    if missing == Amount::ZERO {
        return taken;
    }
    let all = view.scan::<Unbonding>(&()).into_iter().rev();
    for (key, unbonding) in all.filter(|((_, of), u)| *of == who && u.since >= since) {
        let part = missing.saturating_sub(taken.get()).min(unbonding.amount);
        taken = taken.saturating_add(part.get());
        let left = unbonding.amount.saturating_sub(part.get());
        if left == Amount::ZERO {
            view.delete::<Unbonding>(&key);
        } else {
            let since = unbonding.since;
            view.put(
                &key,
                &Unbonding {
                    amount: left,
                    since,
                },
            );
        }
    }
    taken
}

/// Takes a share of everything that was staked with a validator at a height, wherever it is now;
/// returns what was taken. The caller burns it or pays it out.
pub(super) fn slash_all(
    view: &mut View<'_>,
    operator: Address,
    share: Micro,
    infraction: Height,
) -> Amount {
    let now = run::tip(view).height.next();
    let mut taken = Amount::ZERO;
    let mut count = |amount: Amount| taken = taken.saturating_add(amount.get());
    // What moved away or is on its way out was there at the time, if it left later. The last to
    // move first: it has the least to be taken from, for what it left behind it is before it.
    let mut moved = view.scan::<Moved>(&());
    moved.retain(|((_, (from, _)), moved)| *from == operator && moved.since >= infraction);
    moved.retain(|_| !on("what moved is not slashed"));
    if !on("the first to move is slashed first") {
        moved.sort_by_key(|(_, moved)| Reverse(moved.since));
    }
    for ((_, (_, (owner, to))), moved) in moved {
        let lost = share_up(moved.amount, share);
        let part = take(view, to, owner, lost);
        power::release(view, owner, part.get(), now);
        let missing = lost.saturating_sub(part.get());
        count(part);
        count(burn_unbonding(view, (to, owner), moved.since, missing));
    }
    for (key, unbonding) in view.scan::<Unbonding>(&()) {
        let (_, (of, _)) = key;
        let was_there = of == operator && unbonding.since >= infraction;
        if was_there && !on("what is on its way out is not slashed") {
            let lost = share_up(unbonding.amount, share);
            let amount = unbonding.amount.saturating_sub(lost.get());
            let since = unbonding.since;
            view.put(&key, &Unbonding { amount, since });
            count(lost);
        }
    }
    for ((_, owner), stake) in view.scan::<Stake>(&operator) {
        let lost = take(view, operator, owner, share_up(stake.amount, share));
        power::release(view, owner, lost.get(), now);
        count(lost);
    }
    taken
}

/// All tokens that are on their way out.
pub(crate) fn unbonding_total(view: &View<'_>) -> u128 {
    let all = view.scan::<Unbonding>(&()).into_iter();
    all.map(|(_, unbonding)| u128::from(unbonding.amount.get()))
        .sum()
}

/// Whether a holder's own stake is high enough for power.
pub(super) fn has_own(view: &View<'_>, operator: Address, validator: &Validator) -> bool {
    of(view, operator, validator.holder).amount >= register::stake_min(view)
}
