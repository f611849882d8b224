//! Absence: a validator that lets its turns pass loses its power until it comes back.
//!
//! What the chain sees of a validator is whether it proposes when it is its turn. Votes are not on
//! it: a certificate holds the quorum that came first, so counting signatures would punish
//! distance.
//! Turns are counted by height, not by round, because a network that is cut in two goes through
//! many rounds of one height with everybody honest; and in one epoch absence never takes away more
//! than a third of the power, so that whoever can delay messages cannot choose who remains.

use super::{epoch::Epoch, stake};
use crate::{
    Rejection, View,
    event::Event,
    run, slash,
    validator::{Standing, Validator},
};
use governance::parameters::Name;
use protocol::{Address, Height, Micro};

/// Counts a turn that a validator took.
pub(crate) fn present(view: &mut View<'_>, operator: Address) {
    if let Some(mut validator) = view.get::<Validator>(&operator) {
        validator.turns.made = validator.turns.made.saturating_add(1);
        validator.turns.missed_in_a_row = 0;
        view.put(&operator, &validator);
    }
}

/// Counts a height at which a validator let its turn pass; jails it after too many.
pub(crate) fn absent(view: &mut View<'_>, operator: Address, height: Height) -> Option<Event> {
    let mut validator: Validator = view.get(&operator)?;
    validator.turns.missed = validator.turns.missed.saturating_add(1);
    validator.turns.missed_in_a_row = validator.turns.missed_in_a_row.saturating_add(1);
    view.put(&operator, &validator);
    let parameters = run::parameters(view);
    if validator.turns.missed_in_a_row < parameters.get(Name::JailTurns) {
        return None;
    }
    let mut epoch = Epoch::of(view);
    let jailed = epoch.jailed.saturating_add(validator.power);
    let is_too_much = u128::from(jailed).saturating_mul(3) > u128::from(epoch.power);
    if validator.power == 0 || is_too_much {
        return None;
    }
    epoch.jailed = jailed;
    view.put(&(), &epoch);
    let until = height.saturating_add(parameters.get(Name::JailBlocks));
    validator.power = 0;
    validator.standing = Standing::Jailed { until };
    validator.turns.missed_in_a_row = 0;
    view.put(&operator, &validator);
    let share = Micro::new(parameters.get(Name::DowntimeSlash));
    let burned = stake::slash_all(view, operator, share, height);
    slash::burn(view, burned);
    Some(Event::ValidatorJailed {
        operator,
        until,
        burned,
    })
}

/// Lets a jailed validator have power again from the next epoch on.
///
/// # Errors
/// When it is not jailed, it is too early, its holder has too little stake, or the sender is
/// neither its operator nor its holder.
pub fn release(
    view: &mut View<'_>,
    sender: Address,
    operator: Address,
    height: Height,
) -> Result<Vec<Event>, Rejection> {
    let mut validator: Validator = view
        .get(&operator)
        .ok_or(Rejection::ValidatorUnknown { operator })?;
    if sender != operator && sender != validator.holder {
        return Err(Rejection::NotHolder { operator, sender });
    }
    let Standing::Jailed { until } = validator.standing else {
        return Err(Rejection::NotJailed { operator });
    };
    if height < until {
        return Err(Rejection::JailedStill { height, until });
    }
    if !stake::has_own(view, operator, &validator) {
        return Err(Rejection::StakeTooSmall {
            stake: stake::of(view, operator, validator.holder).amount,
            stake_min: super::register::stake_min(view),
        });
    }
    validator.standing = Standing::Bonded;
    view.put(&operator, &validator);
    Ok(vec![Event::ValidatorReleased { operator }])
}
