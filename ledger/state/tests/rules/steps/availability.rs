//! Blobs that validators hold, or not.

use crate::support::{Chain, Setup, rejecting};
use governance::parameters::Name;
use ledger_state::{
    Event,
    bond::Status,
    unit::{Draw, Kept, Outcome, VoidReason},
};
use protocol::{
    Height,
    task::{UnitId, UnitKind},
    verdict::Check,
};

const UNAVAILABLE: Outcome = VoidReason::Unavailable.outcome();

#[test]
fn a_blob_that_too_few_validators_hold_voids_its_unit() {
    let mut chain = Chain::working(&Setup::default());
    let ids = chain.commit_all();
    chain.attest(&[0, 1], &ids);
    chain.wait_until("the end of the step", Chain::is_attesting);
    for id in ids {
        assert_eq!(chain.outcome(id), Some(UNAVAILABLE));
        assert!(chain.unit(id).audits.is_empty());
    }
    for index in 0..3 {
        let record = chain.miner_record(index);
        assert!(record.units.void > 1, "and is fined once");
        let left = 10_000 - Name::UnavailablePenalty.bounds().default;
        assert_eq!((record.bond.get(), record.earned.get()), (left, 0));
    }
    assert_eq!(fines(&chain).len(), 3);
}

fn fines(chain: &Chain) -> Vec<(UnitId, u64)> {
    let fine = |event: &Event| match event {
        Event::MinerFined {
            unit, kept, burned, ..
        } => {
            assert_eq!(*kept, Kept::Blob);
            Some((*unit, burned.get()))
        }
        _ => None,
    };
    chain
        .log
        .iter()
        .map(|(_, event)| event)
        .filter_map(fine)
        .collect()
}

/// The step waited for the first already, and went on waiting for the second.
#[test]
fn blobs_that_are_missing_at_different_heights_of_one_step_cost_one_fine() {
    let mut chain = Chain::working(&Setup::default());
    let [first, second] = chain.units_of_miner(0)[..2] else {
        panic!("a miner has two units");
    };
    chain.commit(&[first]);
    chain.wait(2);
    chain.commit(&[second]);
    chain.wait_until("the first", |chain| chain.outcome(first).is_some());
    assert_eq!(chain.outcome(second), None);
    assert_eq!(fines(&chain), [(first, 500)]);
    chain.wait_until("the second", |chain| chain.outcome(second).is_some());
    assert_eq!(chain.outcome(second), Some(UNAVAILABLE));
    assert_eq!(fines(&chain), [(first, 500)]);
    assert_eq!(chain.miner_record(0).bond.get(), 9_500);
}

/// Nobody is slashed for it, and nobody pays more than there is; who has no bond is given nothing.
#[test]
fn a_miner_that_withholds_blobs_in_every_step_pays_until_its_bond_is_gone() {
    let mut setup = Setup {
        parameters: vec![(Name::UnavailablePenalty, 4_000)],
        ..Setup::default()
    };
    setup.recipe.pretrain.steps_count = 10;
    setup.recipe.pretrain.units_count = 48;
    let mut chain = Chain::start(&setup);
    chain.register_miners();
    for left in [6_000, 2_000, 0] {
        chain.open_step();
        let mine = chain.units_of_miner(0);
        assert!(mine.len() > 1, "it still has work");
        let held = [
            &mine[1..],
            &chain.units_of_miner(1),
            &chain.units_of_miner(2),
        ]
        .concat();
        chain.commit(&mine[..1]);
        chain.commit(&held);
        chain.attest_by_all(&held);
        chain.draw(&held);
        chain.accept_all();
        chain.wait_until("the end of the step", Chain::is_attesting);
        let record = chain.miner_record(0);
        assert_eq!(record.status, Status::Active);
        assert_eq!(record.bond.get(), left);
        chain.attest_checkpoint();
    }
    assert_eq!(
        fines(&chain).iter().map(|(_, burned)| burned).sum::<u64>(),
        10_000
    );
    chain.open_step();
    assert!(chain.units_of_miner(0).is_empty());
}

#[test]
fn attestations_weigh_by_stake() {
    let setup = Setup {
        stakes: vec![300_000, 50_000, 50_000, 50_000],
        ..Setup::default()
    };
    let mut chain = Chain::working(&setup);
    let id = chain.units_of(UnitKind::Gradient)[0];
    chain.commit(&[id]);
    let available_at = |chain: &Chain| chain.unit(id).commitment.unwrap().available_at;
    chain.attest(&[1, 2, 3], &[id]);
    assert_eq!(available_at(&chain), None);
    chain.attest(&[0], &[id]);
    assert_eq!(available_at(&chain), Some(chain.height()));
}

#[test]
fn exactly_two_thirds_of_stake_are_not_a_quorum() {
    let setup = Setup {
        stakes: vec![100_000; 3],
        ..Setup::default()
    };
    let mut chain = Chain::working(&setup);
    let id = chain.units_of(UnitKind::Gradient)[0];
    chain.commit(&[id]);
    chain.attest(&[0, 2], &[id]);
    assert_eq!(chain.unit(id).commitment.unwrap().available_at, None);
    chain.attest(&[1], &[id]);
    assert!(chain.unit(id).commitment.unwrap().available_at.is_some());
}

/// A miner that could wait for the draw before it serves its blob would choose to be void
/// instead of slashed; so the draw waits for the blob.
#[test]
fn a_withheld_blob_is_not_drawn_until_validators_hold_it() {
    let mut chain = Chain::working(&Setup::default());
    let id = chain.units_of(UnitKind::Gradient)[0];
    chain.commit(&[id]);
    chain.wait(6);
    assert_eq!(chain.unit(id).commitment.unwrap().draw, Draw::Pending);
    chain.attest_by_all(&[id]);
    chain.wait(2);
    assert_eq!(
        chain.unit(id).commitment.unwrap().draw,
        Draw::Drawn {
            rate: protocol::Micro::ONE
        }
    );
}

#[test]
fn a_blob_that_became_available_in_the_last_block_is_judged() {
    let mut chain = Chain::working(&Setup::default());
    let id = chain.units_of(UnitKind::Gradient)[0];
    chain.commit(&[id]);
    let committed_at = chain.unit(id).commitment.unwrap().at;
    // The window of the tests' recipe; the attestations are in its last block.
    chain.wait_for(Height::new(committed_at.get() + 6 - 1));
    assert_eq!(chain.outcome(id), None);
    chain.attest_by_all(&[id]);
    chain.draw(&[id]);
    chain.accept_all();
    assert!(chain.is_accepted(id));
}

#[test]
fn a_blob_that_everyone_lost_since_voids_its_unit_without_punishment() {
    let (mut chain, id) = Chain::audited(&Setup::default());
    let lost = || Some(rejecting(Check::Availability, 1));
    for round in 0..3 {
        chain.seated(id, round);
        chain.judge(id, |_| lost());
    }
    let reason = VoidReason::Lost;
    assert_eq!(chain.outcome(id), Some(reason.outcome()));
    let miner = chain.unit(id).miner;
    let record: ledger_state::bond::Miner = chain.view().get(&miner).unwrap();
    assert_eq!(record.bond.get(), 10_000);
}
