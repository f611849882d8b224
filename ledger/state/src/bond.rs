//! Bonds: what a miner locks to be given work.

use crate::{Rejection, View, account, event::Event, run, state::Record};
use borsh::{BorshDeserialize, BorshSerialize};
use governance::parameters::Name;
use protocol::{Address, Amount, Height, reward::Payout, task::UnitId, verdict::Finding};

/// Why and when a miner was slashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Slashed {
    /// The unit that proved it.
    pub unit: UnitId,
    /// When.
    pub at: Height,
    /// The finding beyond its limit.
    pub finding: Finding,
    /// Bond burned and payouts forfeited.
    pub burned: Amount,
}

/// Whether a miner is given work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Status {
    /// Yes.
    Active,
    /// No: it let all units of a step pass. It may resume.
    Idle,
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
    /// Whether it is given work.
    pub status: Status,
    /// Its units.
    pub units: Units,
    /// Paid in all, vested or not.
    pub earned: Amount,
    /// Payouts not yet free, oldest first.
    pub vesting: Vec<Payout>,
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
}

/// Miners that are given work, by address.
#[must_use]
pub fn active(view: &View<'_>) -> Vec<Address> {
    let miners = view.scan::<Miner>(&());
    let active = miners
        .into_iter()
        .filter(|(_, miner)| miner.status == Status::Active);
    active.map(|(address, _)| address).collect()
}

/// Locks a bond.
///
/// # Errors
/// When the sender is a miner already, or bond or balance are too low.
pub fn register(
    view: &mut View<'_>,
    sender: Address,
    bond: Amount,
) -> Result<Vec<Event>, Rejection> {
    if view.get::<Miner>(&sender).is_some() {
        return Err(Rejection::AlreadyRegistered { miner: sender });
    }
    let bond_min = Amount::new(run::parameters(view).get(Name::MinerBondMin));
    if bond < bond_min {
        return Err(Rejection::BondTooLow { bond, bond_min });
    }
    account::debit(view, sender, bond)?;
    let miner = Miner {
        bond,
        status: Status::Active,
        units: Units::default(),
        earned: Amount::ZERO,
        vesting: Vec::new(),
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
pub fn resume(view: &mut View<'_>, sender: Address) -> Result<Vec<Event>, Rejection> {
    let mut miner: Miner = view
        .get(&sender)
        .ok_or(Rejection::MinerUnknown { sender })?;
    match miner.status {
        Status::Idle => {}
        Status::Active => return Err(Rejection::MinerNotIdle { miner: sender }),
        Status::Slashed(_) => return Err(Rejection::MinerSlashed { miner: sender }),
    }
    miner.status = Status::Active;
    view.put(&sender, &miner);
    Ok(vec![Event::MinerResumed { miner: sender }])
}
