//! Emission: new tokens for work that was verified. Spec: 08-reward §6.
//!
//! A genesis caps the supply for good. A day may make a share of what is missing to the cap; the
//! epoch's part of that is split between miners, auditors, validators and the treasury, and nobody
//! gets more than it earned:
//!
//! * what runs paid a miner, or an auditor, in the epoch is matched, token for token, as far as the
//!   part reaches; a miner's match vests, and is forfeited, as its pay;
//! * a validator has its power's share of the part, times the turns that it took of those it had;
//! * the treasury has a ninth of what the others got.
//!
//! What nobody earned is not made, and stays for later epochs.

use crate::{
    View, account,
    auditor::Verifier,
    bond::{Miner, Status},
    event::Event,
    reward, run,
    staking::{self, epoch::Epoch},
    state::Record,
    validator::Validator,
};
use borsh::{BorshDeserialize, BorshSerialize};
use governance::{parameters::Name, purse, settings};
use protocol::{Address, Amount, Height};

/// What a run paid to a miner for units in this epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct UnitPay(pub Amount);

impl Record for UnitPay {
    const TABLE: u8 = 46;
    type Key = Address;
}

/// What a run paid to an auditor for verdicts in this epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AuditPay(pub Amount);

impl Record for AuditPay {
    const TABLE: u8 = 47;
    type Key = Address;
}

/// Shares of an epoch's tokens, in hundredths.
const MINERS: u128 = 60;
const AUDITORS: u128 = 15;
const VALIDATORS: u128 = 15;

/// Notes what a miner was paid.
pub(crate) fn note_unit(view: &mut View<'_>, miner: Address, paid: Amount) {
    let UnitPay(known) = view.get(&miner).unwrap_or_default();
    view.put(&miner, &UnitPay(known.saturating_add(paid.get())));
}

/// Notes what an auditor was paid.
pub(crate) fn note_audit(view: &mut View<'_>, auditor: Address, paid: Amount) {
    let AuditPay(known) = view.get(&auditor).unwrap_or_default();
    view.put(&auditor, &AuditPay(known.saturating_add(paid.get())));
}

/// The most tokens that an epoch which ends now may make.
#[must_use]
pub fn budget(view: &View<'_>) -> Amount {
    let tip = run::tip(view);
    let made = tip.genesis_supply.saturating_add(tip.minted.get());
    let missing = u128::from(tip.supply_cap.saturating_sub(made.get()).get());
    let parameters = run::parameters(view);
    let blocks = u128::from(parameters.get(Name::EpochBlocks));
    let rate = u128::from(parameters.get(Name::EmissionRate));
    let day = u128::from(settings(view).calendar.day_blocks);
    // Below 2^64 · 10^6 · 10^3, and never more than what is missing.
    let product = missing.saturating_mul(rate).saturating_mul(blocks);
    let budget = product.checked_div(day.saturating_mul(1_000_000));
    let budget = budget.unwrap_or_default().min(missing);
    Amount::new(u64::try_from(budget).unwrap_or(u64::MAX))
}

/// `of · part / whole`, rounded down; 0 of nothing. Below 2^128 for numbers of 64 bits.
fn proportion(of: u128, part: u128, whole: u128) -> u128 {
    let product = of.saturating_mul(part);
    product.checked_div(whole).unwrap_or_default()
}

/// What a payment is matched with, of a part for all payments, which are `whole` together.
fn matched(paid: Amount, part: u128, whole: u128) -> Amount {
    let share = proportion(paid.get().into(), part.min(whole), whole);
    Amount::new(u64::try_from(share).unwrap_or(u64::MAX))
}

/// Makes the tokens that were earned in the epoch that ends with this block.
pub(crate) fn pay(view: &mut View<'_>, height: Height) -> Vec<Event> {
    let budget = budget(view);
    let part = |share: u128| u128::from(budget.get()).saturating_mul(share) / 100;
    let miners = pay_miners(view, part(MINERS), height);
    let auditors = pay_auditors(view, part(AUDITORS));
    let validators = pay_validators(view, part(VALIDATORS));
    let paid = [miners, auditors, validators];
    let paid = paid
        .iter()
        .fold(0_u64, |sum, a| sum.saturating_add(a.get()));
    let treasury = Amount::new(paid.checked_div(9).unwrap_or_default());
    purse::donate(view, treasury);
    let minted = treasury.saturating_add(paid);
    if minted == Amount::ZERO {
        return Vec::new();
    }
    let mut tip = run::tip(view);
    tip.minted = tip.minted.saturating_add(minted.get());
    view.put(&(), &tip);
    vec![Event::Minted {
        miners,
        auditors,
        validators,
        treasury,
    }]
}

fn pay_miners(view: &mut View<'_>, part: u128, height: Height) -> Amount {
    let earned = view.scan::<UnitPay>(&());
    let whole = earned
        .iter()
        .map(|(_, UnitPay(a))| u128::from(a.get()))
        .sum();
    let mut sum = Amount::ZERO;
    for (address, UnitPay(amount)) in earned {
        view.delete::<UnitPay>(&address);
        let Some(mut miner) = view.get::<Miner>(&address) else {
            continue;
        };
        let share = matched(amount, part, whole);
        if matches!(miner.status, Status::Slashed(_)) || share == Amount::ZERO {
            continue;
        }
        miner.earned = miner.earned.saturating_add(share.get());
        reward::lock(view, &mut miner, share, height);
        view.put(&address, &miner);
        sum = sum.saturating_add(share.get());
    }
    sum
}

fn pay_auditors(view: &mut View<'_>, part: u128) -> Amount {
    let earned = view.scan::<AuditPay>(&());
    let whole = earned
        .iter()
        .map(|(_, AuditPay(a))| u128::from(a.get()))
        .sum();
    let mut sum = Amount::ZERO;
    for (address, AuditPay(amount)) in earned {
        view.delete::<AuditPay>(&address);
        let holder = view.get::<Validator>(&address).map(|v| v.holder);
        let verifier = view.get::<Verifier>(&address).map(|_| address);
        let Some(to) = holder.or(verifier) else {
            continue;
        };
        let share = matched(amount, part, whole);
        account::credit(view, to, share);
        sum = sum.saturating_add(share.get());
    }
    sum
}

fn pay_validators(view: &mut View<'_>, part: u128) -> Amount {
    let total = u128::from(Epoch::of(view).power);
    let mut sum = Amount::ZERO;
    for (operator, validator) in view.scan::<Validator>(&()) {
        let turns = validator.turns;
        let due = turns.made.saturating_add(turns.missed);
        let share = proportion(part, validator.power.into(), total);
        let earned = match due {
            0 => share,
            due => proportion(share, turns.made.into(), due.into()),
        };
        let earned = Amount::new(u64::try_from(earned).unwrap_or(u64::MAX));
        if earned > Amount::ZERO {
            staking::reward::give(view, operator, earned);
            sum = sum.saturating_add(earned.get());
        }
    }
    sum
}
