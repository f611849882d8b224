//! Slashing: proven fraud burns the bond and forfeits what has not vested. Spec: 08-reward.

use crate::{
    View,
    bond::{Miner, Slashed, Status},
    event::Event,
    run::{self, Tip},
    validator::Validator,
};
use governance::parameters::Name;
use protocol::{Address, Amount, Height, task::UnitId, verdict::Finding};

fn burn(view: &mut View<'_>, amount: Amount) {
    let mut tip: Tip = run::tip(view);
    tip.burned = tip.burned.saturating_add(amount.get());
    view.put(&(), &tip);
}

/// Slashes a miner for a unit.
pub fn miner(
    view: &mut View<'_>,
    address: Address,
    unit: UnitId,
    finding: Finding,
    at: Height,
) -> Vec<Event> {
    let Some(mut miner) = view.get::<Miner>(&address) else {
        return Vec::new();
    };
    if matches!(miner.status, Status::Slashed(_)) {
        return Vec::new();
    }
    let burned = miner.bond.saturating_add(miner.vesting_total().get());
    miner.bond = Amount::ZERO;
    miner.vesting.clear();
    miner.status = Status::Slashed(Slashed {
        unit,
        at,
        finding,
        burned,
    });
    view.put(&address, &miner);
    burn(view, burned);
    vec![Event::MinerSlashed {
        miner: address,
        unit,
        finding,
        burned,
    }]
}

/// Fines an auditor whose verdict was overturned.
pub fn auditor(view: &mut View<'_>, operator: Address, unit: UnitId) -> Option<Event> {
    let mut validator: Validator = view.get(&operator)?;
    let penalty = Amount::new(run::parameters(view).get(Name::AuditFaultPenalty));
    // One token of stake always stays, so that a quorum can always be counted.
    let burned = penalty.min(validator.stake.saturating_sub(1));
    validator.stake = validator.stake.saturating_sub(burned.get());
    view.put(&operator, &validator);
    burn(view, burned);
    Some(Event::AuditorFined {
        auditor: operator,
        unit,
        burned,
    })
}
