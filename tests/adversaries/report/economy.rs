//! What lying earns: whole lives of a miner on the production state machine.
//!
//! The chain is the one that the state machine's own tests use: signed transactions, blocks in
//! bytes, a replica, supply conserved at every height. One of its miners lies about a share of its
//! rollout units; the others, and all validators, are honest, and an audit of a lie rejects, as
//! every audit of every adversary in this report does. Default parameters, short windows.
//!
//! Two numbers say what lying is worth. The *income* of a life is what the miner owns at its end,
//! bond and unvested pay included, minus what it owned before, minus the cost of what it computed.
//! The *gain over honesty* is that income minus the income of honest work on the same units: saved
//! cost, minus pay and bond lost. A lie saves a share of a unit's cost; the lives are those of a
//! miner that saves all of it, and every adversary's own saving, measured beside its detection,
//! gives its own numbers from the same lives.

use crate::{
    economy_chain::{Chain, Setup, accepting, rejecting},
    spread::summed,
    statistics::{Mean, Share, geometric_quantile, survival_quantile},
};
use governance::parameters::Name;
use ledger_state::{
    bond::Status,
    reward, run,
    sample::rate,
    unit::{Draw, Opinion, Outcome, Unit},
};
use protocol::{
    Address, EnvironmentHash, Micro, SigningKey,
    identifiers::tagged_hash,
    task::{UnitId, UnitKind},
    verdict::{Check, Verdict},
};
use serde::Serialize;

/// What honest work costs, as a share of its price.
pub(crate) const COST: f64 = 0.9;
/// Most rollout units in a life.
const UNITS_MAX: u64 = 600;
/// Most steps in a life.
const STEPS_MAX: u64 = 120;

/// When a miner lies at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Caution {
    /// From its first unit on.
    None,
    /// Only while its units are sampled: never as a newcomer, all of whose units are audited.
    OnceSampled,
    /// Until an auditor rejected one of its units, or one was void: never after that.
    UntilNoticed,
}

impl Caution {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::None, Self::OnceSampled, Self::UntilNoticed];
}

/// Lives of miners that lie about the same share of their units.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Lives {
    pub(crate) caution: Caution,
    pub(crate) share_micro: u32,
    /// Lives that ended with a slash, of all.
    pub(crate) slashed: Share,
    /// Audits that caught, of all audits of units from which lies were drawn. The formula says
    /// that this is the share of lies.
    pub(crate) per_audit: Share,
    /// Audits until caught, by the geometric law: median and 99th percentile.
    pub(crate) audits_predicted: [u64; 2],
    /// The same in these lives (Kaplan and Meier: a life without a slash is cut off at its end).
    pub(crate) audits: [Option<u64>; 2],
    /// Rollout units until then.
    pub(crate) units: [Option<u64>; 2],
    /// Lives in which a unit was void for fault, and rollout units until then.
    pub(crate) voided: Share,
    pub(crate) units_to_void: [Option<u64>; 2],
    /// Lies that were accepted and used before then, over all lives.
    pub(crate) lies_used: u64,
    /// In tokens, of a liar that saves all of a unit's cost.
    pub(crate) income: Mean,
    pub(crate) gain: Mean,
    /// The best life's.
    pub(crate) gain_best: f64,
    /// Honest miners that were slashed or had a unit void, over all lives.
    pub(crate) honest_harmed: u64,
    #[serde(skip)]
    all: Vec<Life>,
}

/// One life. Money is in tokens.
#[derive(Clone, Debug, Default)]
pub(crate) struct Life {
    slashed: bool,
    /// Rollout units until one was void for fault.
    voided_after: Option<u64>,
    /// Audits of its rollout units from which lies are drawn, up to the one that caught it.
    audits: u64,
    units: u64,
    lies_used: u64,
    /// Owned at the end minus owned before.
    earned: f64,
    /// Prices of all units, and of those it lied about.
    prices: f64,
    lied: f64,
    honest_harmed: u64,
}

impl Life {
    /// Income of a liar that saves this share of a unit's cost.
    fn income(&self, saved: f64) -> f64 {
        self.earned - COST * (self.prices - saved * self.lied)
    }
    fn gain(&self, saved: f64) -> f64 {
        self.income(saved) - (1.0 - COST) * self.prices
    }
}

impl Lives {
    /// Mean income and mean gain over honesty of a liar that saves this share of a unit's cost.
    pub(crate) fn money(&self, saved: f64) -> [Mean; 2] {
        [Life::income, Life::gain].map(|value| {
            let values: Vec<f64> = self.all.iter().map(|life| value(life, saved)).collect();
            Mean::new(&values)
        })
    }
}

