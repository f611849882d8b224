//! What dishonest auditors earn, and what they do to others: lives on the production state machine.
//!
//! One of eight validators is dishonest; one of three miners lies about a tenth of its rollout
//! units, and all plant faults where they must. Every unit is audited, so that a life holds many
//! audits. An audit that looks costs nine tenths of its pay; the gain over honesty is what the
//! dishonest one earns after fines and costs, minus what an honest one does on average.

use crate::{
    economy_chain::{
        Chain, Setup, accepting, lie, opening, registration, rejecting, sketch, sketched_bodies,
    },
    spread::summed,
    statistics::Mean,
};
use adversaries::{Cheat, Target};
use governance::parameters::Name;
use ledger_state::{
    bond::{Miner, Status},
    opening::may_reveal,
    unit::{Opinion, Unit},
    validator::Validator,
};
use protocol::{
    Address, EnvironmentHash, SigningKey,
    identifiers::tagged_hash,
    task::{UnitId, UnitKind},
    transaction::Body,
    verdict::{Check, Verdict},
};
use serde::Serialize;

/// What an audit costs, as a share of its pay.
const COST: f64 = 0.9;
/// Steps of a life.
const STEPS: u64 = 8;
const VALIDATORS: usize = 8;
const BOND: u64 = 10_000;

/// Lives of one dishonest auditor.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Auditors {
    pub(crate) name: &'static str,
    pub(crate) lives: u32,
    /// Verdicts that it opened, and those of the others.
    pub(crate) audits: u64,
    pub(crate) audits_of_others: u64,
    /// In tokens: what it was fined, and what it gained over an honest one.
    pub(crate) fined: Mean,
    pub(crate) gain: Mean,
    /// Fines of honest auditors, and honest miners slashed or units of theirs not paid.
    pub(crate) honest_fined: u64,
    pub(crate) honest_harmed: u64,
    /// Lies that were paid for, of all.
    pub(crate) lies_paid: u64,
    pub(crate) lies: u64,
    /// Seats that it had on units of its own holder.
    pub(crate) own_seats: u64,
    /// In tokens: what the lying miner's bond and pay came to, minus the bond.
    pub(crate) liar_earned: Mean,
}

/// What one life gave.
#[derive(Default)]
struct Life {
    audits: u64,
    audits_of_others: u64,
    fined: f64,
    gain: f64,
    honest_fined: u64,
    honest_harmed: u64,
    lies_paid: u64,
    lies: u64,
    own_seats: u64,
    liar_earned: f64,
}

/// Lives of these auditors; `say` is told of each as soon as its are over.
pub(crate) fn auditors(cheats: &[Cheat], lives: u32, say: impl FnMut(&Auditors)) -> Vec<Auditors> {
    let life = |cheat: &Cheat, seed| life(*cheat, seed);
    summed(cheats, |_| lives, life, |cheat, all| sum(*cheat, &all), say)
}

fn sum(cheat: Cheat, all: &[Life]) -> Auditors {
    let sum = |value: fn(&Life) -> u64| all.iter().map(value).sum::<u64>();
    let mean = |value: fn(&Life) -> f64| Mean::new(&all.iter().map(value).collect::<Vec<_>>());
    Auditors {
        name: cheat.adversary().name(),
        lives: u32::try_from(all.len()).unwrap_or(u32::MAX),
        audits: sum(|life| life.audits),
        audits_of_others: sum(|life| life.audits_of_others),
        fined: mean(|life| life.fined),
        gain: mean(|life| life.gain),
        honest_fined: sum(|life| life.honest_fined),
        honest_harmed: sum(|life| life.honest_harmed),
        lies_paid: sum(|life| life.lies_paid),
        lies: sum(|life| life.lies),
        own_seats: sum(|life| life.own_seats),
        liar_earned: mean(|life| life.liar_earned),
    }
}

