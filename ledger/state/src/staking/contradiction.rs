//! Contradiction: a validator that signed two messages of one place is frozen at once, and slashed
//! after some days, in which a vote may cancel the slash: a fault of the program is nobody's crime.
//!
//! The slash grows with how many contradict themselves at a time: three times their share of all
//! power within the unbonding period, and at least the parameter's. One that runs two copies by
//! mistake loses little; a third of all power that attacks together loses everything.

use super::{rotation, stake};
use crate::{
    Rejection, View, account,
    event::Event,
    mutant::on,
    run, slash,
    state::Record,
    validator::{self, Standing, Validator},
};
use borsh::{BorshDeserialize, BorshSerialize};
use governance::{parameters::Name, settings};
use protocol::{Address, Height, Micro, vote::DoubleSign};

/// A slash that is due, by its height and the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Pending {
    /// The height for which it signed twice.
    pub infraction: Height,
    /// When that was shown.
    pub since: Height,
    /// Who showed it.
    pub reporter: Address,
}

impl Record for Pending {
    const TABLE: u8 = 44;
    type Key = (Height, Address);
}

/// The share of all power that contradicted itself, by when that was shown, and operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Contradicted {
    /// In millionths, rounded up.
    pub power: Micro,
}

impl Record for Contradicted {
    const TABLE: u8 = 45;
    type Key = (Height, Address);
}

/// Up to which height a vote forgave what a validator signed, by operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Forgiven {
    /// When what it forgave was shown. Since then the validator signed nothing.
    pub through: Height,
}

impl Record for Forgiven {
    const TABLE: u8 = 51;
    type Key = Address;
}

/// Up to which height, if at all, this validator's contradictions are forgiven.
#[must_use]
pub fn forgiven(view: &View<'_>, operator: Address) -> Option<Height> {
    let forgiven: Option<Forgiven> = view.get(&operator);
    forgiven.map(|forgiven| forgiven.through)
}

/// The lowest height for which a contradiction can still be shown in a block of this height.
#[must_use]
pub fn oldest(view: &View<'_>, height: Height) -> Height {
    let days = run::parameters(view).get(Name::UnbondingDays);
    let calendar = settings(view).calendar;
    calendar.before(height, days.saturating_sub(1))
}

/// Freezes the signer of two messages.
///
/// # Errors
/// When they prove nothing, are too old, forgiven or not yet due, or their signer is no validator
/// or out already.
pub fn report(
    view: &mut View<'_>,
    reporter: Address,
    evidence: &DoubleSign,
    height: Height,
) -> Result<Vec<Event>, Rejection> {
    let key = evidence.signer();
    let operator = rotation::operator_of(view, key).unwrap_or(key);
    let mut validator: Validator = view
        .get(&operator)
        .ok_or(Rejection::ValidatorUnknown { operator })?;
    validator.check_in(operator)?;
    let (parameters, calendar) = (run::parameters(view), settings(view).calendar);
    let oldest = oldest(view, height);
    let infraction = evidence.height();
    if infraction < oldest || infraction > height {
        return Err(Rejection::EvidenceOld {
            found: infraction,
            oldest,
            newest: height,
        });
    }
    if let Some(through) = forgiven(view, operator)
        && infraction <= through
    {
        return Err(Rejection::EvidenceForgiven {
            found: infraction,
            through,
        });
    }
    let owned: Option<rotation::Owned> = view.get(&key);
    if let Some(last) = owned.and_then(|owned| owned.last_height())
        && infraction > last
    {
        return Err(Rejection::KeyRetired { key, last });
    }
    let proven = evidence.verify(run::tip(view).chain);
    proven.map_err(|reason| Rejection::EvidenceUnproven { operator, reason })?;
    let powers = validator::powers(view);
    let total = powers
        .iter()
        .fold(0_u64, |sum, (_, power)| sum.saturating_add(*power));
    let power = share_of(validator.power, total);
    view.put(&(height, operator), &Contradicted { power });
    let slashed_at = calendar.after(height, parameters.get(Name::SlashDelayDays));
    // Somebody must be left to decide blocks.
    if validator.power < total && !on("who is frozen keeps its power") {
        validator.power = 0;
    }
    validator.standing = Standing::Frozen { slashed_at };
    view.put(&operator, &validator);
    let pending = Pending {
        infraction,
        since: height,
        reporter,
    };
    view.put(&(slashed_at, operator), &pending);
    Ok(vec![Event::ValidatorFrozen {
        operator,
        infraction,
        slashed_at,
    }])
}

