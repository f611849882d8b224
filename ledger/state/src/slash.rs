//! Slashing: proven fraud costs the bond and what has not vested. Those who found it get a share,
//! the rest is burned. What is void because it differs costs pay that has not vested, and no bond.
//! Spec: 08-reward.

use crate::{
    View, auditor,
    bond::{Miner, Slashed, Status},
    event::Event,
    reward,
    run::{self, Tip},
    sample, staking,
    unit::{AuditFault, Draw, Kept, Unit},
    validator::Validator,
};
use governance::parameters::Name;
use protocol::{Address, Amount, Height, Micro, task::UnitId, verdict::Finding};

/// Counts tokens as burned; the caller took them from somewhere.
pub(crate) fn burn(view: &mut View<'_>, amount: Amount) {
    let mut tip: Tip = run::tip(view);
    tip.burned = tip.burned.saturating_add(amount.get());
    view.put(&(), &tip);
}

/// Pays those who found a fraud, in equal parts; returns what they got together.
fn pay_bounty(view: &mut View<'_>, lost: Amount, finders: &[Address]) -> Amount {
    let micro = Micro::new(run::parameters(view).get(Name::WhistleBlower));
    let count = u64::try_from(finders.len()).unwrap_or(u64::MAX);
    let each = staking::share(lost, micro).get().checked_div(count);
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

/// Fines a miner that kept something back; its bond bounds what it pays.
pub fn keeper(view: &mut View<'_>, address: Address, unit: UnitId, kept: Kept) -> Option<Event> {
    let mut miner: Miner = view.get(&address)?;
    let penalty = Amount::new(run::parameters(view).get(match kept {
        Kept::Opening => Name::WithholdPenalty,
        Kept::Blob => Name::UnavailablePenalty,
    }));
    let burned = penalty.min(miner.bond);
    miner.bond = miner.bond.saturating_sub(burned.get());
    view.put(&address, &miner);
    burn(view, burned);
    Some(Event::MinerFined {
        miner: address,
        unit,
        kept,
        burned,
    })
}

/// Takes pay that has not vested from the miner of a unit that is beyond the limits of its class,
/// the newest first: by the rate at which it was drawn, as much as makes the lies that were not
/// seen a loss, and no more than there is. The bond is not touched.
pub fn forfeit(view: &mut View<'_>, id: UnitId, unit: &Unit) -> Option<Event> {
    let draw = unit.commitment.as_ref()?.draw;
    let Draw::Drawn { rate } = draw else {
        return None;
    };
    let mut miner: Miner = view.get(&unit.miner)?;
    let deterrence = sample::deterrence(&run::parameters(view));
    let due = deterrence.forfeit(reward::price(view, id), rate);
    let burned = reward::take_newest(&mut miner.vesting, due);
    view.put(&unit.miner, &miner);
    burn(view, burned);
    Some(Event::PayForfeited {
        miner: unit.miner,
        unit: id,
        due,
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
    let burned = staking::stake::fine(view, operator, penalty)?;
    let mut validator: Validator = view.get(&operator)?;
    validator.rounds_missed_count = validator.rounds_missed_count.saturating_add(1);
    view.put(&operator, &validator);
    Some(Event::ProposerSilent {
        proposer: operator,
        round,
        burned,
    })
}
