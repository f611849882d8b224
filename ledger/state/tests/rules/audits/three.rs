//! The second round: three auditors that have not judged the unit.

use crate::support::{Chain, Setup, accepting, rejecting};
use ledger_state::{
    Event,
    unit::{AuditFault, Tier},
};
use protocol::{
    task::UnitId,
    verdict::{Check, Finding, Verdict},
};

fn wrong() -> Verdict {
    rejecting(Check::Sampling, 7)
}

/// A unit that its first auditor rejected, and three are asked about.
fn asked() -> (Chain, UnitId) {
    let (mut chain, id) = Chain::audited(&Setup::default());
    chain.climb_to(id, 1, &wrong());
    (chain, id)
}

#[test]
fn three_others_are_drawn_by_a_later_beacon() {
    let (mut chain, id) = Chain::audited(&Setup::default());
    let first = chain.seats(id)[0].address();
    chain.judge(id, |_| Some(wrong()));
    let rejected_at = chain.height();
    let waiting = chain.unit(id).waiting.unwrap();
    assert_eq!(waiting.tier, Tier::Three);
    assert_eq!(waiting.draw_at, rejected_at.saturating_add(2));
    chain.wait(1);
    assert_eq!(chain.unit(id).audits.len(), 1);
    chain.wait(1);
    let round = chain.unit(id).audits[1].clone();
    assert_eq!((round.tier, round.seats.len()), (Tier::Three, 3));
    assert!(
        round
            .seats
            .iter()
            .all(|seat| seat.auditor != first && seat.weight == 1)
    );
    assert_eq!(round.commit_by, waiting.draw_at.saturating_add(4));
}

#[test]
fn three_that_accept_settle_the_unit_and_the_first_auditor_is_fined() {
    let (mut chain, id) = asked();
    let first = chain.unit(id).audits[0].seats[0].auditor;
    chain.judge(id, |_| Some(accepting()));
    assert!(chain.is_accepted(id));
    let fine = Event::AuditorFined {
        auditor: first,
        unit: id,
        fault: AuditFault::Overturned,
        burned: protocol::Amount::new(1_000),
    };
    assert_eq!(chain.count(|event| *event == fine), 1);
}

#[test]
fn three_that_find_the_same_convict_and_the_conviction_is_frozen() {
    let (mut chain, id) = asked();
    let miner = chain.unit(id).miner;
    chain.judge(id, |_| Some(wrong()));
    let conviction = chain.unit(id).conviction.unwrap();
    assert_eq!(conviction.finding, Finding::exact(Check::Sampling, 7));
    assert_eq!(conviction.appeal_by, chain.height().saturating_add(4));
    let record: ledger_state::bond::Miner = chain.view().get(&miner).unwrap();
    assert_eq!((record.accused, record.bond.get()), (1, 10_000));
    chain.wait_for(conviction.appeal_by);
    assert_eq!(chain.outcome(id), None, "an appeal could be in this block");
    chain.wait(1);
    let finding = conviction.finding;
    let slashed = ledger_state::unit::Outcome::Slashed { finding };
    assert_eq!(chain.outcome(id), Some(slashed));
}

#[test]
fn three_that_differ_in_anything_go_to_a_committee() {
    let odd = [
        Some(accepting()),
        Some(rejecting(Check::Sampling, 8)),
        Some(rejecting(Check::Reward, 7)),
        None,
    ];
    for odd in odd {
        let (mut chain, id) = asked();
        let last = chain.seats(id)[2].address();
        let answer = |key: &protocol::SigningKey| {
            if key.address() == last {
                odd.clone()
            } else {
                Some(wrong())
            }
        };
        chain.bind(id, answer);
        if odd.is_none() {
            chain.wait_for(chain.unit(id).audits[1].commit_by);
        }
        chain.reveal(id, answer);
        chain.seated(id, 2);
        assert_eq!(chain.unit(id).audits[2].tier, Tier::Committee, "{odd:?}");
        assert_eq!(chain.unit(id).conviction, None);
    }
}

#[test]
fn three_silent_ones_go_to_a_committee() {
    let (mut chain, id) = asked();
    chain.seated(id, 2);
    let silent = |event: &Event| {
        let silent = AuditFault::Silent;
        matches!(event, Event::AuditorFined { fault, .. } if *fault == silent)
    };
    assert_eq!(chain.count(silent), 3);
}

#[test]
fn three_that_lost_the_blob_convict_nobody() {
    let (mut chain, id) = asked();
    chain.judge(id, |_| Some(rejecting(Check::Availability, 1)));
    assert_eq!(chain.unit(id).conviction, None);
    chain.seated(id, 2);
}

/// Three validators and the first auditor's seat: two are left, which are not three.
#[test]
fn where_three_others_are_not_to_be_had_a_committee_judges() {
    let setup = Setup {
        stakes: vec![100_000; 3],
        ..Setup::default()
    };
    let (mut chain, id) = Chain::audited(&setup);
    chain.judge(id, |_| Some(wrong()));
    chain.seated(id, 1);
    let round = chain.unit(id).audits[1].clone();
    assert_eq!((round.tier, round.seats.len()), (Tier::Committee, 3));
}
