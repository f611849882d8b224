//! Answers about stake: who validates, and what an account has with whom.

use crate::chain::Chain;
use ledger_state::{
    View,
    staking::{
        reward,
        rotation::{self, Rotation},
        stake::{self, Stake, Unbonding},
    },
    validator::{Standing, Validator},
};
use protocol::{Address, Amount, Height, Micro, PublicKey};
use serde::{Deserialize, Serialize};

/// A validator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidatorAnswer {
    /// Its hot key.
    pub operator: Address,
    /// What signs its votes and proposals.
    pub key: PublicKey,
    /// What will from the next epoch on, if that is another.
    pub next_key: Option<PublicKey>,
    /// Its cold key.
    pub holder: Address,
    /// Bonded, jailed, frozen or removed, in words.
    pub standing: String,
    /// All stake with it.
    pub stake: Amount,
    /// Of that, its holder's.
    pub own: Amount,
    /// Weight since the epoch began.
    pub power: u64,
    /// The holder's share of what stake earns, in millionths.
    pub commission: Micro,
    /// Accounts with stake.
    pub stakers_count: u32,
    /// Rewards that nobody has claimed.
    pub unclaimed: Amount,
    /// Blocks it proposed since the epoch began.
    pub turns_made: u64,
    /// Heights since the epoch began at which it let its turn pass.
    pub turns_missed: u64,
    /// Fined and slashed in all.
    pub fined: Amount,
}

/// What an account has with validators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StakesAnswer {
    /// The account.
    pub owner: Address,
    /// The height at which this was so.
    pub height: Height,
    /// Its stake, by validator.
    pub stakes: Vec<StakeRow>,
    /// What is on its way back, as it arrives.
    pub unbonding: Vec<UnbondingRow>,
}

/// Stake with one validator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StakeRow {
    /// The validator.
    pub operator: Address,
    /// How much.
    pub amount: Amount,
    /// What it has earned and not claimed.
    pub claimable: Amount,
    /// Until when it cannot move on, if it came from another validator.
    pub moved_until: Option<Height>,
}

/// Stake that was taken out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnbondingRow {
    /// The validator that it was with.
    pub operator: Address,
    /// How much.
    pub amount: Amount,
    /// When it was taken out.
    pub since: Height,
    /// When it is free.
    pub free_at: Height,
}

/// A standing in words.
#[must_use]
pub fn words(standing: Standing) -> String {
    match standing {
        Standing::Bonded => "bonded".to_owned(),
        Standing::Jailed { until } => format!("jailed until {until}"),
        Standing::Frozen { slashed_at } => format!("frozen, slashed at {slashed_at}"),
        Standing::Removed => "removed".to_owned(),
    }
}

/// All validators, by power and stake.
#[must_use]
pub fn validators(chain: &Chain) -> Vec<ValidatorAnswer> {
    let mut all: Vec<ValidatorAnswer> = chain.view(|view| {
        let validators = view.scan::<Validator>(&()).into_iter();
        validators
            .map(|(operator, validator)| answer(view, operator, &validator))
            .collect()
    });
    all.sort_by_key(|row| std::cmp::Reverse((row.power, row.stake)));
    all
}

fn answer(view: &View<'_>, operator: Address, validator: &Validator) -> ValidatorAnswer {
    let rotation: Option<Rotation> = view.get(&operator);
    let key = rotation::signing_key(view, operator);
    // A key whose epoch has begun decides from the height after the next one on.
    let due = rotation.map(|rotation| rotation.key);
    let due = due.filter(|due| *due != key);
    ValidatorAnswer {
        operator,
        key,
        next_key: rotation.and_then(|rotation| rotation.next).or(due),
        holder: validator.holder,
        standing: words(validator.standing),
        stake: validator.stake,
        own: stake::of(view, operator, validator.holder).amount,
        power: validator.power,
        commission: validator.commission,
        stakers_count: validator.stakers_count,
        unclaimed: validator.pot,
        turns_made: validator.turns.made,
        turns_missed: validator.turns.missed,
        fined: validator.fined,
    }
}

/// What an account has with validators; nothing if it never staked.
#[must_use]
pub fn stakes(chain: &Chain, owner: Address) -> StakesAnswer {
    chain.view(|view| {
        let height = ledger_state::run::tip(view).height;
        let validators = view.scan::<Validator>(&()).into_iter();
        let stakes = validators.filter_map(|(operator, _)| {
            let stake: Stake = view.get(&(operator, owner))?;
            Some(StakeRow {
                operator,
                amount: stake.amount,
                claimable: reward::claimable(view, operator, owner),
                moved_until: Some(stake.moved_until).filter(|until| *until > height),
            })
        });
        let unbonding = view.scan::<Unbonding>(&()).into_iter();
        let own = unbonding.filter(|((_, (_, of)), _)| *of == owner);
        let row = |((free_at, (operator, _)), unbonding): ((Height, _), Unbonding)| UnbondingRow {
            operator,
            amount: unbonding.amount,
            since: unbonding.since,
            free_at,
        };
        StakesAnswer {
            owner,
            height,
            stakes: stakes.collect(),
            unbonding: own.map(row).collect(),
        }
    })
}

/// Stake of an account, with all validators together.
#[must_use]
pub fn total(view: &View<'_>, owner: Address) -> Amount {
    let validators = view.scan::<Validator>(&()).into_iter();
    validators.fold(Amount::ZERO, |sum, (operator, _)| {
        sum.saturating_add(stake::of(view, operator, owner).amount.get())
    })
}
