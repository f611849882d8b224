//! Supply: all tokens, wherever they are; checked against genesis less burned.

use crate::{
    View,
    account::Account,
    auditor::Verifier,
    bond::Miner,
    proposal,
    run::{self, Run},
    validator::Validator,
};
use protocol::Amount;

/// Tokens in balances, bonds, appeals, vesting, stake, escrow, deposits and the treasury.
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
        .map(|(_, v)| v.stake.get());
    let runs = view
        .scan::<Run>(&())
        .into_iter()
        .map(|(_, r)| r.escrow.get());
    let verifiers = view.scan::<Verifier>(&()).into_iter();
    let verifiers = verifiers.map(|(_, verifier)| verifier.bond.get());
    let all = accounts.chain(miners).chain(validators).chain(verifiers);
    let held = proposal::held(view).map(Amount::get);
    let all = all.chain(runs).chain(held);
    all.fold(0, |sum, amount| sum.saturating_add(u128::from(amount)))
}

/// Whether no token was made or lost: total = genesis − burned.
#[must_use]
pub fn is_conserved(view: &View<'_>) -> bool {
    let tip = run::tip(view);
    let expected = tip.genesis_supply.get().checked_sub(tip.burned.get());
    expected.map(u128::from) == Some(total(view))
}
