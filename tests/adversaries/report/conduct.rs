//! What dishonest conduct earns, and what it costs others: lives on the production state machine.
//!
//! One of three miners signs two commitments to a share of its units, or serves no blob, or never
//! opens what it sealed; the others and all auditors are honest. Who withholds need not have worked
//! at all, so its gain is that of one that saves the whole cost of what it withholds.
//!
//! A proposer that withholds its block is another matter: it gains nothing by itself, but it can
//! help a miner that lies. It lets its turn pass whenever its randomness would have one of the lies
//! audited, and the next proposer's beacon draws instead. The same lives without that help are the
//! comparison.

use crate::{
    economy::{COST, quantiles},
    economy_chain::{Chain, Setup, accepting, equivocation, rejecting},
    spread::summed,
    statistics::{Mean, Share},
};
use adversaries::{Adversary, Cheat, Conduct};
use governance::parameters::Name;
use ledger_state::{
    bond::Status,
    opening::may_reveal,
    reward, run, sample,
    unit::{Opinion, Unit},
    validator::Validator,
};
use protocol::{
    EnvironmentHash, SigningKey,
    sample::is_drawn,
    task::{UnitId, UnitKind},
    transaction::Body,
    verdict::{Check, Verdict},
};
use serde::Serialize;
use std::collections::BTreeSet;

/// Steps of a life.
const STEPS: u64 = 24;

/// How many more lives there are of a proposer that withholds.
const HELPED_TIMES: u32 = 8;

/// Lives of a miner or proposer that misbehaves about the same share of what it does.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Conducts {
    pub(crate) name: &'static str,
    pub(crate) share_micro: u32,
    /// Lives at whose end it was given no more work: slashed, or without a bond.
    pub(crate) removed: Share,
    /// Units that it was dealt until then: median and 99th percentile.
    pub(crate) units: [Option<u64>; 2],
    /// Units about which it misbehaved, a life, and how many of these were paid.
    pub(crate) misdeeds: f64,
    pub(crate) misdeeds_paid: u64,
    /// Its share of the units of the last step, of what it would have honestly.
    pub(crate) dealt_last: f64,
    /// In tokens, over honest work: of a proposer and the miner it helps, over that miner alone.
    pub(crate) gain: Mean,
    /// Blocks by which the longest step was longer than the shortest.
    pub(crate) held_blocks_max: u64,
    /// Honest miners slashed or units of theirs not paid.
    pub(crate) honest_harmed: u64,
}

#[derive(Default)]
struct Life {
    removed: bool,
    units: u64,
    misdeeds: u64,
    misdeeds_paid: u64,
    dealt_last: f64,
    gain: f64,
    blocks: Vec<u64>,
    honest_harmed: u64,
}

/// Lives of everyone whose conduct is dishonest, or of the one that was asked for.
pub(crate) fn conducts(
    bot: Option<Cheat>,
    lives: u32,
    say: impl FnMut(&Conducts),
) -> Vec<Conducts> {
    let all = adversaries::all().map(Cheat::always);
    let chosen = match bot {
        Some(cheat) => vec![cheat],
        None => all.collect(),
    };
    let conduct = |cheat: &Cheat| cheat.adversary().conduct();
    let chosen = chosen
        .iter()
        .filter(|cheat| conduct(cheat) != Conduct::Honest);
    let shares = |cheat: &Cheat| {
        [1_000_000, 100_000, 10_000].map(|share| cheat.sometimes(share.min(cheat.share_micro())))
    };
    let kinds: Vec<Cheat> = chosen.flat_map(shares).collect();
    let life = |cheat: &Cheat, seed| match conduct(cheat) {
        Conduct::WithholdsBlock => helped(*cheat, seed),
        _ => life(*cheat, seed),
    };
    // Its turn comes in one step of eight, and only a lie that would be caught is a reason.
    let lives = |cheat: &Cheat| match conduct(cheat) {
        Conduct::WithholdsBlock => HELPED_TIMES * lives,
        _ => lives,
    };
    summed(&kinds, lives, life, |cheat, all| sum(*cheat, &all), say)
}

