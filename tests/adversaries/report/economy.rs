//! What lying earns: whole lives of a miner on the production state machine.
//!
//! The chain is the one that the state machine's own tests use: signed transactions, blocks in
//! bytes, a replica, supply conserved at every height. One of its miners lies about a share of its
//! rollout units; the others, and all validators, are honest, and an audit of a lie rejects, as
//! every audit of every adversary in this report does. Default parameters, short windows.

use crate::{
    economy_chain::{Chain, Setup, accepting, audit_bodies, rejecting},
    statistics::{Share, quantile},
};
use governance::parameters::Name;
use ledger_state::{
    bond::Status,
    reward,
    unit::{Draw, Opinion, Outcome},
};
use protocol::{
    Address, EnvironmentHash, SigningKey,
    identifiers::tagged_hash,
    task::{UnitId, UnitKind},
    verdict::Check,
};
use serde::Serialize;

/// What honest work costs, as a share of its price in percent.
const COST_PERCENT: i64 = 90;
/// Most rollout units in a life.
const UNITS_MAX: u64 = 600;
/// Most steps in a life.
const STEPS_MAX: u64 = 120;

/// Lives of miners that lie about the same share of their units.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Lives {
    pub(crate) share_micro: u32,
    /// Lives that ended with a slash, of all.
    pub(crate) slashed: Share,
    /// What the rates of audits predict for the same units: the mean of 1 − Π (1 − p φ).
    pub(crate) predicted: f64,
    /// Audits of its rollouts until the one that caught it: median and 99th percentile.
    pub(crate) audits: [Option<u64>; 2],
    /// Rollout units until then.
    pub(crate) units: [Option<u64>; 2],
    /// Lies that were accepted and used before then, over all lives.
    pub(crate) lies_used: u64,
    /// What the liar gained over its life, in tokens: mean and best.
    pub(crate) profit_mean: i64,
    pub(crate) profit_best: i64,
    /// What an honest life of as many units gains.
    pub(crate) honest_profit_mean: i64,
    /// Honest miners that were slashed or had a unit void, over all lives.
    pub(crate) honest_harmed: u64,
}

struct Life {
    slashed: bool,
    audits: u64,
    units: u64,
    lies_used: u64,
    predicted: f64,
    profit: i64,
    honest_profit: i64,
    honest_harmed: u64,
}

pub(crate) fn lives(share_micro: u32, count: u32) -> Lives {
    let lives: Vec<Life> = (0..count).map(|seed| life(share_micro, seed)).collect();
    let caught: Vec<&Life> = lives.iter().filter(|life| life.slashed).collect();
    let both = |value: fn(&Life) -> u64| {
        let mut values: Vec<u64> = caught.iter().map(|life| value(life)).collect();
        [0.5, 0.99].map(|share| quantile(&mut values, share))
    };
    let total = i64::from(count.max(1));
    Lives {
        share_micro,
        slashed: Share::new(caught.len() as u64, lives.len() as u64),
        predicted: lives.iter().map(|life| life.predicted).sum::<f64>() / total as f64,
        audits: both(|life| life.audits),
        units: both(|life| life.units),
        lies_used: lives.iter().map(|life| life.lies_used).sum(),
        profit_mean: lives.iter().map(|life| life.profit).sum::<i64>() / total,
        profit_best: lives.iter().map(|life| life.profit).max().unwrap_or(0),
        honest_profit_mean: lives.iter().map(|life| life.honest_profit).sum::<i64>() / total,
        honest_harmed: lives.iter().map(|life| life.honest_harmed).sum(),
    }
}

fn setup(seed: u32) -> Setup {
    let mut setup = Setup::default();
    let mut bytes = [7; 32];
    bytes[..4].copy_from_slice(&seed.to_le_bytes());
    setup.recipe.seed = EnvironmentHash::from_bytes(bytes);
    setup.recipe.reinforce.steps_count = STEPS_MAX;
    setup.recipe.reinforce.rollout_units_count = 48;
    setup.recipe.reinforce.gradient_units_count = 3;
    setup.escrow = 1_000_000_000;
    setup.parameters = vec![(Name::AuditRate, 20_000)];
    setup
}