fn share_of(power: u64, total: u64) -> Micro {
    let scaled = u128::from(power).saturating_mul(1_000_000);
    let share = match total {
        0 => 0,
        total => scaled.div_ceil(u128::from(total)),
    };
    Micro::new(u64::try_from(share).unwrap_or(u64::MAX))
}

/// What a contradiction that was shown at a height costs, in millionths of the stake.
#[must_use]
pub fn penalty(view: &View<'_>, since: Height) -> Micro {
    let parameters = run::parameters(view);
    let calendar = settings(view).calendar;
    let window = parameters.get(Name::UnbondingDays);
    let (from, to) = (
        calendar.before(since, window),
        calendar.after(since, window),
    );
    let near = view.scan::<Contradicted>(&()).into_iter();
    let near = near.filter(|((at, _), _)| (from..=to).contains(at));
    let share = near.fold(0_u64, |sum, (_, one)| sum.saturating_add(one.power.get()));
    let least = parameters.get(Name::DoubleSignSlash);
    Micro::new(share.saturating_mul(3).max(least).min(1_000_000))
}

/// Applies the slashes that are due at this height.
pub(crate) fn apply_due(view: &mut View<'_>, height: Height) -> Vec<Event> {
    let due = view.scan::<Pending>(&height);
    let apply = |((_, operator), pending)| apply_one(view, operator, pending, height);
    due.into_iter().filter_map(apply).collect()
}

fn apply_one(
    view: &mut View<'_>,
    operator: Address,
    pending: Pending,
    height: Height,
) -> Option<Event> {
    view.delete::<Pending>(&(height, operator));
    let share = penalty(view, pending.since);
    let taken = stake::slash_all(view, operator, share, pending.infraction);
    let finders = Micro::new(run::parameters(view).get(Name::WhistleBlower));
    let bounty = super::share(taken, finders);
    account::credit(view, pending.reporter, bounty);
    let burned = taken.saturating_sub(bounty.get());
    if !on("a slash burns nothing") {
        slash::burn(view, burned);
    }
    let mut validator: Validator = view.get(&operator)?;
    validator.standing = Standing::Removed;
    validator.fined = validator.fined.saturating_add(taken.get());
    view.put(&operator, &validator);
    Some(Event::ValidatorSlashed {
        operator,
        share,
        burned,
        bounty,
    })
}

/// Takes back a slash that is not applied yet; the validator is jailed, and may come back at once.
/// What it signed until it was frozen is forgiven: a program that signs twice once does so again,
/// and the same evidence would undo the vote.
pub(crate) fn cancel(view: &mut View<'_>, operator: Address) -> bool {
    let Some(mut validator) = view.get::<Validator>(&operator) else {
        return false;
    };
    let Standing::Frozen { slashed_at } = validator.standing else {
        return false;
    };
    let pending: Option<Pending> = view.get(&(slashed_at, operator));
    if let Some(pending) = pending {
        view.delete::<Pending>(&(slashed_at, operator));
        view.delete::<Contradicted>(&(pending.since, operator));
        let through = pending.since;
        view.put(&operator, &Forgiven { through });
    }
    let until = run::tip(view).height.next();
    validator.standing = Standing::Jailed { until };
    view.put(&operator, &validator);
    true
}
