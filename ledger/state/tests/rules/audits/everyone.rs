//! The second round: every validator re-executes, and more than two thirds must agree.

use crate::support::{Chain, Setup, accepting, rejecting};
use ledger_state::{
    Event,
    bond::{Miner, Status},
    run,
    unit::{Outcome, VoidReason},
    validator::Validator,
};
use protocol::{
    SigningKey,
    task::UnitId,
    transaction::Body,
    verdict::{Check, Finding, Verdict},
};

const NO_QUORUM: Outcome = Outcome::Void {
    reason: VoidReason::NoQuorum,
};

fn wrong() -> Verdict {
    rejecting(Check::Sampling, 7)
}

/// A chain whose first auditor rejected a unit.
fn escalated() -> (Chain, UnitId, SigningKey) {
    let (mut chain, id) = Chain::audited(&Setup::default());
    let first = chain.seats(id)[0].clone();
    chain.judge(id, |_| Some(wrong()));
    (chain, id, first)
}

/// Everyone but the first auditor accepts.
fn overturn(chain: &mut Chain, id: UnitId, first: &SigningKey) {
    chain.judge(id, |key| {
        let is_first = key.address() == first.address();
        Some(if is_first { wrong() } else { accepting() })
    });
}

fn miner(chain: &Chain, id: UnitId) -> Miner {
    chain.view().get(&chain.unit(id).miner).unwrap()
}

fn stake(chain: &Chain, operator: &SigningKey) -> u64 {
    let record: Validator = chain.view().get(&operator.address()).unwrap();
    record.stake.get()
}

fn burned(chain: &Chain) -> u64 {
    run::tip(&chain.view()).burned.get()
}

#[test]
fn a_quorum_for_the_same_contradiction_slashes_bond_and_unvested_pay() {
    let mut chain = Chain::working(&Setup::default());
    let ids = chain.units_of_miner(0);
    let (paid, lie) = (ids[0], ids[1]);
    for id in [paid, lie] {
        chain.commit(&[id]);
        chain.attest_by_all(&[id]);
        chain.draw(&[id]);
        if id == paid {
            chain.judge(id, |_| Some(accepting()));
        }
    }
    let vesting = chain.miner_record(0).vesting_total().get();
    assert!(vesting > 0);
    let balance = chain.balance(chain.miner(0).address());
    chain.judge(lie, |_| Some(wrong()));
    assert_eq!(burned(&chain), 0);
    let first = chain.unit(lie).audits[0].seats[0].auditor;
    chain.judge(lie, |_| Some(wrong()));

    let finding = Finding::exact(Check::Sampling, 7);
    assert_eq!(chain.outcome(lie), Some(Outcome::Slashed { finding }));
    let record = chain.miner_record(0);
    assert_eq!((record.bond.get(), record.vesting_total().get()), (0, 0));
    let bounty = (10_000 + vesting) / 10;
    assert_eq!(burned(&chain), 10_000 + vesting - bounty);
    assert!(matches!(record.status, Status::Slashed(slashed)
        if slashed.unit == lie && slashed.burned.get() == 10_000 + vesting - bounty
            && slashed.bounty.get() == bounty));
    let finder: Validator = chain.view().get(&first).unwrap();
    let others = [20, 40].map(|audits| audits + bounty);
    assert!(others.contains(&(finder.earned.get() - 20)), "{finder:?}");
    assert_eq!(chain.balance(finder.holder), finder.earned.get());
    let is_slash =
        |event: &Event| matches!(event, Event::MinerSlashed { unit, .. } if *unit == lie);
    assert_eq!(chain.count(is_slash), 1);
    chain.wait(40);
    assert_eq!(
        chain.balance(chain.miner(0).address()),
        balance,
        "nothing vests"
    );
}

#[test]
fn open_units_of_a_slashed_miner_are_void_and_accepted_ones_stay() {
    let mut setup = Setup::default();
    setup.recipe.reinforce.rollout_units_count = 9;
    setup.recipe.schedule.deadline_blocks = 20;
    let mut chain = Chain::working(&setup);
    let ids = chain.units_of_miner(0);
    let (accepted, lie, assigned) = (ids[0], ids[1], &ids[2..]);
    assert!(!assigned.is_empty());
    chain.commit(&[accepted, lie]);
    chain.attest_by_all(&[accepted, lie]);
    chain.draw(&[accepted, lie]);
    chain.judge(accepted, |_| Some(accepting()));
    chain.judge(lie, |_| Some(wrong()));
    chain.judge(lie, |_| Some(wrong()));
    assert!(chain.is_accepted(accepted));
    let void = Outcome::Void {
        reason: VoidReason::MinerSlashed,
    };
    for id in assigned {
        assert_eq!(chain.outcome(*id), Some(void));
    }
    chain.wait_until("the end of the step", Chain::is_attesting);
    chain.attest_checkpoint();
    let rejection = chain.reject(chain.miner(0), Body::Resume);
    assert_eq!(rejection.name(), "MinerSlashed");
}

#[test]
fn a_rejection_that_everyone_overturns_is_fined_once() {
    let (mut chain, id, first) = escalated();
    let bond = miner(&chain, id).bond;
    overturn(&mut chain, id, &first);
    assert!(chain.is_accepted(id));
    assert_eq!(
        stake(&chain, &first),
        99_000,
        "both its rejections cost one fine"
    );
    assert_eq!(burned(&chain), 1_000);
    assert_eq!(miner(&chain, id).bond, bond);
    let is_fine = |event: &Event| matches!(event, Event::AuditorFined { .. });
    assert_eq!(chain.count(is_fine), 1);
}

