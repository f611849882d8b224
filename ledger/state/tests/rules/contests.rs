//! Contests: an outvoted auditor that is right wins against any majority, and one that is wrong
//! pays.

use crate::{
    disputes::world::{Court, Lie, change, wrong},
    support::{accepting, equivocation, rejecting, sketched_bodies},
};
use engine_trace::Kind;
use ledger_state::{
    Event, Rejection,
    bond::{Miner, Status},
    unit::{AuditFault, Outcome, Tier, VoidReason},
    verdict::contest::outvoted,
};
use protocol::{
    Address, Amount,
    task::UnitKind,
    transaction::Body,
    verdict::{Check, Finding},
};

fn fined(court: &Court, wanted: AuditFault) -> Vec<Address> {
    let fines = court.chain.log.iter().filter_map(|(_, event)| match event {
        Event::AuditorFined { auditor, fault, .. } if *fault == wanted => Some(*auditor),
        _ => None,
    });
    let mut fined: Vec<Address> = fines.collect();
    fined.sort_unstable();
    fined
}

/// Contests that are over: whose, and whether they were lost.
fn ended(court: &Court) -> Vec<(Address, bool)> {
    let ended = court.chain.log.iter().filter_map(|(_, event)| match event {
        Event::ContestEnded {
            auditor, is_lost, ..
        } => Some((*auditor, *is_lost)),
        _ => None,
    });
    ended.collect()
}

fn judges(court: &Court, round: usize) -> Vec<Address> {
    let seats = court.unit().audits[round].seats.clone().into_iter();
    let mut judges: Vec<Address> = seats.map(|seat| seat.auditor).collect();
    judges.sort_unstable();
    judges
}

fn miner_of(court: &Court) -> Miner {
    court.chain.view().get(&court.unit().miner).unwrap()
}

/// The bounty of the only slash.
fn bounty(court: &Court) -> Amount {
    let Status::Slashed(slashed) = miner_of(court).status else {
        panic!("the miner is not slashed: {:?}", court.unit());
    };
    slashed.bounty
}

#[test]
fn an_outvoted_auditor_that_is_right_wins_against_all_that_accepted() {
    for lie in [
        Lie::Number(Kind::Qkv, 0),
        Lie::Batch(Kind::Tokens),
        Lie::Loss,
        Lie::Moments,
        Lie::Update,
    ] {
        let mut court = Court::outvoted(lie);
        let [honest] = judges(&court, 0)[..] else {
            panic!("one auditor first");
        };
        assert_eq!(court.unit().outcome(), None, "{lie:?}: nothing is paid yet");
        court.contest(honest);
        let purse = court.purse(honest);
        let before = court.chain.balance(purse);
        assert_eq!(miner_of(&court).appealed, Amount::new(1_000));
        assert_eq!(miner_of(&court).accused, 1);
        court.play(&court.honest.clone());
        let finding = Finding::exact(Check::State, 1);
        let slashed = Outcome::Slashed { finding };
        assert_eq!(court.unit().outcome(), Some(slashed), "{lie:?}");
        let gained = bounty(&court).get();
        assert_eq!(gained, 1_000, "a tenth of the miner's bond");
        assert_eq!(court.chain.balance(purse), before + 1_000 + gained);
        assert_eq!(fined(&court, AuditFault::Overturned), judges(&court, 1));
        assert_eq!(ended(&court), [(honest, false)]);
        let record = miner_of(&court);
        assert_eq!((record.accused, record.appealed.get()), (0, 0));
    }
}

#[test]
fn one_that_is_wrong_loses_its_bond_and_the_unit_is_paid() {
    let mut court = Court::outvoted(Lie::No);
    let liar = judges(&court, 0)[0];
    court.contest(liar);
    let purse = court.purse(liar);
    let before = court.chain.balance(purse);
    let mut own = court.honest.clone();
    change(&mut own[0].trace, 20, 1);
    own[0].trace.again_from(21);
    own[0].taken.loss_micro += 1;
    court.play(&own);
    assert!(court.unit().is_accepted());
    assert_eq!(court.chain.balance(purse), before);
    assert_eq!(fined(&court, AuditFault::Overturned), [liar]);
    assert_eq!(ended(&court), [(liar, true)]);
    let record = miner_of(&court);
    assert_eq!((record.accused, record.appealed.get()), (0, 0));
    assert!(record.earned > Amount::ZERO);
}

#[test]
fn silence_loses_on_either_side() {
    let mut court = Court::outvoted(Lie::No);
    let liar = judges(&court, 0)[0];
    court.contest(liar);
    let steps = court.body(&court.defence());
    court.chain.block(vec![(court.miner(), steps)]);
    court.wait();
    assert!(court.unit().is_accepted());
    assert_eq!(ended(&court), [(liar, true)]);

    // The miner has nothing to show.
    let mut court = Court::outvoted(Lie::Loss);
    let honest = judges(&court, 0)[0];
    court.contest(honest);
    court.wait();
    assert!(matches!(
        court.unit().outcome(),
        Some(Outcome::Slashed { .. })
    ));
    assert_eq!(ended(&court), [(honest, false)]);
}