fn sum(cheat: Cheat, all: &[Life]) -> Conducts {
    let sum = |value: fn(&Life) -> u64| all.iter().map(value).sum::<u64>();
    let times: Vec<(u64, bool)> = all.iter().map(|life| (life.units, life.removed)).collect();
    let mean = |value: fn(&Life) -> f64| Mean::new(&all.iter().map(value).collect::<Vec<_>>());
    let held = all.iter().map(|life| {
        let least = life.blocks.iter().min().copied().unwrap_or(0);
        life.blocks.iter().max().copied().unwrap_or(0) - least
    });
    Conducts {
        name: cheat.adversary().name(),
        share_micro: cheat.share_micro(),
        removed: Share::new(sum(|life| u64::from(life.removed)), all.len() as u64),
        units: quantiles(&times),
        misdeeds: mean(|life| life.misdeeds as f64).mean,
        misdeeds_paid: sum(|life| life.misdeeds_paid),
        dealt_last: mean(|life| life.dealt_last).mean,
        gain: mean(|life| life.gain),
        held_blocks_max: held.max().unwrap_or(0),
        honest_harmed: sum(|life| life.honest_harmed),
    }
}

/// Production's windows and rates, in which what is held for long shows.
fn setup(seed: u32, validators: usize) -> Setup {
    let default = |name: Name| (name, name.bounds().default);
    let mut setup = Setup {
        stakes: vec![100_000; validators],
        escrow: 1_000_000_000,
        parameters: vec![default(Name::AuditRate), default(Name::OpeningBlocks)],
        ..Setup::default()
    };
    let mut bytes = [9; 32];
    bytes[..4].copy_from_slice(&seed.to_le_bytes());
    setup.recipe.seed = EnvironmentHash::from_bytes(bytes);
    setup.recipe.schedule.deadline_blocks = 150;
    setup.recipe.schedule.availability_blocks = 160;
    setup.recipe.reinforce.steps_count = STEPS;
    setup.recipe.reinforce.rollout_units_count = 48;
    setup.recipe.reinforce.gradient_units_count = 3;
    setup
}

/// A miner that misbehaves about its units.
fn life(cheat: Cheat, seed: u32) -> Life {
    let setup = setup(seed, 4);
    let mut chain = Chain::start(&setup);
    chain.register_miners();
    let own = chain.miner(0).address();
    let mut life = Life::default();
    let (mut prices, mut saved) = (0.0, 0.0);
    while !life.removed && chain.run().step.get() < STEPS {
        chain.open_step();
        let opened = chain.height().get();
        let ids: Vec<UnitId> = chain.units().iter().map(|(id, _)| *id).collect();
        let (mine, others): (Vec<UnitId>, Vec<UnitId>) =
            ids.iter().partition(|id| chain.unit(**id).miner == own);
        let is_bad = |id: &UnitId| seeded(*id, seed, cheat);
        let bad: Vec<UnitId> = mine.iter().copied().filter(is_bad).collect();
        misbehave(&mut chain, (&ids, &bad), cheat.adversary());
        work_until_closed(&mut chain, |_, _| accepting());
        for id in &mine {
            let price = reward::price(&chain.view(), *id).get() as f64;
            prices += price;
            saved += if bad.contains(id) { COST * price } else { 0.0 };
        }
        life.blocks.push(chain.height().get() - opened);
        life.units += mine.len() as u64;
        life.misdeeds += bad.len() as u64;
        life.misdeeds_paid += bad.iter().filter(|id| chain.is_accepted(**id)).count() as u64;
        // The last step of a run has gradient units only, too few to show a share.
        if chain.run().step.get() + 1 < STEPS {
            life.dealt_last = 3.0 * mine.len() as f64 / ids.len() as f64;
        }
        let harmed = others.iter().filter(|id| !chain.is_accepted(**id));
        life.honest_harmed += harmed.count() as u64;
        let record = chain.miner_record(0);
        let is_slashed = matches!(record.status, Status::Slashed(_));
        life.removed = is_slashed || record.bond.get() == 0;
        chain.attest_checkpoint();
    }
    let owned = chain.balance(own) + chain.miner_record(0).at_risk().get();
    let earned = owned as f64 - setup.balance as f64;
    let honest = (1.0 - COST) * prices;
    // Two signatures save no work.
    if cheat.adversary().conduct() == Conduct::Equivocates {
        saved = 0.0;
    }
    life.gain = earned - COST * prices + saved - honest;
    life
}

