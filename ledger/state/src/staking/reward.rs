//! What stake earns: tips of blocks and the validators' share of new tokens.
//!
//! A validator's rewards are its stakers' in proportion to their stake, less the holder's
//! commission. They are not paid out one by one: `reward_index` is what one token has earned since
//! the validator began, in 2^-64 tokens rounded down, and a stake collects
//! `amount · (index now − index then) / 2^64`, rounded down, whenever its amount changes or its
//! owner asks. What rounding leaves stays in the validator's pot.

use super::{share, stake::Stake};
use crate::{Rejection, View, account, event::Event, validator::Validator};
use protocol::{Address, Amount};

/// Gives a reward to a validator's holder and stakers; the caller took the tokens from somewhere.
pub fn give(view: &mut View<'_>, operator: Address, amount: Amount) {
    let Some(mut validator) = view.get::<Validator>(&operator) else {
        return;
    };
    let commission = share(amount, validator.commission);
    let rest = amount.saturating_sub(commission.get());
    let grown = u128::from(rest.get())
        .checked_shl(64)
        .and_then(|rest| rest.checked_div(u128::from(validator.stake.get())));
    let (paid, kept) = match grown {
        Some(grown) => {
            validator.reward_index = validator.reward_index.saturating_add(grown);
            (commission, rest)
        }
        // Nobody has stake: all of it is the holder's.
        None => (amount, Amount::ZERO),
    };
    validator.pot = validator.pot.saturating_add(kept.get());
    view.put(&operator, &validator);
    account::credit(view, validator.holder, paid);
}

/// Adds up what a stake has earned, before its amount changes.
pub(super) fn settle(validator: &Validator, stake: &mut Stake) {
    let grown = validator.reward_index.saturating_sub(stake.reward_index);
    let gained = u128::from(stake.amount.get()).saturating_mul(grown) >> 64_u32;
    let gained = u64::try_from(gained).unwrap_or(u64::MAX);
    stake.owed = stake.owed.saturating_add(gained);
    stake.reward_index = validator.reward_index;
}

/// What a stake could claim now.
#[must_use]
pub fn claimable(view: &View<'_>, operator: Address, owner: Address) -> Amount {
    let (Some(validator), Some(mut stake)) = (
        view.get::<Validator>(&operator),
        view.get(&(operator, owner)),
    ) else {
        return Amount::ZERO;
    };
    settle(&validator, &mut stake);
    stake.owed.min(validator.pot)
}

/// Pays what a stake has earned.
///
/// # Errors
/// When it has earned nothing.
pub fn claim(
    view: &mut View<'_>,
    owner: Address,
    operator: Address,
) -> Result<Vec<Event>, Rejection> {
    let amount = claimable(view, operator, owner);
    let (Some(mut validator), Some(mut stake)) = (
        view.get::<Validator>(&operator),
        view.get::<Stake>(&(operator, owner)),
    ) else {
        return Err(Rejection::NothingToClaim { owner, operator });
    };
    if amount == Amount::ZERO {
        return Err(Rejection::NothingToClaim { owner, operator });
    }
    settle(&validator, &mut stake);
    stake.owed = stake.owed.saturating_sub(amount.get());
    validator.pot = validator.pot.saturating_sub(amount.get());
    view.put(&operator, &validator);
    view.put(&(operator, owner), &stake);
    account::credit(view, owner, amount);
    Ok(vec![Event::RewardsClaimed {
        owner,
        operator,
        amount,
    }])
}