fn life(cheat: Cheat, seed: u32) -> Life {
    let mut setup = Setup {
        stakes: vec![100_000; VALIDATORS],
        escrow: 1_000_000_000,
        parameters: vec![(Name::PlantRate, Name::PlantRate.bounds().default)],
        ..Setup::default()
    };
    let mut bytes = [8; 32];
    bytes[..4].copy_from_slice(&seed.to_le_bytes());
    setup.recipe.seed = EnvironmentHash::from_bytes(bytes);
    setup.recipe.reinforce.steps_count = STEPS;
    setup.recipe.reinforce.rollout_units_count = 24;
    let mut chain = Chain::start(&setup);
    let liar = liar(&mut chain, cheat);
    let mut scene = Scene {
        liar,
        auditor: chain.operator(0).address(),
        cheat,
        looks: 0,
        held: Vec::new(),
        seed,
    };
    let mut life = Life::default();
    while chain.run().step.get() < STEPS {
        step(&mut chain, &mut scene, &mut life);
        chain.wait_until("the end of the step", Chain::is_attesting);
        chain.attest_checkpoint();
    }
    account(&chain, &scene, &mut life);
    life
}

/// The lying miner: the auditor's own holder, if that lies about rollouts as well.
fn liar(chain: &mut Chain, cheat: Cheat) -> Address {
    if !cheat.lies_about(Target::Rollout) {
        chain.register_miners();
        return chain.miner(0).address();
    }
    let own = chain.holder(0);
    chain.fund(&own, BOND);
    let miners = [chain.miner(1), chain.miner(2), own.clone()];
    let register = |key: &SigningKey| (key.clone(), registration(key, BOND));
    chain.block(miners.iter().map(register).collect());
    own.address()
}

struct Scene {
    liar: Address,
    auditor: Address,
    cheat: Cheat,
    /// Audits for which the dishonest one did the work.
    looks: u64,
    /// Verdicts that are bound and not yet opened.
    held: Vec<(UnitId, SigningKey, Body)>,
    seed: u32,
}

impl Scene {
    /// Whether a miner is the auditor's own holder.
    fn is_own(&self, chain: &Chain, miner: Address) -> bool {
        let own = chain.view().get::<Validator>(&self.auditor);
        own.is_some_and(|own| own.holder == miner)
    }
    fn is_lie(&self, id: UnitId, miner: Address) -> bool {
        let [first, ..] = tagged_hash("cairn/auditors-liar/v1", &(id, self.seed));
        id.kind == UnitKind::Rollout && miner == self.liar && first < 26
    }
}

fn step(chain: &mut Chain, scene: &mut Scene, life: &mut Life) {
    chain.open_step();
    let ids = chain.commit_all();
    chain.attest_by_all(&ids);
    chain.draw(&ids);
    for _ in 0..80 {
        let open = ids.iter().copied();
        let open: Vec<UnitId> = open.filter(|id| chain.outcome(*id).is_none()).collect();
        if open.is_empty() {
            break;
        }
        round(chain, scene, &open);
    }
    for id in ids {
        let unit = chain.unit(id);
        let is_own = scene.is_own(chain, unit.miner);
        let seats = unit.audits.iter().flat_map(|audit| &audit.seats);
        let seats = seats.filter(|seat| is_own && seat.auditor == scene.auditor);
        life.own_seats += seats.count() as u64;
        if scene.is_lie(id, unit.miner) {
            life.lies += 1;
            life.lies_paid += u64::from(unit.is_accepted());
        } else if unit.miner != scene.liar {
            life.honest_harmed += u64::from(!unit.is_accepted());
        }
    }
}

