//! The last round: every validator repeats what is contested; more than two thirds must agree.

use crate::support::{Chain, Setup, accepting, rejecting};
use ledger_state::{
    bond::{Miner, Status},
    run,
    unit::{Outcome, Tier, VoidReason},
    validator::Validator,
};
use protocol::{
    SigningKey,
    task::{UnitId, UnitKind},
    verdict::{Check, Finding, Verdict},
};

const NO_QUORUM: Outcome = VoidReason::NoQuorum.outcome();

fn wrong() -> Verdict {
    rejecting(Check::Sampling, 7)
}

/// A unit that everyone is asked about.
fn asked() -> (Chain, UnitId) {
    asked_with(&Setup::default())
}

fn asked_with(setup: &Setup) -> (Chain, UnitId) {
    let (mut chain, id) = Chain::audited(setup);
    chain.climb_to(id, 3, &wrong());
    (chain, id)
}

fn miner(chain: &Chain, id: UnitId) -> Miner {
    chain.view().get(&chain.unit(id).miner).unwrap()
}

fn burned(chain: &Chain) -> u64 {
    run::tip(&chain.view()).burned.get()
}

#[test]
fn a_quorum_of_all_stake_slashes_at_once_and_finally() {
    let (mut chain, id) = asked();
    chain.judge(id, |_| Some(wrong()));
    let finding = Finding::exact(Check::Sampling, 7);
    assert_eq!(chain.outcome(id), Some(Outcome::Slashed { finding }));
    let rejection = chain.reject(
        chain.key_of(chain.unit(id).miner),
        protocol::transaction::Body::Appeal { unit: id },
    );
    assert_eq!(rejection.name(), "NotConvicted");
}

#[test]
fn a_quorum_of_all_stake_accepts() {
    let (mut chain, id) = asked();
    let odd = chain.operator(3).address();
    chain.judge(id, |key| {
        Some(if key.address() == odd {
            wrong()
        } else {
            accepting()
        })
    });
    assert!(chain.is_accepted(id));
    assert_eq!(miner(&chain, id).bond.get(), 10_000);
}

#[test]
fn when_everyone_is_silent_the_unit_is_void_and_the_silent_pay() {
    let (mut chain, id) = asked();
    let before = burned(&chain);
    chain.wait_until("settlement", |chain| chain.outcome(id).is_some());
    assert_eq!(chain.outcome(id), Some(NO_QUORUM));
    assert_eq!(chain.height(), chain.unit(id).audits[3].commit_by.next());
    assert_eq!(burned(&chain) - before, 400, "and nobody else does");
    assert_eq!(miner(&chain, id).status, Status::Active);
}

#[test]
fn split_verdicts_void_the_unit() {
    let (mut chain, id) = asked();
    let halves = [chain.operator(0).address(), chain.operator(1).address()];
    chain.judge(id, |key| {
        let accepts = halves.contains(&key.address());
        Some(if accepts { accepting() } else { wrong() })
    });
    assert_eq!(chain.outcome(id), Some(NO_QUORUM));
    assert_eq!(burned(&chain), 0);
}

#[test]
fn rejections_for_different_reasons_do_not_add_up() {
    let differing = [
        [rejecting(Check::Sampling, 7), rejecting(Check::Sampling, 8)],
        [rejecting(Check::Sampling, 7), rejecting(Check::Reward, 7)],
        [
            rejecting(Check::Sampling, 7),
            rejecting(Check::Availability, 7),
        ],
    ];
    for [one, other] in differing {
        let (mut chain, id) = asked();
        let half = [chain.operator(0).address(), chain.operator(3).address()];
        chain.judge(id, |key| {
            let first = half.contains(&key.address());
            Some(if first { one.clone() } else { other.clone() })
        });
        assert_eq!(chain.outcome(id), Some(NO_QUORUM));
        assert_eq!(miner(&chain, id).status, Status::Active);
    }
}

#[test]
fn three_of_four_suffice_and_the_fourth_need_not_speak() {
    let (mut chain, id) = asked();
    let silent = chain.operator(2).address();
    let answer = |key: &SigningKey| (key.address() != silent).then(wrong);
    chain.bind(id, answer);
    chain.wait_for(chain.unit(id).audits[3].commit_by);
    assert_eq!(chain.outcome(id), None);
    chain.reveal(id, answer);
    let finding = Finding::exact(Check::Sampling, 7);
    assert_eq!(chain.outcome(id), Some(Outcome::Slashed { finding }));
}

