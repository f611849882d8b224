//! The ladder under attack: a third of stake, less a little, does its worst in every seat.
//!
//! Every unit is drawn. Half of the miners lie. The dishonest auditors, who have most of the keys,
//! protect liars and accuse the honest: together, or each in its own way. Honest auditors compute;
//! honest miners appeal. Whatever happens, no honest miner loses its bond, every audit ends, and
//! (by [`crate::support::Chain`]) no token is made or lost.

use super::random::Random;
use crate::support::{Chain, Setup, accepting, rejecting};
use governance::parameters::Name;
use ledger_state::{
    Event,
    bond::Status,
    unit::{Opinion, Outcome, Unit},
};
use protocol::{
    Address, Amount, SigningKey,
    task::UnitId,
    transaction::Body,
    verdict::{Check, Finding, Verdict},
};

/// Two honest validators with 34 % each, eight dishonest ones with 4 % each.
const HONEST_COUNT: usize = 2;
/// Miners from this one on lie.
const LIARS_FROM: usize = 3;

fn setup() -> Setup {
    let mut setup = Setup {
        stakes: [vec![340_000; HONEST_COUNT], vec![40_000; 8]].concat(),
        miners_count: 6,
        parameters: vec![(Name::AuditFaultPenalty, 10), (Name::SilencePenalty, 1)],
        ..Setup::default()
    };
    setup.recipe.pretrain.units_count = 30;
    setup.recipe.reinforce.rollout_units_count = 30;
    setup.recipe.schedule.miners_at_start_count = 6;
    setup
}

fn is_liar(chain: &Chain, miner: Address) -> bool {
    chain.miners[LIARS_FROM..]
        .iter()
        .any(|key| key.address() == miner)
}

/// How the minority behaves.
#[derive(Clone, Copy)]
enum Plan {
    /// As one: everything is the opposite of the truth.
    Together,
    /// Each seat in its own way, silence included.
    Apart,
}

fn lie(plan: Plan, is_liar: bool, random: &mut Random) -> Option<Verdict> {
    match plan {
        Plan::Together if is_liar => Some(accepting()),
        Plan::Together => Some(rejecting(Check::Sampling, 1)),
        Plan::Apart => match random.below(5) {
            0 => None,
            1 => Some(accepting()),
            2 => Some(rejecting(Check::Availability, 1)),
            3 => Some(rejecting(Check::Sampling, 1)),
            _ => {
                let group = u32::try_from(random.below(3)).unwrap();
                let finding = Finding::exact(Check::Reward, random.below(3) + 1).in_group(group);
                Some(Verdict::new(vec![finding]).unwrap())
            }
        },
    }
}

/// What a seat says; the same whenever it is asked in a round.
fn answer(
    chain: &Chain,
    plan: Plan,
    (id, unit): (UnitId, &Unit),
    key: &SigningKey,
    seed: u64,
) -> Option<Verdict> {
    let is_liar = is_liar(chain, unit.miner);
    let honest = (0..HONEST_COUNT).any(|index| chain.operator(index).address() == key.address());
    if honest {
        let wrong = rejecting(Check::Sampling, 9);
        return Some(if is_liar { wrong } else { accepting() });
    }
    let place = format!("{seed} {id} {} {}", unit.audits.len(), key.address());
    let hash = blake3::hash(place.as_bytes());
    let (low, _) = hash.as_bytes().split_first_chunk::<8>().unwrap();
    lie(plan, is_liar, &mut Random::new(u64::from_le_bytes(*low)))
}

/// Everybody does what is to be done in one block.
fn advance(chain: &mut Chain, plan: Plan, seed: u64) {
    let mut content = Vec::new();
    for (id, unit) in chain.units() {
        if unit.outcome().is_some() {
            continue;
        }
        let miner = chain.key_of(unit.miner);
        if unit.conviction.is_some() {
            content.push((miner, Body::Appeal { unit: id }));
            continue;
        }
        let Some(round) = unit.audits.last().filter(|_| unit.waiting.is_none()) else {
            continue;
        };
        let all_bound = round
            .seats
            .iter()
            .all(|seat| seat.opinion != Opinion::Pending);
        let next = chain.height().next();
        for seat in &round.seats {
            let key = chain.key_of(seat.auditor);
            let Some(verdict) = answer(chain, plan, (id, &unit), &key, seed) else {
                continue;
            };
            let (bind, open) = chain.audit_bodies(&key, id, verdict);
            match seat.opinion {
                Opinion::Pending if next <= round.commit_by => content.push((key, bind)),
                Opinion::Committed { .. } if all_bound || next > round.commit_by => {
                    content.push((key, open));
                }
                Opinion::Pending | Opinion::Committed { .. } | Opinion::Revealed { .. } => {}
            }
        }
    }
    chain.block(content);
}

/// One step under attack; returns honest units convicted on the way, and liars slashed.
fn attack(plan: Plan, seed: u64) -> (usize, usize) {
    let mut setup = setup();
    // Another seed, another genesis, other beacons.
    setup.balance += seed;
    let mut chain = Chain::start(&setup);
    chain.register_miners();
    chain.open_step();
    let ids = chain.commit_all();
    for some in ids.chunks(60) {
        chain.attest_by_all(some);
    }
    chain.draw(&ids);
    for _ in 0..90 {
        advance(&mut chain, plan, seed);
    }
    for id in &ids {
        let unit = chain.unit(*id);
        assert!(unit.outcome().is_some(), "seed {seed}: {id} has no end");
        if !is_liar(&chain, unit.miner) {
            assert!(
                !matches!(unit.outcome(), Some(Outcome::Slashed { .. })),
                "seed {seed}: {id}"
            );
        }
    }
    for index in 0..LIARS_FROM {
        let record = chain.miner_record(index);
        assert_eq!(record.status, Status::Active, "seed {seed}");
        assert_eq!(record.bond.get(), 10_000, "seed {seed}");
        assert_eq!((record.accused, record.appealed), (0, Amount::ZERO));
    }
    let convicted = chain.log.iter().filter(|(_, event)| match event {
        Event::UnitConvicted { miner, .. } => !is_liar(&chain, *miner),
        _ => false,
    });
    let slashed = chain.count(|event| matches!(event, Event::MinerSlashed { .. }));
    (convicted.count(), slashed)
}

#[test]
fn a_minority_that_acts_as_one_costs_no_honest_miner_its_bond() {
    let (mut convicted, mut slashed) = (0, 0);
    // Four of its keys in a row must be drawn before an honest unit is convicted at all.
    for seed in 0..80_u8 {
        let found = attack(Plan::Together, seed.into());
        convicted += found.0;
        slashed += found.1;
        if seed >= 3 && convicted > 0 {
            assert!(slashed > usize::from(seed), "{slashed} liars were slashed");
            return;
        }
    }
    panic!("no honest unit was ever convicted on the way");
}

#[test]
fn a_minority_that_acts_at_random_costs_no_honest_miner_its_bond() {
    let slashed: usize = (100..104).map(|seed| attack(Plan::Apart, seed).1).sum();
    assert!(slashed >= 4, "{slashed} liars were slashed");
}
