//! Stake becomes power, at the end of every epoch.
//!
//! The validators with the most stake have power, at most as many as the parameter says; each as
//! much as its stake, but no more than a share of the sum: with stakes s and a cap c, the powers
//! are min(s, x) for the largest x with x ≤ c · Σ min(s, x). Where there are so few that the cap
//! would only make them equal, it is two of their number instead: of four, each has at most half.

use super::stake;
use crate::{
    View, run,
    state::Record,
    validator::{Standing, Validator},
};
use borsh::{BorshDeserialize, BorshSerialize};
use governance::parameters::Name;
use protocol::{Address, Height};

/// What the epoch under way began with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Epoch {
    /// All power.
    pub power: u64,
    /// Power that absence has taken away since.
    pub jailed: u64,
}

impl Record for Epoch {
    const TABLE: u8 = 43;
    type Key = ();
}

impl Epoch {
    /// The one under way.
    #[must_use]
    pub fn of(view: &View<'_>) -> Self {
        view.get(&()).unwrap_or_default()
    }
}

/// Whether an epoch ends with this block.
#[must_use]
pub fn ends(view: &View<'_>, height: Height) -> bool {
    let blocks = run::parameters(view).get(Name::EpochBlocks);
    height.get().checked_rem(blocks) == Some(0)
}

/// Gives everybody the power that its stake has earned. If nobody had any, all keep what they
/// have: a chain without power could not go on.
pub(crate) fn turn(view: &mut View<'_>, height: Height) {
    let all = view.scan::<Validator>(&());
    let mut chosen: Vec<(Address, u64)> = all
        .iter()
        .filter(|(operator, validator)| {
            validator.standing == Standing::Bonded
                && validator.eligible_from <= height
                && stake::has_own(view, *operator, validator)
        })
        .map(|(operator, validator)| (*operator, validator.stake.get()))
        .collect();
    chosen.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    let parameters = run::parameters(view);
    let count_max = usize::try_from(parameters.get(Name::ValidatorsMax)).unwrap_or(usize::MAX);
    chosen.truncate(count_max);
    let powers: Vec<u64> = chosen.iter().map(|(_, stake)| *stake).collect();
    let most = largest(&powers, parameters.get(Name::PowerCap));
    for entry in &mut chosen {
        entry.1 = entry.1.min(most);
    }
    let all = if chosen.is_empty() { Vec::new() } else { all };
    for (operator, mut validator) in all {
        let found = chosen.iter().find(|(chosen, _)| *chosen == operator);
        validator.power = found.map_or(0, |(_, power)| *power);
        validator.turns.made = 0;
        validator.turns.missed = 0;
        view.put(&operator, &validator);
    }
    begin(view);
}

/// Notes the power with which an epoch begins.
pub(crate) fn begin(view: &mut View<'_>) {
    let powers = crate::validator::powers(view);
    let sum = |sum: u64, (_, power): &(Address, u64)| sum.saturating_add(*power);
    let power = powers.iter().fold(0, sum);
    view.put(&(), &Epoch { power, jailed: 0 });
}

/// The largest power that any of these stakes gives, which descend; `cap` in millionths.
#[must_use]
pub fn largest(stakes: &[u64], cap: u64) -> u64 {
    let count = u64::try_from(stakes.len()).unwrap_or(u64::MAX);
    let few = 2_000_000_u64.checked_div(count).unwrap_or(1_000_000);
    let cap = u128::from(cap.max(few).min(1_000_000));
    let mut rest: u128 = stakes.iter().map(|stake| u128::from(*stake)).sum();
    for (capped, stake) in (0_u128..).zip(stakes) {
        // With the largest `capped` of them at x: x = cap · (capped · x + rest).
        let stake = u128::from(*stake);
        let free = 1_000_000_u128.saturating_sub(cap.saturating_mul(capped));
        let most = cap.saturating_mul(rest).checked_div(free);
        match most {
            Some(most) if stake > most => rest = rest.saturating_sub(stake),
            Some(most) => return u64::try_from(most).unwrap_or(u64::MAX).max(1),
            None => break,
        }
    }
    u64::MAX
}