#[test]
fn half_of_the_stake_cannot_slash() {
    let (mut chain, id) = asked();
    let speaking = [chain.operator(0).address(), chain.operator(1).address()];
    let answer = |key: &SigningKey| speaking.contains(&key.address()).then(wrong);
    chain.bind(id, answer);
    chain.wait_for(chain.unit(id).audits[3].commit_by);
    chain.reveal(id, answer);
    assert_eq!(chain.outcome(id), Some(NO_QUORUM));
    assert_eq!(miner(&chain, id).bond.get(), 10_000);
}

#[test]
fn everyone_repeats_the_group_that_most_of_the_committee_named() {
    let named = |group: u32| {
        let finding = Finding::exact(Check::Sampling, 7).in_group(group);
        Verdict::new(vec![finding]).unwrap()
    };
    let mut chain = Chain::working(&Setup::default());
    let id = chain.units_of(UnitKind::Rollout)[0];
    chain.commit(&[id]);
    chain.attest_by_all(&[id]);
    chain.draw(&[id]);
    chain.climb_to(id, 2, &named(0));
    let groups = [1, 1, 0, 3];
    let group = |chain: &Chain, key: &SigningKey| {
        let index = (0..4).find(|index| chain.operator(*index).address() == key.address());
        groups[index.unwrap()]
    };
    let answers: Vec<_> = chain
        .seats(id)
        .iter()
        .map(|key| (key.address(), group(&chain, key)))
        .collect();
    chain.judge(id, |key| {
        let said = answers.iter().find(|(who, _)| *who == key.address());
        said.map(|(_, group)| named(*group))
    });
    let round = chain.unit(id).audits[3].clone();
    assert_eq!(round.tier, Tier::Everyone { group: Some(1) });
    // Whoever accused another group was not judged by this.
    chain.judge(id, |_| Some(accepting()));
    assert!(chain.is_accepted(id));
    let fined = |index: usize| {
        let key = chain.operator(index).address();
        let record: Validator = chain.view().get(&key).unwrap();
        record.fined.get()
    };
    assert_eq!([fined(0), fined(1)], [1_000, 1_000]);
    assert_eq!(fined(3), 0);
}

#[test]
fn everyone_repeats_the_whole_of_a_gradient_and_of_what_nobody_accused() {
    let (chain, id) = asked();
    assert_eq!(id.kind, UnitKind::Gradient);
    assert_eq!(
        chain.unit(id).audits[3].tier,
        Tier::Everyone { group: None }
    );

    let mut chain = Chain::working(&Setup::default());
    let id = chain.units_of(UnitKind::Rollout)[0];
    chain.commit(&[id]);
    chain.attest_by_all(&[id]);
    chain.draw(&[id]);
    chain.seated(id, 3);
    assert_eq!(
        chain.unit(id).audits[3].tier,
        Tier::Everyone { group: None }
    );
}

/// Fines change powers; part and whole are counted from the same ones.
#[test]
fn quorums_count_stake_after_fines() {
    let mut setup = Setup::default();
    let penalty = governance::parameters::Name::AuditFaultPenalty;
    setup.parameters = vec![(penalty, 1_000_000)];
    setup.recipe.schedule.deadline_blocks = 30;
    let (mut chain, id) = Chain::audited(&setup);
    let first = chain.seats(id)[0].clone();
    chain.climb_to(id, 1, &wrong());
    chain.judge(id, |_| Some(accepting()));
    let record: Validator = chain.view().get(&first.address()).unwrap();
    assert_eq!(record.stake.get(), 1);

    // Three validators with 100 000 each are left, and one with 1: two of the three are no
    // quorum, and with that token they are.
    let other = chain.units_of(UnitKind::Rollout)[0];
    let honest = (0..4).filter(|index| chain.operator(*index).address() != first.address());
    let honest: Vec<usize> = honest.collect();
    let fined = (0..4).find(|index| !honest.contains(index)).unwrap();
    chain.commit(&[other]);
    let available_at = |chain: &Chain| chain.unit(other).commitment.unwrap().available_at;
    chain.attest(&[honest[0], honest[1]], &[other]);
    assert_eq!(available_at(&chain), None);
    chain.attest(&[fined], &[other]);
    assert!(available_at(&chain).is_some());
}
