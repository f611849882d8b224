//! The third round: sixty-four seats, or all auditors with their stake if they are fewer.

use crate::support::{Chain, Setup, accepting, rejecting};
use ledger_state::unit::{Outcome, Tier, VoidReason};
use protocol::{
    SigningKey,
    task::UnitId,
    verdict::{Check, Finding, Verdict},
};

fn wrong() -> Verdict {
    rejecting(Check::Sampling, 7)
}

/// A unit that a committee is asked about.
fn asked(stakes: &[u64]) -> (Chain, UnitId) {
    let setup = Setup {
        stakes: stakes.to_vec(),
        ..Setup::default()
    };
    let (mut chain, id) = Chain::audited(&setup);
    chain.climb_to(id, 2, &wrong());
    assert_eq!(chain.unit(id).audits[2].tier, Tier::Committee);
    (chain, id)
}

#[test]
fn few_auditors_all_sit_with_their_stake() {
    let (chain, id) = asked(&[100_000, 200_000, 300_000, 100_000]);
    let round = chain.unit(id).audits[2].clone();
    assert_eq!(round.seats.len(), 4);
    for seat in round.seats {
        let record: ledger_state::validator::Validator = chain.view().get(&seat.auditor).unwrap();
        assert_eq!(seat.weight, record.stake.get());
    }
}

#[test]
fn many_auditors_have_sixty_four_seats_in_all() {
    let mut setup = Setup {
        stakes: vec![1_000; 80],
        ..Setup::default()
    };
    setup.stakes[0] = 80_000;
    let (mut chain, id) = Chain::audited(&setup);
    chain.climb_to(id, 2, &wrong());
    let round = chain.unit(id).audits[2].clone();
    assert!(round.seats.len() < 64, "the largest has several");
    let weights = round.seats.iter().map(|seat| seat.weight);
    assert_eq!(weights.clone().sum::<u64>(), 64);
    assert!(weights.max().unwrap() > 16, "it has half of all stake");
    let listed = round.seats.iter().map(|seat| seat.auditor);
    assert!(listed.is_sorted(), "one entry an auditor");
}

#[test]
fn more_than_two_thirds_of_weight_accept_or_convict() {
    let (mut chain, id) = asked(&[100_000; 4]);
    let odd = chain.operator(1).address();
    chain.judge(id, |key| {
        let is_odd = key.address() == odd;
        Some(if is_odd { wrong() } else { accepting() })
    });
    assert!(chain.is_accepted(id));

    let (mut chain, id) = asked(&[100_000; 4]);
    chain.judge(id, |key| {
        let is_odd = key.address() == odd;
        Some(if is_odd { accepting() } else { wrong() })
    });
    let conviction = chain.unit(id).conviction.unwrap();
    assert_eq!(conviction.finding, Finding::exact(Check::Sampling, 7));
    chain.wait_until("the slash", |chain| chain.outcome(id).is_some());
    let finding = conviction.finding;
    assert_eq!(chain.outcome(id), Some(Outcome::Slashed { finding }));
}

/// Three of four keys, with a tenth of the stake, are no quorum.
#[test]
fn keys_without_stake_convict_nobody() {
    let (mut chain, id) = asked(&[970_000, 10_000, 10_000, 10_000]);
    let honest = chain.operator(0).address();
    chain.judge(id, |key| {
        let is_honest = key.address() == honest;
        Some(if is_honest { accepting() } else { wrong() })
    });
    assert!(chain.is_accepted(id));
}

#[test]
fn without_a_quorum_everyone_is_asked() {
    let (mut chain, id) = asked(&[100_000; 4]);
    let halves = [chain.operator(0).address(), chain.operator(1).address()];
    chain.judge(id, |key| {
        let accepts = halves.contains(&key.address());
        Some(if accepts { accepting() } else { wrong() })
    });
    assert!(matches!(
        chain.unit(id).audits[3].tier,
        Tier::Everyone { .. }
    ));
    assert_eq!(
        chain.unit(id).audits[3].seats.len(),
        4,
        "at once, for nobody is drawn"
    );

    let (mut chain, id) = asked(&[100_000; 4]);
    let speaks = chain.operator(0).address();
    let answer = |key: &SigningKey| (key.address() == speaks).then(wrong);
    chain.bind(id, answer);
    chain.wait_for(chain.unit(id).audits[2].commit_by);
    chain.reveal(id, answer);
    chain.seated(id, 3);
}

#[test]
fn a_committee_that_lost_the_blob_voids_the_unit() {
    let (mut chain, id) = asked(&[100_000; 4]);
    chain.judge(id, |_| Some(rejecting(Check::Availability, 1)));
    let reason = VoidReason::Lost;
    assert_eq!(chain.outcome(id), Some(reason.outcome()));
}
