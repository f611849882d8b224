//! What a final conviction costs, and who gets a share of it.

use crate::support::{Chain, Setup, accepting, rejecting};
use ledger_state::{
    Event,
    bond::Status,
    run,
    unit::{Outcome, VoidReason},
    validator::Validator,
};
use protocol::{
    transaction::Body,
    verdict::{Check, Finding, Verdict},
};

fn wrong() -> Verdict {
    rejecting(Check::Sampling, 7)
}

fn burned(chain: &Chain) -> u64 {
    run::tip(&chain.view()).burned.get()
}

#[test]
fn bond_and_unvested_pay_are_lost_and_the_finder_gets_a_share() {
    let mut chain = Chain::working(&Setup::default());
    let ids = chain.units_of_miner(0);
    let (paid, lie) = (ids[0], ids[1]);
    chain.commit(&[paid, lie]);
    chain.attest_by_all(&[paid, lie]);
    chain.draw(&[paid, lie]);
    chain.judge(paid, |_| Some(accepting()));
    let vesting = chain.miner_record(0).vesting_total().get();
    assert!(vesting > 0);
    let balance = chain.balance(chain.miner(0).address());
    let first = chain.unit(lie).audits[0].seats[0].auditor;
    chain.convict(lie, &wrong());

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
    assert!(
        [20, 40].contains(&(finder.earned.get() - bounty)),
        "{finder:?}"
    );
    assert_eq!(chain.balance(finder.holder), finder.earned.get());
    let is_slash =
        |event: &Event| matches!(event, Event::MinerSlashed { unit, .. } if *unit == lie);
    assert_eq!(chain.count(is_slash), 1);
    chain.wait(40);
    let now = chain.balance(chain.miner(0).address());
    assert_eq!(now, balance, "nothing vests");
}

#[test]
fn open_units_of_a_slashed_miner_are_void_and_accepted_ones_stay() {
    let mut setup = Setup::default();
    setup.recipe.reinforce.rollout_units_count = 9;
    setup.recipe.schedule.deadline_blocks = 30;
    let mut chain = Chain::working(&setup);
    let ids = chain.units_of_miner(0);
    let (accepted, lie, assigned) = (ids[0], ids[1], &ids[2..]);
    assert!(!assigned.is_empty());
    chain.commit(&[accepted, lie]);
    chain.attest_by_all(&[accepted, lie]);
    chain.draw(&[accepted, lie]);
    chain.judge(accepted, |_| Some(accepting()));
    chain.convict(lie, &wrong());
    assert!(chain.is_accepted(accepted));
    let void = VoidReason::MinerSlashed.outcome();
    for id in assigned {
        assert_eq!(chain.outcome(*id), Some(void));
    }
    chain.wait_until("the end of the step", Chain::is_attesting);
    chain.attest_checkpoint();
    let rejection = chain.reject(chain.miner(0), Body::Resume);
    assert_eq!(rejection.name(), "MinerSlashed");
}

/// A finder is who first found what the unit is slashed for, whoever else found something.
#[test]
fn a_bounty_goes_to_the_first_round_that_found_the_fraud() {
    let (mut chain, id) = Chain::audited(&Setup::default());
    let first = chain.seats(id)[0].address();
    chain.judge(id, |_| Some(rejecting(Check::Sampling, 8)));
    chain.seated(id, 1);
    chain.judge(id, |_| Some(wrong()));
    chain.wait_until("the slash", |chain| chain.outcome(id).is_some());
    assert_eq!(burned(&chain), 10_000 - 333 * 3);
    for index in 0..4 {
        let key = chain.operator(index).address();
        let record: Validator = chain.view().get(&key).unwrap();
        let bounty = if key == first { 0 } else { 333 };
        assert_eq!(record.earned.get(), 20 + bounty);
    }
}