#[test]
fn an_acceptance_waits_as_long_as_a_conviction_and_then_counts() {
    let mut court = Court::outvoted(Lie::No);
    let contest_by = court.unit().contest.unwrap().contest_by;
    assert_eq!(contest_by, court.chain.height().saturating_add(4));
    court.chain.wait_for(contest_by);
    assert_eq!(
        court.unit().outcome(),
        None,
        "a contest could be in this block"
    );
    assert!(fined(&court, AuditFault::Overturned).is_empty());
    court.chain.wait(1);
    assert!(court.unit().is_accepted());
    assert_eq!(fined(&court, AuditFault::Overturned), judges(&court, 0));
    assert_eq!(court.dispute(), None);
}

#[test]
fn an_auditor_that_named_another_end_may_contest_whatever_it_said() {
    let mut court = Court::begun(Lie::Moments, true);
    court.first_says(accepting(), court.end_sketch());
    court.chain.judge(court.id, |_| Some(accepting()));
    let honest = judges(&court, 0)[0];
    let finding = Finding::exact(Check::State, 1);
    let able = outvoted(&court.chain.view(), court.id, &court.unit());
    assert_eq!(able.into_iter().collect::<Vec<_>>(), [(honest, finding)]);
    court.contest(honest);
    court.play(&court.honest.clone());
    assert_eq!(court.unit().outcome(), Some(Outcome::Slashed { finding }));
    assert_eq!(fined(&court, AuditFault::Overturned), judges(&court, 1));
}

#[test]
fn auditors_that_convict_and_lose_on_purpose_free_no_liar() {
    let mut court = Court::opened(Lie::Number(Kind::Norm1, 0));
    let honest = judges(&court, 0)[0];
    let three = judges(&court, 1);
    let steps = court.body(&court.defence());
    court.chain.block(vec![(court.miner(), steps)]);
    for _ in 0..3 {
        court.wait();
    }
    assert_eq!(court.unit().outcome(), None, "the first auditor is heard");
    let able = outvoted(&court.chain.view(), court.id, &court.unit());
    assert_eq!(able.into_keys().collect::<Vec<_>>(), [honest]);
    court.contest(honest);
    court.play(&court.honest.clone());
    assert!(matches!(
        court.unit().outcome(),
        Some(Outcome::Slashed { .. })
    ));
    assert_eq!(fined(&court, AuditFault::Silent), three);
    assert_eq!(ended(&court), [(honest, false)]);
    let record = miner_of(&court);
    assert_eq!((record.accused, record.appealed.get()), (0, 0));
}

/// A unit that a committee of four accepted against the first auditor: it, and an accomplice of the
/// miner that had rejected it among the three.
fn accepted_by_committee(lie: Lie) -> (Court, Address, Address) {
    let mut court = Court::begun(lie, true);
    court.first_says(wrong(), court.end_sketch());
    let honest = judges(&court, 0)[0];
    let accomplice = judges(&court, 1)[0];
    court.chain.judge(court.id, |key| {
        let rejects = key.address() == accomplice;
        Some(if rejects { wrong() } else { accepting() })
    });
    court.chain.seated(court.id, 2);
    court.chain.judge(court.id, |key| {
        let rejects = key.address() == honest;
        Some(if rejects { wrong() } else { accepting() })
    });
    assert_eq!(court.unit().audits[2].tier, Tier::Committee);
    (court, honest, accomplice)
}

#[test]
fn an_accomplice_that_contests_first_saves_no_liar() {
    let (mut court, honest, accomplice) = accepted_by_committee(Lie::Moments);
    court.contest(accomplice);
    assert_eq!(court.dispute(), None, "another may still join");
    court.contest(honest);
    let steps = court.body(&court.defence());
    court.chain.block(vec![(court.miner(), steps)]);
    court.wait();
    assert_eq!(ended(&court), [(accomplice, true)]);
    court.play(&court.honest.clone());
    assert!(matches!(
        court.unit().outcome(),
        Some(Outcome::Slashed { .. })
    ));
    assert_eq!(ended(&court), [(accomplice, true), (honest, false)]);
    assert_eq!(fined(&court, AuditFault::Silent), [accomplice]);
}