#[test]
fn a_fine_leaves_one_token_of_stake() {
    let mut setup = Setup::default();
    let penalty = governance::parameters::Name::AuditFaultPenalty;
    setup.parameters = vec![(penalty, 1_000_000)];
    let (mut chain, id) = Chain::audited(&setup);
    let first = chain.seats(id)[0].clone();
    chain.judge(id, |_| Some(wrong()));
    overturn(&mut chain, id, &first);
    assert!(chain.is_accepted(id));
    assert_eq!(stake(&chain, &first), 1);
    assert_eq!(burned(&chain), 99_999);
}

#[test]
fn when_everyone_is_silent_the_unit_is_void_and_the_silent_pay() {
    let (mut chain, id, first) = escalated();
    chain.wait_until("settlement", |chain| chain.outcome(id).is_some());
    assert_eq!(chain.outcome(id), Some(NO_QUORUM));
    assert_eq!(chain.height(), chain.unit(id).audits[1].commit_by.next());
    assert_eq!(burned(&chain), 400, "silence costs each of them");
    assert_eq!(stake(&chain, &first), 99_900);
    assert_eq!(miner(&chain, id).status, Status::Active);
}

#[test]
fn split_verdicts_void_the_unit() {
    let (mut chain, id, _) = escalated();
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
    let (mut chain, id, _) = escalated();
    let odd = chain.operator(3).address();
    let half = [chain.operator(0).address(), odd];
    chain.judge(id, |key| {
        let measured = if half.contains(&key.address()) { 7 } else { 8 };
        Some(rejecting(Check::Sampling, measured))
    });
    assert_eq!(chain.outcome(id), Some(NO_QUORUM));
    assert_eq!(miner(&chain, id).status, Status::Active);
}

#[test]
fn three_of_four_suffice_and_the_fourth_need_not_speak() {
    let (mut chain, id, _) = escalated();
    let silent = chain.operator(2).address();
    let answer = |key: &SigningKey| (key.address() != silent).then(wrong);
    chain.bind(id, answer);
    chain.wait_for(chain.unit(id).audits[1].commit_by);
    assert_eq!(chain.outcome(id), None);
    chain.reveal(id, answer);
    let finding = Finding::exact(Check::Sampling, 7);
    assert_eq!(chain.outcome(id), Some(Outcome::Slashed { finding }));
}

#[test]
fn half_of_the_stake_cannot_slash() {
    let (mut chain, id, _) = escalated();
    let speaking = [chain.operator(0).address(), chain.operator(1).address()];
    let answer = |key: &SigningKey| speaking.contains(&key.address()).then(wrong);
    chain.bind(id, answer);
    chain.wait_for(chain.unit(id).audits[1].commit_by);
    chain.reveal(id, answer);
    assert_eq!(chain.outcome(id), Some(NO_QUORUM));
    assert_eq!(miner(&chain, id).bond.get(), 10_000);
}

/// A finder is who first found what the unit is slashed for, whoever else found something.
#[test]
fn a_bounty_goes_to_the_first_round_that_found_the_fraud() {
    let (mut chain, id) = Chain::audited(&Setup::default());
    let first = chain.seats(id)[0].address();
    chain.judge(id, |_| Some(rejecting(Check::Sampling, 8)));
    let silent = chain.operator(2).address();
    let speaking: Vec<_> = (0..4).map(|index| chain.operator(index)).collect();
    let answer = |key: &SigningKey| (key.address() != silent).then(wrong);
    chain.bind(id, answer);
    chain.wait_for(chain.unit(id).audits[1].commit_by);
    chain.reveal(id, answer);
    assert_eq!(burned(&chain), 10_000 - 333 * 3 + 100, "and silence");
    for key in speaking {
        let record: Validator = chain.view().get(&key.address()).unwrap();
        let audits = if key.address() == first { 40 } else { 20 };
        if key.address() == silent {
            assert_eq!(record.fined.get(), 100);
        } else {
            assert_eq!(record.earned.get(), audits + 333);
        }
    }
}

#[test]
fn whoever_still_had_time_when_the_others_decided_is_not_silent() {
    let (mut chain, id, _) = escalated();
    chain.bind(id, |_| Some(accepting()));
    let late = chain.operator(1).address();
    chain.reveal(id, |key| (key.address() != late).then(accepting));
    assert!(chain.is_accepted(id));
    let silent = |event: &Event| {
        let silent = ledger_state::unit::AuditFault::Silent;
        matches!(event, Event::AuditorFined { fault, .. } if *fault == silent)
    };
    assert_eq!(chain.count(silent), 0);
}

/// Fines change powers; part and whole are counted from the same ones.
#[test]
fn quorums_count_stake_after_fines() {
    let mut setup = Setup::default();
    let penalty = governance::parameters::Name::AuditFaultPenalty;
    setup.parameters = vec![(penalty, 1_000_000)];
    setup.recipe.schedule.deadline_blocks = 20;
    let (mut chain, id) = Chain::audited(&setup);
    let first = chain.seats(id)[0].clone();
    chain.judge(id, |_| Some(wrong()));
    overturn(&mut chain, id, &first);
    assert_eq!(stake(&chain, &first), 1);

    // Three validators with 100 000 each are left, and one with 1: two of the three are no
    // quorum, and with that token they are.
    let other = chain.units_of(protocol::task::UnitKind::Rollout)[0];
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
