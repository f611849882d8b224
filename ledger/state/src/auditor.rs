//! Auditors: validators by their stake, and verifiers, who audit and do nothing else, by a bond.
//!
//! Both are drawn in proportion to what they have locked, are paid for every verdict, and lose for
//! silence and for verdicts that are overturned.

use crate::{
    Rejection, View, account, bond, event::Event, slash, staking, state::Record,
    task::BEACON_DELAY_BLOCKS, validator::Validator,
};
use borsh::{BorshDeserialize, BorshSerialize};
use governance::parameters::Name;
use protocol::{Address, Amount, Height, vrf::Public};

/// A verifier, named by its account.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Verifier {
    /// Locked tokens.
    pub bond: Amount,
    /// Its key of verifiable randomness.
    pub vrf: Public,
    /// First height whose beacon may draw it: nobody chooses a key to suit a beacon.
    pub eligible_from: Height,
    /// Whether it asked for its bond; it is not drawn any more.
    pub is_leaving: bool,
    /// Verdicts revealed.
    pub audits_count: u64,
    /// Paid for audits in all, bounties included.
    pub earned: Amount,
    /// Fined in all.
    pub fined: Amount,
}

impl Record for Verifier {
    const TABLE: u8 = 20;
    type Key = Address;
}

/// Whoever may judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Auditor {
    /// The key that signs its verdicts.
    pub address: Address,
    /// Who is paid.
    pub holder: Address,
    /// What it has locked.
    pub power: u64,
    /// Its key of verifiable randomness.
    pub vrf: Public,
    /// First height whose beacon may draw it.
    pub eligible_from: Height,
}

fn of_validator((address, validator): (Address, Validator)) -> Auditor {
    Auditor {
        address,
        holder: validator.holder,
        power: validator.power,
        vrf: validator.vrf,
        eligible_from: validator.eligible_from,
    }
}

fn of_verifier((address, verifier): (Address, Verifier)) -> Auditor {
    Auditor {
        address,
        holder: address,
        power: verifier.bond.get(),
        vrf: verifier.vrf,
        eligible_from: verifier.eligible_from,
    }
}

/// All auditors that the beacon of this height may draw, by address.
#[must_use]
pub fn all(view: &View<'_>, beacon_at: Height) -> Vec<Auditor> {
    let validators = view.scan::<Validator>(&()).into_iter().map(of_validator);
    let verifiers = view.scan::<Verifier>(&()).into_iter();
    let staying = verifiers.filter(|(_, verifier)| !verifier.is_leaving);
    let mut all: Vec<Auditor> = validators.chain(staying.map(of_verifier)).collect();
    all.retain(|auditor| auditor.power > 0 && auditor.eligible_from <= beacon_at);
    all.sort_unstable_by_key(|auditor| auditor.address);
    all
}

/// Becomes a verifier.
///
/// # Errors
/// When the sender audits already, the key is none, or bond or balance are too low.
pub fn register(
    view: &mut View<'_>,
    sender: Address,
    (bond, vrf): (Amount, Public),
    height: Height,
) -> Result<Vec<Event>, Rejection> {
    let audits = view.get::<Validator>(&sender).is_some();
    if audits || view.get::<Verifier>(&sender).is_some() {
        return Err(Rejection::AlreadyAuditor { sender });
    }
    bond::lock(view, sender, (bond, vrf), Name::VerifierBondMin)?;
    let verifier = Verifier {
        bond,
        vrf,
        eligible_from: height.saturating_add(BEACON_DELAY_BLOCKS),
        is_leaving: false,
        audits_count: 0,
        earned: Amount::ZERO,
        fined: Amount::ZERO,
    };
    view.put(&sender, &verifier);
    Ok(vec![Event::VerifierRegistered {
        verifier: sender,
        bond,
    }])
}

/// Credits an auditor's holder, and counts what it did for it.
pub(crate) fn pay(view: &mut View<'_>, address: Address, amount: Amount, audits_count: u64) {
    if let Some(mut validator) = view.get::<Validator>(&address) {
        validator.audits_count = validator.audits_count.saturating_add(audits_count);
        validator.earned = validator.earned.saturating_add(amount.get());
        view.put(&address, &validator);
        account::credit(view, validator.holder, amount);
    } else if let Some(mut verifier) = view.get::<Verifier>(&address) {
        verifier.audits_count = verifier.audits_count.saturating_add(audits_count);
        verifier.earned = verifier.earned.saturating_add(amount.get());
        view.put(&address, &verifier);
        account::credit(view, address, amount);
    } else {
        // Anyone may report two signed commitments.
        account::credit(view, address, amount);
    }
}

/// Burns a penalty from what an auditor, or a validator's holder, has locked; returns what was
/// burned. One token stays.
pub(crate) fn fine(view: &mut View<'_>, address: Address, penalty: Amount) -> Option<Amount> {
    let Some(mut verifier) = view.get::<Verifier>(&address) else {
        return staking::stake::fine(view, address, penalty);
    };
    let burned = penalty.min(verifier.bond.saturating_sub(1));
    verifier.bond = verifier.bond.saturating_sub(burned.get());
    verifier.fined = verifier.fined.saturating_add(burned.get());
    view.put(&address, &verifier);
    slash::burn(view, burned);
    Some(burned)
}
