//! Rewards: accepted units are paid from their run's escrow and vest. Spec: 08-reward.

use crate::{
    View, account,
    bond::Miner,
    emission,
    event::Event,
    run::{self, Run},
    task,
    unit::{Outcome, Unit},
};
use governance::{house, parameters::Name};
use protocol::{
    Address, Amount, Height, RunId,
    reward::Payout,
    task::{UnitId, UnitKind},
};

/// Takes up to `price` from a run's escrow.
pub fn draw_escrow(view: &mut View<'_>, id: RunId, price: Amount) -> Amount {
    let Some(mut run) = view.get::<Run>(&id) else {
        return Amount::ZERO;
    };
    let paid = price.min(run.escrow);
    run.escrow = run.escrow.saturating_sub(paid.get());
    view.put(&id, &run);
    paid
}

/// What an accepted unit is paid.
#[must_use]
pub fn price(view: &View<'_>, id: UnitId) -> Amount {
    run::recipe(view, id.run).map_or(Amount::ZERO, |recipe| match id.kind {
        UnitKind::Rollout => recipe.pay.rollout_unit,
        UnitKind::Gradient => recipe.pay.gradient_unit,
    })
}

/// Pays for a unit and settles it.
pub fn accept(view: &mut View<'_>, id: UnitId, unit: Unit, height: Height) -> Vec<Event> {
    let price = price(view, id);
    let paid = draw_escrow(view, id.run, price);
    if let Some(mut miner) = view.get::<Miner>(&unit.miner) {
        miner.earned = miner.earned.saturating_add(paid.get());
        lock(view, &mut miner, paid, height);
        view.put(&unit.miner, &miner);
    }
    emission::note_unit(view, unit.miner, paid);
    house::record(view, unit.miner, paid.get(), height);
    task::settle(view, id, unit, Outcome::Accepted { paid }, height)
}

/// Adds to what a miner has once it vests; the caller writes the miner.
pub(crate) fn lock(view: &View<'_>, miner: &mut Miner, amount: Amount, height: Height) {
    let vests_at = height.saturating_add(run::parameters(view).get(Name::VestingBlocks));
    add_payout(&mut miner.vesting, Payout { amount, vests_at });
}

/// Payouts of one height are one entry.
fn add_payout(vesting: &mut Vec<Payout>, payout: Payout) {
    match vesting.last_mut() {
        Some(last) if last.vests_at == payout.vests_at => {
            last.amount = last.amount.saturating_add(payout.amount.get());
        }
        Some(_) | None => vesting.push(payout),
    }
}

/// Takes up to `due` of payouts, the newest first; returns what there was.
pub(crate) fn take_newest(vesting: &mut Vec<Payout>, due: Amount) -> Amount {
    let mut left = due;
    while let Some(newest) = vesting.last_mut() {
        let part = left.min(newest.amount);
        left = left.saturating_sub(part.get());
        newest.amount = newest.amount.saturating_sub(part.get());
        if newest.amount > Amount::ZERO {
            break;
        }
        vesting.pop();
    }
    due.saturating_sub(left.get())
}

/// Frees what has vested, except of miners that may yet forfeit it.
pub fn vest(view: &mut View<'_>, height: Height) {
    let has_due = |miner: &Miner| miner.vesting.iter().any(|payout| payout.vests_at <= height);
    let due = |miner: &Miner| miner.accused == 0 && has_due(miner);
    let miners = view
        .scan::<Miner>(&())
        .into_iter()
        .filter(|(_, miner)| due(miner));
    for (address, miner) in miners.collect::<Vec<_>>() {
        vest_miner(view, address, miner, height);
    }
}

fn vest_miner(view: &mut View<'_>, address: Address, mut miner: Miner, height: Height) {
    let (free, locked): (Vec<Payout>, Vec<Payout>) = miner
        .vesting
        .iter()
        .partition(|payout| payout.vests_at <= height);
    miner.vesting = locked;
    view.put(&address, &miner);
    for payout in free {
        account::credit(view, address, payout.amount);
    }
}