/// Other units in other lives.
fn seeded(unit: UnitId, seed: u32, cheat: Cheat) -> bool {
    let hash = protocol::identifiers::tagged_hash("cairn/conduct-life/v1", &(unit, seed));
    let [a, b, c, d, ..] = hash;
    let place = u64::from(u32::from_le_bytes([a, b, c, d])) * 1_000_000;
    place >> 32 < u64::from(cheat.share_micro())
}

/// All units are bound and held, but for what the miner does about the bad ones.
fn misbehave(chain: &mut Chain, (ids, bad): (&[UnitId], &[UnitId]), one: &dyn Adversary) {
    let is_good = |id: &&UnitId| !bad.contains(id);
    let mut held = ids.to_vec();
    match one.conduct() {
        Conduct::WithholdsBlob => held.retain(|id| is_good(&id)),
        Conduct::WithholdsOpening => chain.silent.extend(bad),
        Conduct::Honest | Conduct::Equivocates | Conduct::WithholdsBlock => {}
    }
    chain.commit(ids);
    let rollout = bad.iter().find(|id| id.kind == UnitKind::Rollout);
    if let Some(id) = rollout.filter(|_| one.conduct() == Conduct::Equivocates) {
        let signer = chain.key_of(chain.unit(*id).miner);
        let proof = Box::new(equivocation(chain, *id, &signer));
        chain.block(vec![(
            chain.operator(1),
            Body::ReportEquivocation { proof },
        )]);
        // Its other units are void, and the bond is gone.
        held.retain(|id| chain.outcome(*id).is_none());
    }
    for some in held.chunks(64) {
        chain.attest_by_all(some);
    }
}

/// Everyone says what it has to say as soon as it may.
fn work_until_closed(chain: &mut Chain, truth: impl Fn(UnitId, &Unit) -> Verdict) {
    while !chain.is_attesting() {
        let content = answers(chain, &truth);
        chain.block(content);
    }
}

fn answers(chain: &Chain, truth: &impl Fn(UnitId, &Unit) -> Verdict) -> Vec<(SigningKey, Body)> {
    let next = chain.height().next();
    let mut content = Vec::new();
    for (id, unit) in chain.units() {
        if unit.outcome().is_some() {
            continue;
        }
        let seats = unit.audits.last().map(|audit| audit.seats.as_slice());
        for seat in seats.unwrap_or_default() {
            let key = chain.key_of(seat.auditor);
            let (bind, reveal) = chain.audit_bodies(&key, id, truth(id, &unit));
            match seat.opinion {
                Opinion::Pending => content.push((key, bind)),
                Opinion::Committed { .. } if may_reveal(id, &unit, next) => {
                    content.push((key, reveal));
                }
                Opinion::Committed { .. } | Opinion::Revealed { .. } => {}
            }
        }
    }
    content
}

/// A proposer that lets turns pass to help a miner that lies about every rollout unit as soon as
/// it is no newcomer; the gain is over the same lies without its help.
fn helped(cheat: Cheat, seed: u32) -> Life {
    let mut life = lying(Some(cheat), seed);
    let alone = lying(None, seed);
    life.gain -= alone.gain;
    life
}

