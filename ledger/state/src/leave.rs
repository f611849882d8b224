//! Leaving: a miner or verifier stops, and gets its bond once nothing that it did can cost it any
//! more. Spec: 08-reward §3.
//!
//! The bond waits as long as pay takes to vest, which is the window in which work can be convicted,
//! and then for whatever is still open: a unit, a seat, a conviction, an appeal.

use crate::{
    Rejection, View, account,
    auditor::Verifier,
    bond::{Miner, Status},
    event::Event,
    run::{self, Run},
    state::{Key, Record},
    task,
};
use borsh::{BorshDeserialize, BorshSerialize};
use governance::parameters::Name;
use protocol::{Address, Amount, Height, staking::Role};

/// Blocks after which a bond that could not be returned is looked at again.
const AGAIN_BLOCKS: u64 = 8;

/// A bond that is on its way back, by the height at which it may be returned, role and owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Leaving {
    /// When notice was given.
    pub since: Height,
}

impl Record for Leaving {
    const TABLE: u8 = 48;
    type Key = (Height, (Role, Address));
}

impl Key for Role {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.push(match self {
            Self::Miner => 0,
            Self::Verifier => 1,
        });
    }
    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        match first {
            0 => Some(Self::Miner),
            1 => Some(Self::Verifier),
            _ => None,
        }
    }
}

/// Adds to a bond.
///
/// # Errors
/// When the sender has none, it leaves or was slashed, nothing is added, or the balance is too low.
pub fn add_bond(
    view: &mut View<'_>,
    sender: Address,
    (role, amount): (Role, Amount),
) -> Result<Vec<Event>, Rejection> {
    if amount == Amount::ZERO {
        return Err(Rejection::TransferOfNothing);
    }
    account::debit(view, sender, amount)?;
    let bond = match role {
        Role::Miner => {
            let mut miner = staying_miner(view, sender)?;
            miner.bond = miner.bond.saturating_add(amount.get());
            view.put(&sender, &miner);
            miner.bond
        }
        Role::Verifier => {
            let mut verifier = staying_verifier(view, sender)?;
            verifier.bond = verifier.bond.saturating_add(amount.get());
            view.put(&sender, &verifier);
            verifier.bond
        }
    };
    Ok(vec![Event::BondAdded {
        owner: sender,
        role,
        bond,
    }])
}

fn staying_miner(view: &View<'_>, sender: Address) -> Result<Miner, Rejection> {
    let miner: Miner = view
        .get(&sender)
        .ok_or(Rejection::MinerUnknown { sender })?;
    match miner.status {
        Status::Active | Status::Idle => Ok(miner),
        Status::Leaving => Err(Rejection::LeavingAlready { sender }),
        Status::Slashed(_) => Err(Rejection::MinerSlashed { miner: sender }),
    }
}

fn staying_verifier(view: &View<'_>, sender: Address) -> Result<Verifier, Rejection> {
    let verifier: Verifier = view
        .get(&sender)
        .ok_or(Rejection::VerifierUnknown { sender })?;
    if verifier.is_leaving {
        return Err(Rejection::LeavingAlready { sender });
    }
    Ok(verifier)
}

/// Gives notice: no more work, no more seats.
///
/// # Errors
/// When the sender has no bond of this role, left already or was slashed.
pub fn leave(
    view: &mut View<'_>,
    sender: Address,
    role: Role,
    height: Height,
) -> Result<Vec<Event>, Rejection> {
    match role {
        Role::Miner => {
            let mut miner = staying_miner(view, sender)?;
            miner.status = Status::Leaving;
            view.put(&sender, &miner);
        }
        Role::Verifier => {
            let mut verifier = staying_verifier(view, sender)?;
            verifier.is_leaving = true;
            view.put(&sender, &verifier);
        }
    }
    let window = run::parameters(view).get(Name::VestingBlocks);
    let free_at = height.saturating_add(window).next();
    view.put(&(free_at, (role, sender)), &Leaving { since: height });
    Ok(vec![Event::LeaveNoticed {
        owner: sender,
        role,
        free_at,
    }])
}

/// Returns the bonds that are due at this height and free.
pub(crate) fn finish(view: &mut View<'_>, height: Height) -> Vec<Event> {
    let mut events = Vec::new();
    for (key, leaving) in view.scan::<Leaving>(&height) {
        view.delete::<Leaving>(&key);
        let (_, (role, owner)) = key;
        if is_bound(view, role, owner) {
            let again = (height.saturating_add(AGAIN_BLOCKS), (role, owner));
            view.put(&again, &leaving);
            continue;
        }
        if let Some(bond) = remove(view, role, owner) {
            account::credit(view, owner, bond);
            events.push(Event::Left { owner, role, bond });
        }
    }
    events
}

/// Takes the record away; nothing if it was slashed.
fn remove(view: &mut View<'_>, role: Role, owner: Address) -> Option<Amount> {
    match role {
        Role::Miner => {
            let miner: Miner = view.get(&owner)?;
            if miner.status != Status::Leaving {
                return None;
            }
            view.delete::<Miner>(&owner);
            Some(miner.bond)
        }
        Role::Verifier => {
            let verifier: Verifier = view.get(&owner)?;
            view.delete::<Verifier>(&owner);
            Some(verifier.bond)
        }
    }
}

/// Whether something that is open may yet cost a bond.
fn is_bound(view: &View<'_>, role: Role, owner: Address) -> bool {
    let miner: Option<Miner> = view.get(&owner).filter(|_| role == Role::Miner);
    let owes = |miner: Miner| {
        miner.accused > 0 || miner.appealed > Amount::ZERO || !miner.vesting.is_empty()
    };
    if miner.is_some_and(owes) {
        return true;
    }
    let runs = view.scan::<Run>(&()).into_iter();
    let mut open = runs.flat_map(|(id, run)| task::units(view, id, run.step));
    open.any(|(_, unit)| {
        let is_open = unit.outcome().is_none();
        is_open
            && match role {
                Role::Miner => unit.miner == owner,
                Role::Verifier => unit.has_seat(owner),
            }
    })
}
