//! How much work a miner is given: by bond, less after refusals and gaps.

use crate::support::{Chain, Setup, registration};
use ledger_state::{bond::Status, run::Stage};
use protocol::{Micro, transaction::Body};

/// Many units, so that shares are seen.
fn setup() -> Setup {
    let mut setup = Setup::default();
    setup.recipe.pretrain.units_count = 30;
    setup.recipe.reinforce.rollout_units_count = 30;
    setup.recipe.reinforce.gradient_units_count = 30;
    setup
}

fn quota(chain: &Chain, miner: usize) -> u64 {
    chain.miner_record(miner).quota.get()
}

fn close(chain: &mut Chain) {
    chain.wait_until("the end of the step", Chain::is_attesting);
    chain.attest_checkpoint();
}

#[test]
fn units_are_dealt_in_proportion_to_bonds() {
    let mut chain = Chain::start(&setup());
    let register = |chain: &Chain, index: usize, bond: u64| {
        let key = chain.miner(index);
        (key.clone(), registration(&key, bond))
    };
    let content = [(0, 10_000), (1, 20_000), (2, 30_000)];
    let content = content.map(|(index, bond)| register(&chain, index, bond));
    chain.block(content.to_vec());
    chain.open_step();
    let loads = [0, 1, 2].map(|index| chain.units_of_miner(index).len());
    assert_eq!(loads, [10, 20, 30]);
}

#[test]
fn whoever_joins_while_a_step_opens_is_given_units_of_the_next() {
    let mut setup = setup();
    setup.recipe.schedule.miners_at_start_count = 2;
    let mut chain = Chain::start(&setup);
    let register = |chain: &Chain, index: usize| {
        let key = chain.miner(index);
        (key.clone(), registration(&key, 10_000))
    };
    let content = vec![register(&chain, 0), register(&chain, 1)];
    chain.block(content);
    // The next block yields the beacon, so this one comes too late to be chosen for it.
    let late = vec![register(&chain, 2)];
    chain.block(late);
    assert!(!chain.is_working());
    chain.wait(1);
    assert!(chain.is_working());
    assert!(chain.units_of_miner(2).is_empty());
    let record = chain.miner_record(2);
    let Stage::Working { assigned_at, .. } = chain.run().stage else {
        panic!("the step is open");
    };
    assert_eq!(record.eligible_from, assigned_at.next());
    chain.honest_step();
    chain.open_step();
    assert!(!chain.units_of_miner(2).is_empty());
}

#[test]
fn every_unit_passed_over_halves_the_quota_and_accepted_ones_restore_it() {
    let mut chain = Chain::working(&setup());
    let own = chain.units_of_miner(1);
    assert_eq!(own.len(), 20);
    let others = [chain.units_of_miner(0), chain.units_of_miner(2)].concat();
    let done = [&others[..], &own[..18]].concat();
    chain.commit(&done);
    chain.attest_by_all(&done);
    chain.draw(&done);
    chain.accept_all();
    assert_eq!(quota(&chain, 1), 1_000_000, "it cannot be more than whole");
    close(&mut chain);
    assert_eq!(quota(&chain, 1), 250_000);
    assert_eq!(chain.miner_record(1).status, Status::Active);
    chain.open_step();
    let loads = [0, 1, 2].map(|index| chain.units_of_miner(index).len());
    assert!((5..=8).contains(&loads[1]), "a ninth of 60: {loads:?}");
    chain.honest_step();
    let restored = 250_000 + 50_000 * loads[1] as u64;
    assert_eq!(quota(&chain, 1), restored);
}

#[test]
fn a_miner_that_is_away_is_halved_once_and_never_below_the_least_quota() {
    let mut chain = Chain::working(&setup());
    let mut expected = 1_000_000;
    for _ in 0..3 {
        let present = [chain.units_of_miner(0), chain.units_of_miner(1)].concat();
        chain.commit(&present);
        chain.attest_by_all(&present);
        chain.draw(&present);
        chain.accept_all();
        let is_dealt_some = !chain.units_of_miner(2).is_empty();
        close(&mut chain);
        if is_dealt_some {
            expected /= 2;
        }
        assert_eq!(quota(&chain, 2), expected);
        if chain.miner_record(2).status == Status::Idle {
            chain.block(vec![(chain.miner(2), Body::Resume)]);
        }
        if !matches!(chain.run().stage, Stage::Finished) {
            chain.open_step();
        }
    }
    assert!(expected < 1_000_000);

    // Thirty refusals in one step leave what eleven leave.
    let mut chain = Chain::working(&setup());
    let own = chain.units_of_miner(0);
    chain.commit(&own[..1]);
    let deadline = chain.unit(own[0]).deadline;
    chain.wait_for(deadline.next());
    assert_eq!(chain.miner_record(0).quota, Micro::new(10_000));
}

#[test]
fn a_withheld_blob_halves_the_quota_of_its_miner() {
    let mut chain = Chain::working(&setup());
    let own = chain.units_of_miner(0);
    let others = [chain.units_of_miner(1), chain.units_of_miner(2)].concat();
    let all = [&own[..], &others[..]].concat();
    chain.commit(&all);
    let served = [&own[2..], &others[..]].concat();
    chain.attest_by_all(&served);
    chain.draw(&served);
    chain.accept_all();
    chain.wait_until("the end of the step", Chain::is_attesting);
    let record = chain.miner_record(0);
    assert_eq!((record.units.void, record.quota.get()), (2, 250_000));
    assert_eq!((record.judged, chain.miner_record(1).judged), (0, 20));
}