/// A share of misdeeds is the share of turns that the proposer is ready to let pass.
fn lying(helper: Option<Cheat>, seed: u32) -> Life {
    let setup = setup(seed, 8);
    let mut chain = Chain::start(&setup);
    chain.register_miners();
    let own = chain.miner(0).address();
    let mut life = Life::default();
    let (mut prices, mut saved) = (0.0, 0.0);
    while !life.removed && chain.run().step.get() < STEPS {
        chain.open_step();
        let opened = chain.height().get();
        let ids = chain.commit_all();
        let mine = ids.iter().filter(|id| chain.unit(**id).miner == own);
        let mine: Vec<UnitId> = mine.copied().collect();
        let view = chain.view();
        let rate = |id: &UnitId| sample::rate(&view, &run::parameters(&view), *id, own);
        let is_lie = |id: &&UnitId| id.kind == UnitKind::Rollout && rate(id) < protocol::Micro::ONE;
        let lies: BTreeSet<UnitId> = mine.iter().filter(is_lie).copied().collect();
        for some in ids.chunks(64) {
            chain.attest_by_all(some);
        }
        life.misdeeds += u64::from(pass_draw(&mut chain, &lies, helper));
        work_until_closed(&mut chain, |id, _| {
            if lies.contains(&id) {
                rejecting(Check::Sampling, 7)
            } else {
                accepting()
            }
        });
        for id in &mine {
            let price = reward::price(&chain.view(), *id).get() as f64;
            prices += price;
            saved += if lies.contains(id) { COST * price } else { 0.0 };
        }
        life.blocks.push(chain.height().get() - opened);
        life.units += mine.len() as u64;
        life.misdeeds_paid += lies.iter().filter(|id| chain.is_accepted(**id)).count() as u64;
        let others = ids.iter().filter(|id| chain.unit(**id).miner != own);
        life.honest_harmed += others.filter(|id| !chain.is_accepted(**id)).count() as u64;
        life.removed = matches!(chain.miner_record(0).status, Status::Slashed(_));
        chain.attest_checkpoint();
    }
    let owned = chain.balance(own) + chain.miner_record(0).at_risk().get();
    let proposer: Option<Validator> = chain.view().get(&chain.operator(0).address());
    let fined = proposer.map_or(0, |row| row.fined.get());
    let earned = owned as f64 - setup.balance as f64 - fined as f64;
    life.gain = earned - COST * prices + saved - (1.0 - COST) * prices;
    life
}

/// Waits for the draw of the current step. Where its turn comes at the block that draws, the helper
/// looks whether its randomness would have a lie audited; returns whether it let the turn pass.
fn pass_draw(chain: &mut Chain, lies: &BTreeSet<UnitId>, helper: Option<Cheat>) -> bool {
    chain.wait(1);
    let header = chain.header();
    let helps = helper.is_some_and(|cheat| {
        let is_own = header.proposer == chain.operator(0).address();
        is_own && cheat.withholds_block(&protocol::codec::encode(&header.beacon_proof))
    });
    let is_caught = helps && {
        let view = chain.view();
        let (tip, parameters) = (run::tip(&view), run::parameters(&view));
        let secret = chain.operator(0).vrf();
        let (output, _) = secret.prove(&tip.beacon.input(tip.chain, header.height));
        let beacon = tip.beacon.next(&output);
        let caught = |id: &UnitId| {
            let miner = chain.unit(*id).miner;
            is_drawn(&beacon, *id, sample::rate(&view, &parameters, *id, miner))
        };
        lies.iter().any(caught)
    };
    let is_last = chain.header_of(1).proposer == header.proposer;
    if is_caught && !is_last {
        chain.extend_in(1, Vec::new());
    } else {
        chain.wait(1);
    }
    is_caught && !is_last
}
