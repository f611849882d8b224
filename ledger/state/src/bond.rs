//! Bonds and quotas: what a miner locks to be given work, and how much of it is still given.
//! Spec: 01-task, 08-reward.

use crate::{
    Rejection, View, account, class, event::Event, run, state::Record, task::BEACON_DELAY_BLOCKS,
};
use borsh::{BorshDeserialize, BorshSerialize};
use governance::parameters::Name;
use protocol::{
    Address, Amount, Height, Micro,
    class::{ClassId, Lifetime},
    reward::Payout,
    task::{Share, UnitId},
    verdict::Finding,
    vrf::Public,
};

/// The least that refusals and gaps leave of a quota.
const QUOTA_MIN: u64 = 10_000;
/// What an accepted unit gives back of it.
const QUOTA_RESTORED: u64 = 50_000;

/// Why and when a miner was slashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Slashed {
    /// The unit that proved it.
    pub unit: UnitId,
    /// When.
    pub at: Height,
    /// The finding beyond its limit.
    pub finding: Finding,
    /// Bond and payouts lost that were burned.
    pub burned: Amount,
    /// The part of them that went to those who found it.
    pub bounty: Amount,
}

/// Whether a miner is given work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Status {
    /// Yes.
    Active,
    /// No: it let all units of a step pass. It may resume.
    Idle,
    /// No: it asked for its bond.
    Leaving,
    /// Never again.
    Slashed(Slashed),
}

/// Units of a miner by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Units {
    /// Paid and used.
    pub accepted: u64,
    /// Not paid, nobody punished.
    pub void: u64,
    /// Proven wrong.
    pub slashed: u64,
    /// Never committed.
    pub missed: u64,
}

/// A miner, named by its account.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Miner {
    /// Locked tokens.
    pub bond: Amount,
    /// Its key of verifiable randomness.
    pub vrf: Public,
    /// The engine that draws its rollouts.
    pub class: ClassId,
    /// Whether it is given work.
    pub status: Status,
    /// First height whose beacon may deal it work, in case it is active.
    pub eligible_from: Height,
    /// What is left of its claim to work, in millionths.
    pub quota: Micro,
    /// Units accepted since it registered or was last void for its own fault.
    pub judged: u64,
    /// Its units.
    pub units: Units,
    /// Paid in all, vested or not.
    pub earned: Amount,
    /// Payouts not yet free, oldest first.
    pub vesting: Vec<Payout>,
    /// Its units under a conviction that is not final; nothing vests while there are any.
    pub accused: u32,
    /// Bonds of its appeals, and of auditors that contest its units, that are not decided.
    pub appealed: Amount,
    /// Evidence that its audited rollout units give together, if its class is tolerant.
    pub lifetime: Lifetime,
}

impl Record for Miner {
    const TABLE: u8 = 3;
    type Key = Address;
}

impl Miner {
    /// Payouts not yet free, together.
    #[must_use]
    pub fn vesting_total(&self) -> Amount {
        self.vesting.iter().fold(Amount::ZERO, |sum, payout| {
            sum.saturating_add(payout.amount.get())
        })
    }
    /// What a conviction costs it.
    #[must_use]
    pub fn at_risk(&self) -> Amount {
        self.bond.saturating_add(self.vesting_total().get())
    }
    /// An accepted unit gives trust and quota.
    pub(crate) fn trust(&mut self) {
        self.judged = self.judged.saturating_add(1);
        let quota = self.quota.saturating_add(QUOTA_RESTORED);
        self.quota = quota.min(Micro::ONE);
    }
    /// A refusal or gap halves the quota.
    pub(crate) fn halve_quota(&mut self) {
        self.quota = Micro::new((self.quota.get() >> 1).max(QUOTA_MIN));
    }
}

/// Miners that a beacon of this height may deal work, as it weighs them.
#[must_use]
pub fn shares(view: &View<'_>, beacon_at: Height) -> Vec<Share> {
    let miners = view.scan::<Miner>(&()).into_iter();
    let eligible = miners
        .filter(|(_, miner)| miner.status == Status::Active && miner.eligible_from <= beacon_at);
    let share = |(miner, record): (Address, Miner)| Share {
        miner,
        bond: record.bond,
        quota: record.quota,
    };
    eligible.map(share).collect()
}

/// Active miners, by address.
#[must_use]
pub fn active(view: &View<'_>) -> Vec<Address> {
    let miners = view.scan::<Miner>(&());
    let active = miners
        .into_iter()
        .filter(|(_, miner)| miner.status == Status::Active);
    active.map(|(address, _)| address).collect()
}

/// Takes a bond from the sender's account, if it is as high as the parameter says and the key of
/// verifiable randomness that it answers for is one.
pub(crate) fn lock(
    view: &mut View<'_>,
    sender: Address,
    (bond, vrf): (Amount, Public),
    minimum: Name,
) -> Result<(), Rejection> {
    let bond_min = Amount::new(run::parameters(view).get(minimum));
    if bond < bond_min {
        return Err(Rejection::BondTooLow { bond, bond_min });
    }
    vrf.check()
        .map_err(|_| Rejection::RandomnessKeyInvalid { key: vrf })?;
    account::debit(view, sender, bond)
}

/// Locks a bond and registers a key of verifiable randomness.
///
/// # Errors
/// When the sender is a miner already, the key is none, bond or balance are too low, or the class
/// is not listed.
pub fn register(
    view: &mut View<'_>,
    sender: Address,
    (bond, vrf, class): (Amount, Public, ClassId),
    height: Height,
) -> Result<Vec<Event>, Rejection> {
    if view.get::<Miner>(&sender).is_some() {
        return Err(Rejection::AlreadyRegistered { miner: sender });
    }
    if class != ClassId::EXACT && class::listed(view, class).is_none() {
        return Err(Rejection::ClassUnlisted { class });
    }
    lock(view, sender, (bond, vrf), Name::MinerBondMin)?;
    let miner = Miner {
        bond,
        vrf,
        class,
        status: Status::Active,
        eligible_from: height.saturating_add(BEACON_DELAY_BLOCKS),
        quota: Micro::ONE,
        judged: 0,
        units: Units::default(),
        earned: Amount::ZERO,
        vesting: Vec::new(),
        accused: 0,
        appealed: Amount::ZERO,
        lifetime: Lifetime::default(),
    };
    view.put(&sender, &miner);
    Ok(vec![Event::MinerRegistered {
        miner: sender,
        bond,
    }])
}

/// Makes an idle miner active again.
///
/// # Errors
/// When the sender is not an idle miner.
pub fn resume(
    view: &mut View<'_>,
    sender: Address,
    height: Height,
) -> Result<Vec<Event>, Rejection> {
    let mut miner: Miner = view
        .get(&sender)
        .ok_or(Rejection::MinerUnknown { sender })?;
    match miner.status {
        Status::Idle => {}
        Status::Active => return Err(Rejection::MinerNotIdle { miner: sender }),
        Status::Leaving => return Err(Rejection::LeavingAlready { sender }),
        Status::Slashed(_) => return Err(Rejection::MinerSlashed { miner: sender }),
    }
    miner.status = Status::Active;
    miner.eligible_from = height.saturating_add(BEACON_DELAY_BLOCKS);
    view.put(&sender, &miner);
    Ok(vec![Event::MinerResumed { miner: sender }])
}