/// Everyone who has a seat binds a verdict, and opens it as soon as it may: others of the round may
/// be silent until their time is over.
fn round(chain: &mut Chain, scene: &mut Scene, open: &[UnitId]) {
    let mut binds = Vec::new();
    for id in open.iter().copied() {
        let unit = chain.unit(id);
        let truth = truth(chain, scene, (id, &unit));
        let seats = unit.audits.last().map(|audit| audit.seats.clone());
        for seat in seats.unwrap_or_default() {
            if seat.opinion != Opinion::Pending {
                continue;
            }
            let mut verdict = Some(truth.clone());
            let mut has_looked = true;
            if seat.auditor == scene.auditor && scene.cheat.lies_about(Target::Audit) {
                has_looked = false;
                verdict = scene.cheat.verdict(id, &mut || {
                    has_looked = true;
                    truth.clone()
                });
                scene.looks += u64::from(has_looked);
            } else if seat.auditor == scene.auditor {
                scene.looks += 1;
            }
            // What lies behind the seals is said when they are open.
            let Some(verdict) = verdict.map(|verdict| verdict.without(Check::Activations)) else {
                continue;
            };
            let named = match id.kind {
                _ if !has_looked => lie(),
                UnitKind::Rollout => sketch(),
                UnitKind::Gradient => chain.state_at(id, 1).sketch(),
            };
            let key = chain.key_of(seat.auditor);
            let (bind, reveal) = sketched_bodies(&key, id, verdict, Some(named));
            binds.push((key.clone(), bind));
            scene.held.push((id, key, reveal));
        }
    }
    chain.block(binds);
    forget_decided(chain, scene);
    let next = chain.height().next();
    let held = std::mem::take(&mut scene.held).into_iter();
    let (due, later): (Vec<_>, Vec<_>) =
        held.partition(|(id, _, _)| may_reveal(*id, &chain.unit(*id), next));
    scene.held = later;
    let due = due.into_iter().map(|(_, key, reveal)| (key, reveal));
    chain.block(due.collect());
    forget_decided(chain, scene);
}

/// Whoever has an unopened verdict on a unit that is over need not open it. A unit is over as well
/// where its miner was slashed for another.
fn forget_decided(chain: &Chain, scene: &mut Scene) {
    scene.held.retain(|(id, _, _)| chain.outcome(*id).is_none());
}

/// What an auditor that looks finds: a lie, or a planted fault that is not known yet.
fn truth(chain: &Chain, scene: &Scene, (id, unit): (UnitId, &Unit)) -> Verdict {
    let is_rollout = id.kind == UnitKind::Rollout;
    let is_planted =
        is_rollout && unit.opening.plant.is_none() && opening(chain, id).plant.is_some();
    if scene.is_lie(id, unit.miner) {
        rejecting(Check::Sampling, 7)
    } else if is_planted {
        rejecting(Check::Sampling, 1)
    } else {
        accepting()
    }
}

fn account(chain: &Chain, scene: &Scene, life: &mut Life) {
    let pay = Setup::default().recipe.pay.audit.get() as f64;
    let income = |row: &Validator, looks: u64| {
        row.earned.get() as f64 - row.fined.get() as f64 - COST * pay * looks as f64
    };
    let mut honest = 0.0;
    for index in 0..VALIDATORS {
        let operator = chain.operator(index).address();
        let Some(row) = chain.view().get::<Validator>(&operator) else {
            continue;
        };
        if operator == scene.auditor {
            life.audits = row.audits_count;
            life.fined = row.fined.get() as f64;
            life.gain += income(&row, scene.looks);
        } else {
            life.audits_of_others += row.audits_count;
            life.honest_fined += row.fined.get();
            honest += income(&row, row.audits_count);
        }
    }
    life.gain -= honest / (VALIDATORS - 1) as f64;
    if let Some(miner) = chain.view().get::<Miner>(&scene.liar) {
        life.liar_earned = miner.bond.get() as f64 + miner.earned.get() as f64 - BOND as f64;
        if let Status::Slashed(slashed) = miner.status {
            // What had vested before is its own.
            let lost = slashed.burned.get() as f64 + slashed.bounty.get() as f64;
            life.liar_earned = miner.earned.get() as f64 - lost;
        }
    }
    for index in 1..3 {
        let is_slashed = matches!(chain.miner_record(index).status, Status::Slashed(_));
        life.honest_harmed += u64::from(is_slashed);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// The chain of this part follows the rules: who looks names the sections and states that there
    /// are.
    #[test]
    fn who_looks_is_not_fined_beside_one_that_does_not() {
        let life = life("lazy-ok".parse().unwrap(), 0);
        assert!(life.fined > 0.0, "not looking is found");
        assert_eq!((life.honest_fined, life.honest_harmed), (0, 0));
        assert!(life.audits_of_others > 100, "{}", life.audits_of_others);
    }
}