/// Lives of miners of every caution and share; `say` is told of each kind as soon as it is there.
pub(crate) fn lives(kinds: &[(Caution, u32)], count: u32, say: impl FnMut(&Lives)) -> Vec<Lives> {
    let work = |(caution, share): &(Caution, u32), seed| life(&Exact, (*caution, *share), seed);
    let sum = |(caution, share): &(Caution, u32), all| summary(*caution, *share, all);
    let count = |(_, share): &(Caution, u32)| lives_count(count, *share);
    summed(kinds, count, work, sum, say)
}

/// Lives of a row: more where lies are rare, so that it has as many of them as one at 5 %.
pub(crate) fn lives_count(count: u32, share_micro: u32) -> u32 {
    count.saturating_mul((50_000 / share_micro.max(1)).max(1))
}

/// How units are committed and what an audit of them says.
pub(crate) trait Work: Sync {
    /// What a chain starts with.
    fn setup(&self, seed: u32) -> Setup {
        setup(seed)
    }
    /// All miners register.
    fn register(&self, chain: &mut Chain) {
        chain.register_miners();
    }
    /// Binds units, of which some are lies.
    fn commit(&self, chain: &mut Chain, ids: &[UnitId], lies: &[UnitId]) {
        let _ = lies;
        chain.commit(ids);
    }
    /// What every honest auditor finds.
    fn verdict(&self, id: UnitId, is_lie: bool) -> Verdict;
}

/// Of the exact class any lie is proof.
struct Exact;

impl Work for Exact {
    fn verdict(&self, _: UnitId, is_lie: bool) -> Verdict {
        if is_lie {
            rejecting(Check::Sampling, 7)
        } else {
            accepting()
        }
    }
}

pub(crate) fn summary(caution: Caution, share_micro: u32, all: Vec<Life>) -> Lives {
    let sum = |value: fn(&Life) -> u64| all.iter().map(value).sum::<u64>();
    let until = |value: fn(&Life) -> u64| {
        let times: Vec<(u64, bool)> = all.iter().map(|life| (value(life), life.slashed)).collect();
        quantiles(&times)
    };
    let share = f64::from(share_micro) / 1e6;
    let slashed = sum(|life| u64::from(life.slashed));
    let gains: Vec<f64> = all.iter().map(|life| life.gain(1.0)).collect();
    let voided: Vec<(u64, bool)> = all
        .iter()
        .map(|life| {
            (
                life.voided_after.unwrap_or(life.units),
                life.voided_after.is_some(),
            )
        })
        .collect();
    let voided_count = voided.iter().filter(|(_, is_voided)| *is_voided).count();
    let mut lives = Lives {
        voided: Share::new(voided_count as u64, all.len() as u64),
        units_to_void: quantiles(&voided),
        caution,
        share_micro,
        slashed: Share::new(slashed, all.len() as u64),
        per_audit: Share::new(slashed, sum(|life| life.audits)),
        audits_predicted: [0.5, 0.99].map(|part| geometric_quantile(share, part)),
        audits: until(|life| life.audits),
        units: until(|life| life.units),
        lies_used: sum(|life| life.lies_used),
        income: Mean::new(&[]),
        gain: Mean::new(&gains),
        gain_best: gains.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        honest_harmed: sum(|life| life.honest_harmed),
        all,
    };
    lives.income = lives.money(1.0)[0];
    lives
}

/// Median and 99th percentile of times after which something happened, or did not.
pub(crate) fn quantiles(times: &[(u64, bool)]) -> [Option<u64>; 2] {
    [0.5, 0.99].map(|part| survival_quantile(times, part))
}

pub(crate) fn setup(seed: u32) -> Setup {
    let mut setup = Setup::default();
    let mut bytes = [7; 32];
    bytes[..4].copy_from_slice(&seed.to_le_bytes());
    setup.recipe.seed = EnvironmentHash::from_bytes(bytes);
    setup.recipe.reinforce.steps_count = STEPS_MAX;
    setup.recipe.reinforce.rollout_units_count = 48;
    setup.recipe.reinforce.gradient_units_count = 3;
    setup.escrow = 1_000_000_000;
    setup.parameters = vec![(Name::AuditRate, Name::AuditRate.bounds().default)];
    setup
}

/// A miner's temper: which of its units it lies about.
struct Liar {
    address: Address,
    caution: Caution,
    share_micro: u32,
    seed: u32,
    /// Whether one of its units was rejected or void.
    is_noticed: bool,
}

