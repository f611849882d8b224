//! Fines: who was overturned, in either direction, and who was silent.

use crate::support::{Chain, Setup, accepting, rejecting};
use governance::parameters::Name;
use ledger_state::{Event, run, unit::AuditFault, validator::Validator};
use protocol::{
    Address, SigningKey,
    task::UnitId,
    verdict::{Check, Verdict},
};

fn wrong() -> Verdict {
    rejecting(Check::Sampling, 7)
}

fn asked(round: usize) -> (Chain, UnitId) {
    let (mut chain, id) = Chain::audited(&Setup::default());
    chain.climb_to(id, round, &wrong());
    (chain, id)
}

fn fined(chain: &Chain, auditor: Address) -> u64 {
    let record: Validator = chain.view().get(&auditor).unwrap();
    assert_eq!(record.stake.get() + record.fined.get(), 100_000);
    record.fined.get()
}

fn fines(chain: &Chain, wanted: AuditFault) -> usize {
    chain.count(|event| matches!(event, Event::AuditorFined { fault, .. } if *fault == wanted))
}

#[test]
fn rejections_that_the_end_overturns_are_fined_once_an_auditor() {
    let (mut chain, id) = asked(2);
    let rejecting: Vec<Address> = chain.unit(id).audits[..2]
        .iter()
        .flat_map(|audit| &audit.seats)
        .filter(|seat| seat.verdict().is_some_and(|verdict| !verdict.accepts()))
        .map(|seat| seat.auditor)
        .collect();
    assert_eq!(rejecting.len(), 3);
    let again = rejecting[0];
    // One of them says it again before the committee, and is alone.
    chain.judge(id, |key| {
        Some(if key.address() == again {
            wrong()
        } else {
            accepting()
        })
    });
    assert!(chain.is_accepted(id));
    for index in 0..4 {
        let auditor = chain.operator(index).address();
        let expected = if rejecting.contains(&auditor) {
            1_000
        } else {
            0
        };
        assert_eq!(fined(&chain, auditor), expected);
    }
    assert_eq!(run::tip(&chain.view()).burned.get(), 3_000);
}

#[test]
fn acceptances_that_the_end_overturns_are_fined_as_well() {
    let (mut chain, id) = asked(2);
    let three = chain.unit(id).audits[1].clone();
    let accepted = three.seats[2].auditor;
    chain.judge(id, |_| Some(wrong()));
    chain.wait_until("the slash", |chain| chain.outcome(id).is_some());
    for index in 0..4 {
        let auditor = chain.operator(index).address();
        let expected = if auditor == accepted { 1_000 } else { 0 };
        assert_eq!(fined(&chain, auditor), expected);
    }
}

#[test]
fn nobody_is_overturned_by_a_void() {
    let (mut chain, id) = asked(3);
    let half = [chain.operator(0).address(), chain.operator(1).address()];
    chain.judge(id, |key| {
        let accepts = half.contains(&key.address());
        Some(if accepts { accepting() } else { wrong() })
    });
    assert!(chain.outcome(id).is_some());
    assert_eq!(fines(&chain, AuditFault::Overturned), 0);
}

#[test]
fn whoever_could_not_get_a_blob_that_others_had_pays_as_the_silent_do() {
    let (mut chain, id) = Chain::audited(&Setup::default());
    let first = chain.seats(id)[0].address();
    chain.judge(id, |_| Some(rejecting(Check::Availability, 1)));
    chain.seated(id, 1);
    chain.judge(id, |_| Some(accepting()));
    assert!(chain.is_accepted(id));
    assert_eq!(fined(&chain, first), 100);
}

#[test]
fn seats_that_never_bind_or_never_open_are_silent() {
    let (mut chain, id) = asked(1);
    let seats: Vec<Address> = chain.seats(id).iter().map(SigningKey::address).collect();
    let answer = |key: &SigningKey| (key.address() != seats[0]).then(accepting);
    chain.bind(id, answer);
    chain.wait_for(chain.unit(id).audits[1].commit_by);
    chain.reveal(id, |key| (key.address() == seats[2]).then(accepting));
    assert_eq!(
        fines(&chain, AuditFault::Silent),
        0,
        "the second still has time"
    );
    chain.wait_for(chain.unit(id).audits[1].reveal_by.next());
    let fined = seats.iter().map(|auditor| fined(&chain, *auditor));
    assert_eq!(fined.collect::<Vec<_>>(), [100, 100, 0]);
}

#[test]
fn whoever_still_had_time_when_the_others_decided_is_not_silent() {
    let (mut chain, id) = asked(2);
    chain.bind(id, |_| Some(wrong()));
    let late = chain.operator(1).address();
    chain.reveal(id, |key| (key.address() != late).then(wrong));
    assert!(chain.unit(id).conviction.is_some());
    assert_eq!(fines(&chain, AuditFault::Silent), 0);
}

#[test]
fn a_fine_leaves_one_token_of_stake() {
    let setup = Setup {
        parameters: vec![(Name::AuditFaultPenalty, 1_000_000)],
        ..Setup::default()
    };
    let (mut chain, id) = Chain::audited(&setup);
    let first = chain.seats(id)[0].address();
    chain.climb_to(id, 1, &wrong());
    chain.judge(id, |_| Some(accepting()));
    assert_eq!(fined(&chain, first), 99_999);
}
