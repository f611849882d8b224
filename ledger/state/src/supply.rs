//! Supply: all tokens, wherever they are; checked against those of genesis, made and burned.

use crate::{
    View,
    account::Account,
    auditor::Verifier,
    bond::Miner,
    proposal,
    run::{self, Run},
    staking::stake::{self, Stake},
    validator::Validator,
};
use protocol::{Address, Amount};
use std::collections::BTreeMap;

/// Tokens in balances, bonds, appeals, vesting, stake and its rewards, unbonding, escrow, deposits
/// and the treasury.
#[must_use]
pub fn total(view: &View<'_>) -> u128 {
    let accounts = view
        .scan::<Account>(&())
        .into_iter()
        .map(|(_, a)| a.balance.get());
    let miners = view.scan::<Miner>(&()).into_iter();
    let locked = |m: &Miner| m.at_risk().saturating_add(m.appealed.get()).get();
    let miners = miners.map(|(_, m)| locked(&m));
    let validators = view
        .scan::<Validator>(&())
        .into_iter()
        .map(|(_, v)| v.stake.saturating_add(v.pot.get()).get());
    let runs = view
        .scan::<Run>(&())
        .into_iter()
        .map(|(_, r)| r.escrow.get());
    let verifiers = view.scan::<Verifier>(&()).into_iter();
    let verifiers = verifiers.map(|(_, verifier)| verifier.bond.get());
    let all = accounts.chain(miners).chain(validators).chain(verifiers);
    let held = proposal::held(view).map(Amount::get);
    let all = all.chain(runs).chain(held);
    let sum = all.fold(0_u128, |sum, amount| sum.saturating_add(amount.into()));
    sum.saturating_add(stake::unbonding_total(view))
}

/// Whether no token was made or lost unsaid: total = genesis + minted − burned, which the cap
/// bounds; and every validator's stake is its stakers'.
#[must_use]
pub fn is_conserved(view: &View<'_>) -> bool {
    let tip = run::tip(view);
    let made = tip.genesis_supply.plus(tip.minted);
    let expected = made.and_then(|made| made.minus(tip.burned));
    let is_capped = made.is_some_and(|made| made <= tip.supply_cap);
    let sum = expected.map(|expected| u128::from(expected.get()));
    is_capped && sum == Some(total(view)) && is_owned(view)
}

/// Whether every validator has as much stake as its stakers together.
fn is_owned(view: &View<'_>) -> bool {
    let mut owned: BTreeMap<Address, u128> = BTreeMap::new();
    for ((operator, _), stake) in view.scan::<Stake>(&()) {
        let sum = owned.entry(operator).or_default();
        *sum = sum.saturating_add(stake.amount.get().into());
    }
    let mut validators = view.scan::<Validator>(&()).into_iter();
    validators.all(|(operator, validator)| {
        u128::from(validator.stake.get()) == owned.get(&operator).copied().unwrap_or_default()
    })
}
