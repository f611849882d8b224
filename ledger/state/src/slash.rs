//! Slashing: proven fraud costs the bond and what has not vested. Those who found it get a share,
//! the rest is burned. Spec: 08-reward.

use crate::{
    View, auditor,
    bond::{Miner, Slashed, Status},
    event::Event,
    run::{self, Tip},
    unit::AuditFault,
    validator::Validator,
};
use governance::{parameters::Name, power};
use protocol::{Address, Amount, Height, task::UnitId, verdict::Finding};

/// Counts tokens as burned; the caller took them from somewhere.
pub(crate) fn burn(view: &mut View<'_>, amount: Amount) {
    let mut tip: Tip = run::tip(view);
    tip.burned = tip.burned.saturating_add(amount.get());
    view.put(&(), &tip);
}

/// A share in millionths of an amount, rounded down.
fn share(amount: Amount, micro: u64) -> Amount {
    let product = u128::from(amount.get()).saturating_mul(u128::from(micro));
    let share = product.checked_div(1_000_000).unwrap_or_default();
    Amount::new(u64::try_from(share).unwrap_or(u64::MAX)).min(amount)
}

/// Pays those who found a fraud, in equal parts; returns what they got together.
fn pay_bounty(view: &mut View<'_>, lost: Amount, finders: &[Address]) -> Amount {
    let micro = run::parameters(view).get(Name::WhistleBlower);
    let count = u64::try_from(finders.len()).unwrap_or(u64::MAX);
    let each = share(lost, micro).get().checked_div(count);
    let each = Amount::new(each.unwrap_or_default());
    let mut paid = Amount::ZERO;
    for address in finders {
        auditor::pay(view, *address, each, 0);
        paid = paid.saturating_add(each.get());
    }
    paid
}

/// Slashes a miner for a unit, whose fraud these auditors were the first to find.
pub fn miner(
    view: &mut View<'_>,
    address: Address,
    unit: UnitId,
    (finding, finders): (Finding, &[Address]),
    at: Height,
) -> Vec<Event> {
    let Some(mut miner) = view.get::<Miner>(&address) else {
        return Vec::new();
    };
    if matches!(miner.status, Status::Slashed(_)) {
        return Vec::new();
    }
    let lost = miner.at_risk();
    let bounty = pay_bounty(view, lost, finders);
    let burned = lost.saturating_sub(bounty.get());
    miner.bond = Amount::ZERO;
    miner.vesting.clear();
    miner.status = Status::Slashed(Slashed {
        unit,
        at,
        finding,
        burned,
        bounty,
    });
    view.put(&address, &miner);
    burn(view, burned);
    vec![Event::MinerSlashed {
        miner: address,
        unit,
        finding,
        burned,
        bounty,
    }]
}

/// Fines a miner that did not open a unit in time.
pub fn withheld(view: &mut View<'_>, address: Address, unit: UnitId) -> Option<Event> {
    let mut miner: Miner = view.get(&address)?;
    let penalty = Amount::new(run::parameters(view).get(Name::WithholdPenalty));
    let burned = penalty.min(miner.bond);
    miner.bond = miner.bond.saturating_sub(burned.get());
    view.put(&address, &miner);
    burn(view, burned);
    Some(Event::MinerFined {
        miner: address,
        unit,
        burned,
    })
}

/// Fines an auditor that was wrong or silent.
pub fn auditor(
    view: &mut View<'_>,
    operator: Address,
    unit: UnitId,
    fault: AuditFault,
) -> Option<Event> {
    let penalty = Amount::new(run::parameters(view).get(match fault {
        AuditFault::Overturned => Name::AuditFaultPenalty,
        AuditFault::MissedPlant => Name::MissedPlantPenalty,
        AuditFault::Silent => Name::SilencePenalty,
    }));
    let burned = auditor::fine(view, operator, penalty)?;
    Some(Event::AuditorFined {
        auditor: operator,
        unit,
        fault,
        burned,
    })
}

/// Fines a validator for letting its turn to propose pass.
pub fn silent_proposer(view: &mut View<'_>, operator: Address, round: u32) -> Option<Event> {
    let penalty = Amount::new(run::parameters(view).get(Name::BeaconWithholdPenalty));
    let burned = stake(view, operator, penalty)?;
    let mut validator: Validator = view.get(&operator)?;
    validator.rounds_missed_count = validator.rounds_missed_count.saturating_add(1);
    view.put(&operator, &validator);
    Some(Event::ProposerSilent {
        proposer: operator,
        round,
        burned,
    })
}

/// Burns a penalty from a validator's stake; returns what was burned.
pub(crate) fn stake(view: &mut View<'_>, operator: Address, penalty: Amount) -> Option<Amount> {
    let mut validator: Validator = view.get(&operator)?;
    // One token of stake always stays, so that a quorum can always be counted.
    let burned = penalty.min(validator.stake.saturating_sub(1));
    validator.stake = validator.stake.saturating_sub(burned.get());
    let now = run::tip(view).height.next();
    power::release(view, validator.holder, burned.get(), now);
    validator.fined = validator.fined.saturating_add(burned.get());
    view.put(&operator, &validator);
    burn(view, burned);
    Some(burned)
}