impl Liar {
    /// Whether lies are drawn from a unit that is audited at this rate.
    fn dares(&self, rate: Micro) -> bool {
        match self.caution {
            Caution::None => true,
            Caution::OnceSampled => rate < Micro::ONE,
            Caution::UntilNoticed => !self.is_noticed,
        }
    }
    fn lies(&self, unit: UnitId, rate: Micro) -> bool {
        let [a, b, c, d, ..] = tagged_hash("cairn/liar/v1", &(unit, self.seed));
        let place = u64::from(u32::from_le_bytes([a, b, c, d])) * 1_000_000;
        let is_drawn = place >> 32 < u64::from(self.share_micro);
        unit.kind == UnitKind::Rollout && self.dares(rate) && is_drawn
    }
}

/// The first miner lies until it is slashed or its life is over.
pub(crate) fn life(work: &dyn Work, (caution, share_micro): (Caution, u32), seed: u32) -> Life {
    let setup = work.setup(seed);
    let mut chain = Chain::start(&setup);
    work.register(&mut chain);
    let mut liar = Liar {
        address: chain.miner(0).address(),
        caution,
        share_micro,
        seed,
        is_noticed: false,
    };
    let mut life = Life::default();
    while !life.slashed && life.units < UNITS_MAX && chain.run().step.get() < STEPS_MAX {
        step(work, &mut chain, &mut liar, &mut life);
        if !life.slashed {
            chain.wait_until("the end of the step", Chain::is_attesting);
            chain.attest_checkpoint();
        }
    }
    let owned = chain.balance(liar.address) + chain.miner_record(0).at_risk().get();
    life.earned = owned as f64 - setup.balance as f64;
    life
}

fn step(work: &dyn Work, chain: &mut Chain, liar: &mut Liar, life: &mut Life) {
    chain.open_step();
    let ids: Vec<UnitId> = chain.units().into_iter().map(|(id, _)| id).collect();
    // The rate that a liar sees when it has to decide; the draw's may differ by what happens until
    // then.
    let seen: Vec<(UnitId, Micro)> = ids
        .iter()
        .filter(|id| chain.unit(**id).miner == liar.address)
        .map(|id| {
            let view = chain.view();
            (*id, rate(&view, &run::parameters(&view), *id, liar.address))
        })
        .collect();
    let lies: Vec<UnitId> = seen
        .iter()
        .filter(|(id, rate)| liar.lies(*id, *rate))
        .map(|(id, _)| *id)
        .collect();
    work.commit(chain, &ids, &lies);
    chain.attest_by_all(&ids);
    chain.draw(&ids);
    settle(chain, &ids, &|id| work.verdict(id, lies.contains(&id)));
    let mut is_caught = false;
    for (id, rate) in &seen {
        let unit = chain.unit(*id);
        let price = reward::price(&chain.view(), *id).get() as f64;
        let is_lie = lies.contains(id);
        life.prices += price;
        life.lied += if is_lie { price } else { 0.0 };
        if id.kind != UnitKind::Rollout {
            continue;
        }
        life.units += 1;
        life.lies_used += u64::from(is_lie && unit.is_accepted());
        if is_void_for_fault(&unit) && life.voided_after.is_none() {
            life.voided_after = Some(life.units);
        }
        let draw = unit.commitment.map(|commitment| commitment.draw);
        let is_drawn = matches!(draw, Some(Draw::Drawn { .. }));
        // Audits of one step are simultaneous: those after the first that catches would not have
        // been needed.
        if is_drawn && liar.dares(*rate) && !is_caught {
            life.audits += 1;
            is_caught = is_lie;
        }
    }
    let honest = ids
        .iter()
        .filter(|id| chain.unit(**id).miner != liar.address);
    life.honest_harmed += honest.filter(|id| !chain.unit(**id).is_accepted()).count() as u64;
    life.slashed = matches!(chain.miner_record(0).status, Status::Slashed(_));
    liar.is_noticed |= chain.miner_record(0).units.void > 0 || is_rejected(chain, liar.address);
}

fn is_void_for_fault(unit: &Unit) -> bool {
    matches!(unit.outcome(), Some(Outcome::Void { reason, .. }) if reason.is_for_fault())
}

/// Whether an auditor rejected a unit of this miner in the current step.
fn is_rejected(chain: &Chain, miner: Address) -> bool {
    let units = chain.units().into_iter();
    let mut seats = units
        .filter(|(_, unit)| unit.miner == miner)
        .flat_map(|(_, unit)| unit.audits)
        .flat_map(|audit| audit.seats);
    seats.any(|seat| seat.verdict().is_some_and(|verdict| !verdict.accepts()))
}

/// Answers every audit of these units truthfully until all of them are over.
fn settle(chain: &mut Chain, ids: &[UnitId], verdict: &dyn Fn(UnitId) -> Verdict) {
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
            for auditor in pending(chain, id) {
                let key: SigningKey = chain.key_of(auditor);
                let (bind, reveal) = chain.audit_bodies(&key, id, verdict(id));
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
