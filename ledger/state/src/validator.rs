//! Validators: stake from genesis, quorums by stake.

use crate::{Rejection, View, state::Record};
use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{Address, Amount, vrf::Public};

/// A validator, named by its operator key.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Validator {
    /// Cold key: owns the stake, votes, receives audit pay.
    pub holder: Address,
    /// Locked tokens.
    pub stake: Amount,
    /// The operator's key of verifiable randomness.
    pub vrf: Public,
    /// Rounds in which it was its turn to propose and another's block was decided.
    pub rounds_missed_count: u64,
    /// Verdicts revealed.
    pub audits_count: u64,
    /// Paid for audits in all, bounties included.
    pub earned: Amount,
    /// Fined in all.
    pub fined: Amount,
}

impl Record for Validator {
    const TABLE: u8 = 2;
    type Key = Address;
}

/// All validators with their power, which is their stake, by operator.
#[must_use]
pub fn powers(view: &View<'_>) -> Vec<(Address, u64)> {
    let validators = view.scan::<Validator>(&());
    validators
        .into_iter()
        .map(|(operator, v)| (operator, v.stake.get()))
        .collect()
}

/// A quorum as an exact share of all power, to be exceeded.
#[derive(Clone, Copy, Debug)]
pub struct Quorum {
    numerator: u64,
    denominator: u64,
}

/// More than two thirds.
pub const TWO_THIRDS: Quorum = Quorum {
    numerator: 2,
    denominator: 3,
};

impl Quorum {
    /// Whether `part` of `total` exceeds the share.
    #[must_use]
    pub fn is_exceeded_by(self, part: u64, total: u64) -> bool {
        let scaled_part = u128::from(part).saturating_mul(u128::from(self.denominator));
        scaled_part > u128::from(total).saturating_mul(u128::from(self.numerator))
    }
}

/// Whether these operators together hold more than two thirds of all these powers.
#[must_use]
pub fn is_quorum(powers: &[(Address, u64)], operators: &[Address]) -> bool {
    let sum = |wanted: &dyn Fn(&Address) -> bool| -> u64 {
        powers
            .iter()
            .filter(|(a, _)| wanted(a))
            .fold(0, |sum, (_, p)| sum.saturating_add(*p))
    };
    TWO_THIRDS.is_exceeded_by(sum(&|a| operators.contains(a)), sum(&|_| true))
}

/// Refuses anyone but a validator's operator.
///
/// # Errors
/// When the sender is not one.
pub fn require(view: &View<'_>, sender: Address) -> Result<Validator, Rejection> {
    view.get(&sender).ok_or(Rejection::NotValidator { sender })
}
