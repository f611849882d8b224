//! Verifiers: they lock a bond, are drawn like validators, and have no part in consensus.

use super::sortition::{bind, setup as sortition_setup};
use crate::support::{Chain, Setup, accepting, commitment_body, key, rejecting};
use governance::parameters::Name;
use ledger_state::{
    Event,
    auditor::{self, Verifier},
    unit::Tier,
};
use protocol::{
    Amount, SigningKey,
    codec::BoundedVec,
    task::{UnitId, UnitKind},
    transaction::Body,
    verdict::Check,
};

fn verifier() -> SigningKey {
    key("verifier", 0)
}

pub(crate) fn registration(key: &SigningKey, bond: u64) -> Body {
    Body::RegisterVerifier {
        bond: Amount::new(bond),
        vrf: key.vrf().public(),
    }
}

/// A chain with a verifier that has most of what auditors have locked.
fn with_verifier(setup: &Setup) -> Chain {
    let mut setup = setup.clone();
    setup.balance = 2_000_000;
    let mut chain = Chain::start(&setup);
    chain.fund(&verifier(), 1_950_000);
    chain.block(vec![(verifier(), registration(&verifier(), 1_900_000))]);
    chain.keys.push(verifier());
    chain.register_miners();
    chain.open_step();
    chain
}

fn drawn(chain: &mut Chain) -> UnitId {
    let id = chain.units_of(UnitKind::Gradient)[0];
    chain.commit(&[id]);
    chain.attest_by_all(&[id]);
    chain.draw(&[id]);
    id
}

fn record(chain: &Chain) -> Verifier {
    chain.view().get(&verifier().address()).unwrap()
}

#[test]
fn a_verifier_is_drawn_by_its_bond_and_paid_for_its_verdict() {
    let mut chain = with_verifier(&Setup::default());
    let ids: Vec<UnitId> = chain.units().into_iter().map(|(id, _)| id).collect();
    chain.commit(&ids);
    chain.attest_by_all(&ids);
    chain.draw(&ids);
    let is_its = |id: &&UnitId| chain.seats(**id)[0].address() == verifier().address();
    let its: Vec<UnitId> = ids.iter().filter(is_its).copied().collect();
    assert!(its.len() > 3, "it has five of six parts");
    chain.accept_all();
    let paid = 20 * its.len() as u64;
    let record = record(&chain);
    assert_eq!(
        (record.audits_count, record.earned.get()),
        (its.len() as u64, paid)
    );
    assert_eq!(chain.balance(verifier().address()), 50_000 + paid);
}

#[test]
fn a_verifier_that_registers_now_is_drawn_by_later_beacons_only() {
    let mut chain = Chain::start(&Setup {
        balance: 100_000,
        ..Setup::default()
    });
    chain.fund(&verifier(), 50_000);
    let events = chain.block(vec![(verifier(), registration(&verifier(), 40_000))]);
    let bond = Amount::new(40_000);
    let verifier = verifier().address();
    assert_eq!(events, [Event::VerifierRegistered { verifier, bond }]);
    let is_there = |chain: &Chain, at| {
        let all = auditor::all(&chain.view(), at);
        all.iter().any(|auditor| auditor.address == verifier)
    };
    let registered_at = chain.height();
    assert!(!is_there(&chain, registered_at.next()));
    assert!(is_there(&chain, registered_at.saturating_add(2)));
}

#[test]
fn a_verifier_draws_itself_like_a_validator() {
    let mut chain = with_verifier(&sortition_setup());
    let id = drawn(&mut chain);
    let key = verifier();
    // Five sixths of all power may come in the second stage at the latest.
    chain.wait(3);
    let body = bind(&chain, id, &key, accepting());
    chain.block(vec![(key.clone(), body)]);
    assert_eq!(chain.unit(id).audits[0].seats[0].auditor, key.address());
    chain.wait(3);
    let (_, open) = chain.audit_bodies(&key, id, accepting());
    chain.block(vec![(key, open)]);
    assert!(chain.is_accepted(id));
}

#[test]
fn a_verifier_sits_in_the_committee_and_not_among_everyone() {
    let mut chain = with_verifier(&Setup::default());
    let id = drawn(&mut chain);
    chain.climb_to(id, 2, &rejecting(Check::Loss, 1));
    let answer = |key: &SigningKey| (key.address() != verifier().address()).then(accepting);
    chain.bind(id, answer);
    chain.wait_for(chain.unit(id).audits[2].commit_by);
    chain.reveal(id, answer);
    chain.seated(id, 3);
    let unit = chain.unit(id);
    let sits = |round: usize| {
        let mut seats = unit.audits[round].seats.iter();
        seats.any(|seat| seat.auditor == verifier().address())
    };
    assert_eq!(unit.audits[2].tier, Tier::Committee);
    assert!(sits(2) && !sits(3));
    assert_eq!(unit.audits[3].seats.len(), 4);
}

#[test]
fn a_wrong_verifier_pays_from_its_bond() {
    let setup = Setup {
        parameters: vec![(Name::AuditFaultPenalty, 500)],
        ..Setup::default()
    };
    let mut chain = with_verifier(&setup);
    let id = drawn(&mut chain);
    if chain.seats(id)[0].address() != verifier().address() {
        chain.judge(id, |_| Some(rejecting(Check::Loss, 1)));
        chain.seated(id, 1);
    }
    chain.judge(id, |key| {
        let is_it = key.address() == verifier().address();
        Some(if is_it {
            rejecting(Check::Loss, 1)
        } else {
            accepting()
        })
    });
    while chain.outcome(id).is_none() {
        let rounds = chain.unit(id).audits.len();
        chain.seated(id, rounds);
        chain.judge(id, |_| Some(accepting()));
    }
    let record = record(&chain);
    assert_eq!((record.fined.get(), record.bond.get()), (500, 1_899_500));
}

#[test]
fn a_verifier_attests_no_blobs() {
    let mut chain = with_verifier(&Setup::default());
    let id = chain.units_of(UnitKind::Gradient)[0];
    let miner = chain.key_of(chain.unit(id).miner);
    let body = commitment_body(&chain, id);
    chain.block(vec![(miner, body)]);
    let units = BoundedVec::new(vec![id]).unwrap();
    let rejection = chain.reject(verifier(), Body::AttestBlobs { units });
    assert_eq!(rejection.name(), "NotValidator");
}