#[test]
fn a_round_that_accepts_hears_everyone_that_is_bound() {
    let mut court = Court::begun(Lie::Moments, true);
    court.first_says(accepting(), court.end_sketch());
    let one = judges(&court, 1)[0];
    court.chain.judge(court.id, |key| {
        let rejects = key.address() == one;
        let also = rejecting(Check::Encoding, 1);
        Some(if rejects { also } else { accepting() })
    });
    court.chain.seated(court.id, 2);
    let late = court.chain.seats(court.id)[3].clone();
    let says = |key: &protocol::SigningKey| {
        let rejects = key.address() == late.address();
        Some(if rejects { wrong() } else { accepting() })
    };
    court.chain.bind(court.id, says);
    court.chain.reveal(court.id, |key| {
        (key.address() != late.address()).then(accepting)
    });
    assert_eq!(court.unit().contest, None, "one is bound and not heard");
    let sketch = Some(crate::support::state_at(1).sketch());
    let (_, open) = sketched_bodies(&late, court.id, wrong(), sketch);
    court.chain.block(vec![(late.clone(), open)]);
    let able = outvoted(&court.chain.view(), court.id, &court.unit());
    assert!(able.contains_key(&late.address()));
    assert!(court.unit().contest.is_some());
}

#[test]
fn what_its_miner_never_opened_is_not_paid_whoever_accepts_it() {
    let mut court = Court::begun(Lie::Moments, true);
    let auditor = court.chain.seats(court.id)[0].clone();
    let sketch = Some(court.end_sketch());
    let (bind, reveal) = sketched_bodies(&auditor, court.id, wrong(), sketch);
    court.chain.block(vec![(auditor.clone(), bind)]);
    let open_by = court.unit().opening.open_by.unwrap();
    court.chain.wait_for(open_by.next());
    court.chain.block(vec![(auditor, reveal)]);
    court.chain.seated(court.id, 1);
    court.chain.judge(court.id, |_| Some(accepting()));
    let withheld = VoidReason::Withheld.outcome();
    assert_eq!(court.unit().outcome(), Some(withheld));
}

#[test]
fn what_no_dispute_decides_is_accepted_at_once() {
    // The run starts from weights that nobody named.
    let mut court = Court::begun(Lie::Moments, false);
    court.first_says(wrong(), court.end_sketch());
    court.chain.judge(court.id, |_| Some(accepting()));
    assert!(court.unit().is_accepted());

    // What was found is no operation.
    let mut court = Court::begun(Lie::No, true);
    court.first_says(rejecting(Check::Encoding, 1), court.end_sketch());
    court.chain.judge(court.id, |_| Some(accepting()));
    assert!(court.unit().is_accepted());
}

#[test]
fn a_contest_ends_with_its_unit() {
    let mut court = Court::outvoted(Lie::No);
    let auditor = judges(&court, 0)[0];
    court.contest(auditor);
    let miner = court.miner();
    let units = court.chain.units().into_iter();
    let mut own = units.filter(|(_, unit)| unit.miner == miner.address());
    let (other, _) = own.find(|(id, _)| id.kind == UnitKind::Rollout).unwrap();
    let proof = Box::new(equivocation(&court.chain, other, &miner));
    let report = Body::ReportEquivocation { proof };
    court.chain.block(vec![(court.chain.operator(0), report)]);
    let void = VoidReason::MinerSlashed.outcome();
    assert_eq!(court.unit().outcome(), Some(void));
    assert_eq!(ended(&court), [(auditor, false)], "it was not wrong");
    assert_eq!(miner_of(&court).appealed, Amount::ZERO);
}

/// A contest by one that accepted the unit.
pub(crate) fn by_one_that_accepted() -> Rejection {
    let court = Court::outvoted(Lie::No);
    let key = court.chain.key_of(judges(&court, 1)[0]);
    court.chain.reject(key, Body::Appeal { unit: court.id })
}

/// A contest by one that contests already.
pub(crate) fn twice() -> Rejection {
    let (mut court, honest, _) = accepted_by_committee(Lie::No);
    court.contest(honest);
    let key = court.chain.key_of(honest);
    court.chain.reject(key, Body::Appeal { unit: court.id })
}

/// A contest in the block after its last height.
pub(crate) fn late() -> Rejection {
    let mut court = Court::outvoted(Lie::No);
    let contest_by = court.unit().contest.unwrap().contest_by;
    court.fund(judges(&court, 0)[0]);
    court.chain.wait_for(contest_by);
    let key = court.chain.key_of(judges(&court, 0)[0]);
    court.chain.reject(key, Body::Appeal { unit: court.id })
}

/// A contest by one whose holder cannot pay the bond.
pub(crate) fn unpaid() -> Rejection {
    let court = Court::outvoted(Lie::No);
    let key = court.chain.key_of(judges(&court, 0)[0]);
    court.chain.reject(key, Body::Appeal { unit: court.id })
}

/// A verdict bound while an acceptance waits.
pub(crate) fn bound_meanwhile() -> Rejection {
    let court = Court::outvoted(Lie::No);
    let key = court.chain.key_of(judges(&court, 1)[0]);
    let sketch = Some(court.end_sketch());
    let (bind, _) = sketched_bodies(&key, court.id, accepting(), sketch);
    court.chain.reject(key, bind)
}
