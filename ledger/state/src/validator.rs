//! Validators: who they are, what a height's set is, quorums by power. How stake becomes power is
//! [`staking`](crate::staking)'s.

use crate::{Rejection, View, staking::rotation, state::Record};
use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{
    Address, Amount, Height, Micro, PublicKey, ValidatorsHash,
    block::{Header, validators_hash},
    vrf::Public,
};

/// Whether a validator may have power.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Standing {
    /// Yes, if its holder's stake is high enough.
    Bonded,
    /// No: it was absent. It may come back.
    Jailed {
        /// First height at which it may.
        until: Height,
    },
    /// No: it signed two messages that contradict each other, and is about to be slashed.
    Frozen {
        /// When it is slashed.
        slashed_at: Height,
    },
    /// Never again.
    Removed,
}

/// A validator's turns to propose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Turns {
    /// Blocks it proposed since the epoch began.
    pub made: u64,
    /// Heights since the epoch began at which it let a turn pass.
    pub missed: u64,
    /// Heights since its last block at which it let a turn pass.
    pub missed_in_a_row: u64,
}

/// A validator, named by its operator key.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Validator {
    /// Cold key: registered it, votes with its own stake, receives audit pay and commission.
    pub holder: Address,
    /// The operator's key of verifiable randomness.
    pub vrf: Public,
    /// Its holder's and others' locked tokens together.
    pub stake: Amount,
    /// Weight in consensus, attestations and draws of auditors, since the epoch began.
    pub power: u64,
    /// Whether it may have any.
    pub standing: Standing,
    /// First height whose beacon may draw it: nobody chooses a key to suit a beacon.
    pub eligible_from: Height,
    /// The holder's share of what stake earns, in millionths.
    pub commission: Micro,
    /// When that was set.
    pub commission_at: Height,
    /// Accounts that have stake with it.
    pub stakers_count: u32,
    /// Rewards of stake that nobody has claimed.
    pub pot: Amount,
    /// What a token of stake has earned since the validator began, in 2^-64 tokens.
    pub reward_index: u128,
    /// Its turns to propose.
    pub turns: Turns,
    /// Rounds in which it was its turn to propose and another's block was decided.
    pub rounds_missed_count: u64,
    /// Verdicts revealed.
    pub audits_count: u64,
    /// Paid for audits in all, bounties included.
    pub earned: Amount,
    /// Fined in all.
    pub fined: Amount,
}

impl Validator {
    /// Refuses what a validator that is frozen or removed has no part in any more.
    ///
    /// # Errors
    /// When it is one of these.
    pub(crate) const fn check_in(&self, operator: Address) -> Result<(), Rejection> {
        match self.standing {
            Standing::Bonded | Standing::Jailed { .. } => Ok(()),
            Standing::Frozen { slashed_at } => Err(Rejection::ValidatorFrozen {
                operator,
                slashed_at,
            }),
            Standing::Removed => Err(Rejection::ValidatorRemoved { operator }),
        }
    }
    /// One that has nothing yet.
    #[must_use]
    pub(crate) const fn new(holder: Address, vrf: Public, eligible_from: Height) -> Self {
        Self {
            holder,
            vrf,
            stake: Amount::ZERO,
            power: 0,
            standing: Standing::Bonded,
            eligible_from,
            commission: Micro::ZERO,
            commission_at: Height::ZERO,
            stakers_count: 0,
            pot: Amount::ZERO,
            reward_index: 0,
            turns: Turns {
                made: 0,
                missed: 0,
                missed_in_a_row: 0,
            },
            rounds_missed_count: 0,
            audits_count: 0,
            earned: Amount::ZERO,
            fined: Amount::ZERO,
        }
    }
}

impl Record for Validator {
    const TABLE: u8 = 2;
    type Key = Address;
}

/// Who decides the next heights, with their power, by consensus key. What a block changes counts
/// from the second height after it on, so that the header in between can say who that will be.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Sets {
    /// Who decides the height after the tip.
    pub current: Vec<(PublicKey, u64)>,
    /// Who decides the one after that.
    pub next: Vec<(PublicKey, u64)>,
}

impl Record for Sets {
    const TABLE: u8 = 16;
    type Key = ();
}

impl Sets {
    /// The sets in force.
    ///
    /// # Panics
    /// When the state has no genesis.
    #[must_use]
    pub fn of(view: &View<'_>) -> Self {
        view.get(&())
            .expect("invariant: genesis writes the validators")
    }
    /// Those of the first two heights: the validators of genesis.
    pub(crate) fn begin(view: &mut View<'_>) {
        let current = signers(view);
        let next = current.clone();
        view.put(&(), &Self { current, next });
    }
    /// Goes on to the next height, at the end of a block.
    pub(crate) fn advance(view: &mut View<'_>) {
        let before = Self::of(view);
        let after = Self {
            current: before.next.clone(),
            next: signers(view),
        };
        if after != before {
            view.put(&(), &after);
        }
    }
    /// What the header of the next block says about them.
    #[must_use]
    pub fn hashes(&self) -> (ValidatorsHash, ValidatorsHash) {
        (validators_hash(&self.current), validators_hash(&self.next))
    }
    /// Refuses a header that names others.
    pub(crate) fn check(&self, header: &Header) -> Result<(), Rejection> {
        let (current, next) = self.hashes();
        for (found, expected) in [(header.validators, current), (header.next_validators, next)] {
            if found != expected {
                return Err(Rejection::ValidatorsMismatch { found, expected });
            }
        }
        Ok(())
    }
}

/// The validators that have power, with it, by operator.
#[must_use]
pub fn powers(view: &View<'_>) -> Vec<(Address, u64)> {
    let validators = view.scan::<Validator>(&()).into_iter();
    let powerful = validators.filter(|(_, validator)| validator.power > 0);
    powerful
        .map(|(operator, validator)| (operator, validator.power))
        .collect()
}

/// Who signs blocks, by consensus key in ascending order, with the power of its validator.
#[must_use]
pub fn signers(view: &View<'_>) -> Vec<(PublicKey, u64)> {
    let powers = powers(view).into_iter();
    let mut signers: Vec<_> = powers
        .map(|(operator, power)| (rotation::key_of(view, operator), power))
        .collect();
    signers.sort_unstable();
    signers
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
