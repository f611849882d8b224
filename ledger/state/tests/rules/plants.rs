//! Faults that miners plant, and auditors that do not look.

use crate::{
    openings::judge_blind,
    support::{Chain, Setup, accepting, bind, correction, lie, opening, rejecting, sketch},
};
use governance::parameters::Name;
use ledger_state::{
    Event, run,
    unit::{AuditFault, Outcome, Plant},
};
use protocol::{
    rollout::Opening,
    task::{UnitId, UnitKind},
    transaction::Body,
    verdict::{Check, Finding, Verdict},
};

fn setup() -> Setup {
    Setup {
        parameters: vec![(Name::PlantRate, 500_000)],
        ..Setup::default()
    }
}

/// A unit in its first round that must have, or must not have, a planted fault.
pub(crate) fn drawn(is_planted: bool) -> (Chain, UnitId) {
    let mut chain = Chain::working(&setup());
    let mut ids = chain.units_of(UnitKind::Rollout).into_iter();
    let id = ids.find(|id| opening(&chain, *id).plant.is_some() == is_planted);
    let id = id.expect("of four units, some have a fault and some have none");
    chain.commit(&[id]);
    chain.attest_by_all(&[id]);
    chain.draw(&[id]);
    chain.opens = false;
    (chain, id)
}

pub(crate) fn finish(chain: &mut Chain, id: UnitId, verdict: &Verdict) {
    chain.wait_until("a fresh round", |chain| {
        let unit = chain.unit(id);
        unit.waiting.is_none() && unit.audits.len() == 2
    });
    judge_blind(chain, id, (verdict.clone(), sketch()), true);
}

fn missed(chain: &Chain) -> usize {
    let missed = |event: &Event| {
        let fault = AuditFault::MissedPlant;
        matches!(event, Event::AuditorFined { fault: found, .. } if *found == fault)
    };
    chain.count(missed)
}

#[test]
fn a_planted_fault_that_is_found_costs_nobody_anything_and_the_corrected_unit_is_paid() {
    let (mut chain, id) = drawn(true);
    let found = rejecting(Check::Sampling, 1);
    judge_blind(&mut chain, id, (found, lie()), true);
    assert!(matches!(
        chain.unit(id).opening.plant,
        Some(Plant::Fault { .. })
    ));
    assert_eq!(
        chain.unit(id).opening.sketch,
        None,
        "the next round is blind as well"
    );
    finish(&mut chain, id, &accepting());
    assert!(chain.is_accepted(id));
    assert_eq!(chain.unit(id).opening.correction(), Some(correction()));
    assert_eq!(
        chain.count(|event| matches!(event, Event::AuditorFined { .. })),
        0
    );
    let judged = Event::PlantJudged {
        unit: id,
        is_found: true,
    };
    assert_eq!(chain.count(|event| *event == judged), 1);
    let plants: run::Plants = chain.view().get(&()).unwrap();
    assert_eq!((plants.opened_count, plants.found_count), (1, 1));
}

#[test]
fn an_auditor_that_accepted_a_planted_fault_is_fined() {
    let (mut chain, id) = drawn(true);
    judge_blind(&mut chain, id, (accepting(), sketch()), true);
    assert_eq!(
        missed(&chain),
        0,
        "not before somebody has seen that it is a fault"
    );
    finish(&mut chain, id, &accepting());
    assert!(chain.is_accepted(id));
    assert_eq!(missed(&chain), 1);
}

#[test]
fn a_made_up_fault_convicts_its_miner_and_not_the_auditor_that_saw_none() {
    let (mut chain, id) = drawn(true);
    judge_blind(&mut chain, id, (accepting(), sketch()), true);
    let made_up = rejecting(Check::Plant, 1);
    finish(&mut chain, id, &made_up);
    chain.wait_until("the next round", |chain| chain.unit(id).audits.len() == 3);
    chain.judge(id, |_| Some(made_up.clone()));
    chain.wait_until("the end", |chain| chain.outcome(id).is_some());
    assert!(matches!(chain.outcome(id), Some(Outcome::Slashed { .. })));
    assert_eq!(missed(&chain), 0);
}

/// A commitment whose root hides a plant, or none, against what the miner's randomness says.
fn contradicting(is_planted: bool) -> (Chain, UnitId, Opening) {
    let mut chain = Chain::working(&setup());
    let mut ids = chain.units_of(UnitKind::Rollout).into_iter();
    let id = ids.find(|id| opening(&chain, *id).plant.is_some() == is_planted);
    let id = id.expect("of four units, some have a fault and some have none");
    let honest = opening(&chain, id);
    let plant = honest.plant.is_none().then(correction);
    let lie = Opening { plant, ..honest };
    bind(&mut chain, &lie);
    (chain, id, lie)
}

fn slashed_when_opened(is_planted: bool) {
    let (mut chain, id, lie) = contradicting(is_planted);
    let auditor = chain.seats(id)[0].clone();
    let (bind, _) = crate::support::sketched_bodies(&auditor, id, accepting(), Some(sketch()));
    chain.block(vec![(auditor, bind)]);
    let miner = chain.key_of(chain.unit(id).miner);
    let openings = protocol::codec::BoundedVec::new(vec![lie]).unwrap();
    chain.block(vec![(miner, Body::Open { openings })]);
    let finding = Finding::exact(Check::Plant, 1);
    assert_eq!(chain.outcome(id), Some(Outcome::Slashed { finding }));
}

#[test]
fn a_fault_that_was_due_and_is_denied_is_slashed() {
    slashed_when_opened(true);
}

#[test]
fn a_fault_that_was_not_due_is_slashed() {
    slashed_when_opened(false);
}

#[test]
fn the_sums_of_a_planted_unit_are_those_without_the_fault() {
    let (mut chain, id) = drawn(true);
    judge_blind(&mut chain, id, (accepting(), sketch()), true);
    let claim = chain.unit(id).commitment.unwrap().claim;
    assert_eq!(claim.tokens_count(), correction().totals.tokens_count);
}