/// The first miner lies until it is slashed or its life is over.
fn life(share_micro: u32, seed: u32) -> Life {
    let mut chain = Chain::start(&setup(seed));
    chain.register_miners();
    let liar = chain.miner(0).address();
    let lies = |unit: UnitId| {
        let [a, b, c, d, ..] = tagged_hash("cairn/liar/v1", &(unit, seed));
        let place = u64::from(u32::from_le_bytes([a, b, c, d])) * 1_000_000;
        unit.kind == UnitKind::Rollout && place >> 32 < u64::from(share_micro)
    };
    let mut life = Life {
        slashed: false,
        audits: 0,
        units: 0,
        lies_used: 0,
        predicted: 0.0,
        profit: 0,
        honest_profit: 0,
        honest_harmed: 0,
    };
    let (mut unseen, mut spent) = (1.0, 0);
    while !life.slashed && life.units < UNITS_MAX && chain.run().step.get() < STEPS_MAX {
        let owned_by_liar = |chain: &Chain, unit: UnitId| chain.unit(unit).miner == liar;
        chain.open_step();
        let ids = chain.commit_all();
        chain.attest_by_all(&ids);
        chain.draw(&ids);
        settle(&mut chain, &ids, &|chain, unit| {
            lies(unit) && owned_by_liar(chain, unit)
        });
        for id in ids.iter().copied() {
            let unit = chain.unit(id);
            if unit.miner != liar {
                life.honest_harmed += u64::from(!unit.is_accepted());
                continue;
            }
            let price = reward::price(&chain.view(), id).get();
            let price = i64::try_from(price).unwrap_or(i64::MAX);
            life.honest_profit += price * (100 - COST_PERCENT) / 100;
            if !lies(id) {
                spent += price * COST_PERCENT / 100;
            }
            if id.kind != UnitKind::Rollout {
                continue;
            }
            life.units += 1;
            life.lies_used += u64::from(lies(id) && unit.is_accepted());
            let draw = unit.commitment.map(|commitment| commitment.draw);
            if let Some(Draw::Drawn { rate } | Draw::Spared { rate }) = draw {
                unseen *= 1.0 - rate.get() as f64 / 1e6 * f64::from(share_micro) / 1e6;
                life.audits += u64::from(matches!(draw, Some(Draw::Drawn { .. })));
            }
        }
        life.slashed = matches!(chain.miner_record(0).status, Status::Slashed(_));
        if !life.slashed {
            chain.wait_until("the end of the step", Chain::is_attesting);
            chain.attest_checkpoint();
        }
    }
    let start = i64::try_from(setup(seed).balance).unwrap_or(i64::MAX);
    let record = chain.miner_record(0);
    let owned = chain.balance(liar) + record.at_risk().get();
    life.profit = i64::try_from(owned).unwrap_or(i64::MAX) - start - spent;
    life.predicted = 1.0 - unseen;
    life
}

/// Answers every audit of these units truthfully until all of them are over.
fn settle(chain: &mut Chain, ids: &[UnitId], lie: &dyn Fn(&Chain, UnitId) -> bool) {
    for _ in 0..80 {
        let open: Vec<UnitId> = ids
            .iter()
            .copied()
            .filter(|id| is_open(chain, *id))
            .collect();
        if open.is_empty() {
            return;
        }
        let (mut binds, mut reveals) = (Vec::new(), Vec::new());
        for id in open {
            let lied = lie(chain, id);
            for auditor in pending(chain, id) {
                let key: SigningKey = chain.key_of(auditor);
                let verdict = if lied {
                    rejecting(Check::Sampling, 7)
                } else {
                    accepting()
                };
                let (bind, reveal) = audit_bodies(&key, id, verdict);
                binds.push((key.clone(), bind));
                reveals.push((key, reveal));
            }
        }
        chain.block(binds);
        chain.block(reveals);
    }
}

fn is_open(chain: &Chain, id: UnitId) -> bool {
    !matches!(
        chain.outcome(id),
        Some(Outcome::Accepted { .. } | Outcome::Slashed { .. } | Outcome::Void { .. })
    )
}

fn pending(chain: &Chain, id: UnitId) -> Vec<Address> {
    let unit = chain.unit(id);
    let seats = unit.audits.last().map(|audit| audit.seats.as_slice());
    let seats = seats.unwrap_or_default().iter();
    let pending = seats.filter(|seat| seat.opinion == Opinion::Pending);
    pending.map(|seat| seat.auditor).collect()
}
