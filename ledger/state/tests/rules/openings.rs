//! What a miner sealed, and when it opens it.

use crate::support::{Chain, Setup, accepting, lie, rejecting, sketch, sketched_bodies};
use governance::parameters::Name;
use ledger_state::{
    Event,
    unit::{AuditFault, Outcome, Tier, VoidReason},
    validator::Validator,
};
use protocol::{
    rollout::Sketch,
    task::{UnitId, UnitKind},
    transaction::Body,
    verdict::{Check, Finding, Verdict},
};

/// A rollout unit in its first round; its miner opens nothing by itself.
pub(crate) fn blind(setup: &Setup) -> (Chain, UnitId) {
    let mut chain = Chain::working(setup);
    let id = chain.units_of(UnitKind::Rollout)[0];
    chain.commit(&[id]);
    chain.attest_by_all(&[id]);
    chain.draw(&[id]);
    chain.opens = false;
    (chain, id)
}

/// The first auditor binds; the miner opens if it does; the auditor opens.
pub(crate) fn judge_blind(
    chain: &mut Chain,
    id: UnitId,
    (verdict, sketch): (Verdict, Sketch),
    opens: bool,
) {
    let auditor = chain.seats(id)[0].clone();
    let (bind, reveal) = sketched_bodies(&auditor, id, verdict, Some(sketch));
    chain.block(vec![(auditor.clone(), bind)]);
    if opens {
        let miner = chain.key_of(chain.unit(id).miner);
        let body = chain.open_body(&[id]);
        chain.block(vec![(miner, body)]);
    } else {
        let open_by = chain.unit(id).opening.open_by.unwrap();
        chain.wait_for(open_by);
    }
    chain.block(vec![(auditor, reveal)]);
}

fn fined(chain: &Chain, wanted: AuditFault) -> usize {
    chain.count(|event| matches!(event, Event::AuditorFined { fault, .. } if *fault == wanted))
}

#[test]
fn an_auditor_that_names_the_miners_sketch_blind_settles_the_unit() {
    let (mut chain, id) = blind(&Setup::default());
    judge_blind(
        &mut chain,
        id,
        (accepting(), crate::support::sketch()),
        true,
    );
    assert!(chain.is_accepted(id));
    assert_eq!(chain.unit(id).audits.len(), 1);
}

#[test]
fn an_auditor_that_names_another_sketch_is_judged_by_three_and_fined() {
    let (mut chain, id) = blind(&Setup::default());
    judge_blind(&mut chain, id, (accepting(), lie()), true);
    chain.wait_until("three are drawn", |chain| chain.unit(id).audits.len() == 2);
    assert_eq!(chain.unit(id).audits[1].tier, Tier::Three);
    chain.judge(id, |_| Some(accepting()));
    assert!(chain.is_accepted(id));
    assert_eq!(
        fined(&chain, AuditFault::Overturned),
        1,
        "it had not looked"
    );
}

#[test]
fn a_miner_that_sealed_something_else_is_convicted_and_its_first_auditor_is_not_fined() {
    let (mut chain, id) = blind(&Setup::default());
    // The auditor computed another sketch than the miner sealed.
    judge_blind(&mut chain, id, (accepting(), lie()), true);
    chain.wait_until("three are drawn", |chain| chain.unit(id).audits.len() == 2);
    chain.judge(id, |_| Some(rejecting(Check::Activations, 1)));
    chain.wait_until("the end", |chain| chain.outcome(id).is_some());
    let finding = Finding::exact(Check::Activations, 1);
    assert_eq!(chain.outcome(id), Some(Outcome::Slashed { finding }));
    assert_eq!(fined(&chain, AuditFault::Overturned), 0);
}

/// The sketch is right, and a seal hides something else: the auditor sees it when the seals are
/// open, and says so when it reveals.
#[test]
fn an_auditor_of_a_blind_round_is_heard_about_seals_that_were_closed_when_it_bound_its_verdict() {
    let (mut chain, id) = blind(&Setup::default());
    let auditor = chain.seats(id)[0].clone();
    let (bind, mut reveal) = sketched_bodies(&auditor, id, accepting(), Some(sketch()));
    chain.block(vec![(auditor.clone(), bind)]);
    let body = chain.open_body(&[id]);
    chain.block(vec![(chain.key_of(chain.unit(id).miner), body)]);
    let finding = Finding::exact(Check::Activations, 1).in_group(1);
    if let Body::AuditReveal { verdict, .. } = &mut reveal {
        *verdict = verdict.with(finding);
    }
    chain.block(vec![(auditor.clone(), reveal)]);
    chain.wait_until("three are drawn", |chain| chain.unit(id).audits.len() == 2);
    let seen = accepting().with(finding);
    chain.judge(id, |_| Some(seen.clone()));
    let holder = chain.view().get::<Validator>(&auditor.address());
    let holder = holder.unwrap().holder;
    let before = chain.balance(holder);
    chain.wait_until("the end", |chain| chain.outcome(id).is_some());
    assert_eq!(chain.outcome(id), Some(Outcome::Slashed { finding }));
    assert!(
        chain.balance(holder) > before,
        "it was the first to find it"
    );
    assert_eq!(fined(&chain, AuditFault::Overturned), 0);
}

#[test]
fn a_unit_that_is_not_opened_is_void_and_costs_a_penalty() {
    let (mut chain, id) = blind(&Setup::default());
    let miner = chain.unit(id).miner;
    let index = chain
        .miners
        .iter()
        .position(|key| key.address() == miner)
        .unwrap();
    let before = chain.miner_record(index);
    judge_blind(
        &mut chain,
        id,
        (accepting(), crate::support::sketch()),
        false,
    );
    chain.wait_until("the end", |chain| chain.outcome(id).is_some());
    let reason = VoidReason::Withheld;
    assert_eq!(chain.outcome(id), Some(reason.outcome()));
    let after = chain.miner_record(index);
    assert_eq!(
        after.bond.get(),
        before.bond.get() - 1_000,
        "the default penalty"
    );
    assert!(after.quota < before.quota);
    assert_eq!(fined(&chain, AuditFault::Overturned), 0);
}

#[test]
fn a_unit_that_is_rejected_and_not_opened_is_judged_all_the_same() {
    let (mut chain, id) = blind(&Setup::default());
    let verdict = rejecting(Check::Sampling, 2);
    judge_blind(
        &mut chain,
        id,
        (verdict.clone(), crate::support::sketch()),
        false,
    );
    chain.wait_until("three are drawn", |chain| chain.unit(id).audits.len() == 2);
    chain.judge(id, |_| Some(verdict.clone()));
    chain.wait_until("the end", |chain| chain.outcome(id).is_some());
    assert!(matches!(chain.outcome(id), Some(Outcome::Slashed { .. })));
}

#[test]
fn a_spared_unit_is_paid_once_its_miner_has_said_that_nothing_was_planted() {
    let parameters = vec![(Name::AuditRate, 10_000), (Name::NewcomerUnits, 0)];
    let mut setup = Setup {
        parameters,
        ..Setup::default()
    };
    setup.recipe.pay.rollout_unit = protocol::Amount::new(1);
    let mut chain = Chain::working(&setup);
    chain.opens = false;
    let ids = chain.units_of(UnitKind::Rollout);
    chain.commit(&ids);
    chain.attest_by_all(&ids);
    chain.draw(&ids);
    let spared = ids
        .into_iter()
        .filter(|id| chain.unit(*id).audits.is_empty());
    let spared: Vec<UnitId> = spared.collect();
    let (first, second) = (spared[0], spared[1]);
    assert_eq!(chain.outcome(first), None);
    let body = chain.open_body(&[first]);
    chain.block(vec![(chain.key_of(chain.unit(first).miner), body)]);
    assert!(chain.is_accepted(first));
    chain.wait_until("the end", |chain| chain.outcome(second).is_some());
    let reason = VoidReason::Withheld;
    assert_eq!(chain.outcome(second), Some(reason.outcome()));
}
