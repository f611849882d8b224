//! From step to step, and to the end.

use crate::support::{Chain, RUN, Setup};
use ledger_state::{
    Event,
    bond::Status,
    run::{Closed, Stage},
    task,
    unit::{self, Outcome},
};
use protocol::{
    Amount, CheckpointId, Step,
    checkpoint::Checkpoint,
    task::{UnitId, UnitKind},
    transaction::Body,
};

fn kinds(chain: &Chain) -> (usize, usize) {
    let count = |kind| chain.units_of(kind).len();
    (count(UnitKind::Gradient), count(UnitKind::Rollout))
}

fn closed(chain: &Chain, step: u64) -> Closed {
    chain.view().get(&(RUN, Step::new(step))).unwrap()
}

#[test]
fn a_run_goes_from_pretraining_over_reinforcement_to_its_end() {
    let mut chain = Chain::working(&Setup::default());
    assert_eq!(
        kinds(&chain),
        (3, 4),
        "rollouts precede the step that uses them"
    );
    chain.honest_step();
    chain.open_step();
    assert_eq!(kinds(&chain), (2, 4));
    chain.honest_step();
    chain.open_step();
    assert_eq!(kinds(&chain), (2, 0), "nothing follows the last step");
    chain.honest_step();
    assert_eq!(chain.run().stage, Stage::Finished);
    chain.wait(40);
    assert_eq!(chain.run().stage, Stage::Finished);

    let first = closed(&chain, 0);
    assert_eq!(first.units.accepted, 7);
    assert_eq!(first.loss_micro, Some(2_000_000));
    assert_eq!((first.samples_count, first.exact_count), (16, 4));
    assert_eq!(first.reward_micro, 6_000_000);
    assert_eq!(closed(&chain, 2).samples_count, 0);
}

#[test]
fn all_pay_comes_from_the_escrow_and_is_free_in_the_end() {
    let mut chain = Chain::working(&Setup::default());
    for _ in 0..3 {
        chain.honest_step();
    }
    chain.wait(40);
    let gradients = (3 + 2 + 2) * 700;
    let rollouts = (4 + 4) * 300;
    let audits = (3 + 2 + 2 + 4 + 4) * 20;
    assert_eq!(
        chain.run().escrow.get(),
        1_000_000 - gradients - rollouts - audits
    );
    let balances = (0..3).map(|index| chain.balance(chain.miner(index).address()));
    assert_eq!(balances.sum::<u64>(), 3 * 40_000 + gradients + rollouts);
    let holders = (0..4).map(|index| chain.balance(chain.holder(index).address()));
    assert_eq!(holders.sum::<u64>(), audits);
}

#[test]
fn an_empty_escrow_pays_what_is_left_and_then_nothing() {
    let setup = Setup {
        escrow: 1_000,
        ..Setup::default()
    };
    let mut chain = Chain::working(&setup);
    let ids = chain.work_honestly();
    let paid = |id: &UnitId| match chain.outcome(*id) {
        Some(Outcome::Accepted { paid }) => paid.get(),
        outcome => panic!("unit {id} is {outcome:?}"),
    };
    let audits = (0..4).map(|index| chain.balance(chain.holder(index).address()));
    let units: u64 = ids.iter().map(paid).sum();
    assert_eq!(units + audits.sum::<u64>(), 1_000);
    assert_eq!(chain.run().escrow, Amount::ZERO);
}

#[test]
fn accepted_rollouts_are_each_dealt_to_one_gradient_unit() {
    let mut chain = Chain::working(&Setup::default());
    let pretraining = chain.units_of(UnitKind::Gradient)[0];
    assert!(task::gradient_inputs(&chain.view(), pretraining).is_empty());
    chain.honest_step();
    chain.open_step();
    let inputs = |id: &UnitId| task::gradient_inputs(&chain.view(), *id);
    let dealt: Vec<Vec<UnitId>> = chain
        .units_of(UnitKind::Gradient)
        .iter()
        .map(inputs)
        .collect();
    assert!(dealt.iter().all(|inputs| inputs.len() == 2), "{dealt:?}");
    let mut all = dealt.concat();
    all.sort_unstable();
    let accepted = unit::accepted(&chain.view(), RUN, Step::ZERO, UnitKind::Rollout);
    assert_eq!(all, accepted.iter().map(|(id, ..)| *id).collect::<Vec<_>>());
}

/// Runs a step in which only these units of step zero are bound.
fn after_committing(choose: impl Fn(&UnitId) -> bool) -> Chain {
    let mut chain = Chain::working(&Setup::default());
    let ids = chain.units().into_iter().map(|(id, _)| id);
    let chosen: Vec<UnitId> = ids.filter(choose).collect();
    chain.commit(&chosen);
    chain.attest_by_all(&chosen);
    chain.draw(&chosen);
    chain.accept_all();
    chain.wait_until("the end of the step", Chain::is_attesting);
    chain.attest_checkpoint();
    for index in 0..3 {
        if chain.miner_record(index).status == ledger_state::bond::Status::Idle {
            chain.block(vec![(chain.miner(index), Body::Resume)]);
        }
    }
    chain.open_step();
    chain
}

#[test]
fn fewer_accepted_rollouts_than_gradient_units_make_fewer_units() {
    let chain = after_committing(|id| id.kind == UnitKind::Gradient || id.index == 3);
    assert_eq!(kinds(&chain), (1, 4));
    let gradient = chain.units_of(UnitKind::Gradient)[0];
    let inputs = task::gradient_inputs(&chain.view(), gradient);
    assert_eq!(inputs.len(), 1);
    assert_eq!(inputs[0].index, 3);
}

#[test]
fn without_accepted_rollouts_a_step_still_advances() {
    let mut chain = after_committing(|id| id.kind == UnitKind::Gradient);
    assert_eq!(kinds(&chain), (0, 4));
    chain.honest_step();
    assert_eq!(chain.run().step, Step::new(2));
}

#[test]
fn a_last_step_without_any_units_closes_at_once() {
    let mut chain = after_committing(|id| id.kind == UnitKind::Gradient);
    chain.wait_until("the end of the step", Chain::is_attesting);
    chain.attest_checkpoint();
    for index in 0..3 {
        // One whose quota was too small for a unit missed none.
        if chain.miner_record(index).status == Status::Idle {
            chain.block(vec![(chain.miner(index), Body::Resume)]);
        }
    }
    chain.wait_until("the end of the step", Chain::is_attesting);
    assert!(chain.units().is_empty());
    chain.attest_checkpoint();
    assert_eq!(chain.run().stage, Stage::Finished);
}

#[test]
fn only_equal_checkpoints_count_towards_a_quorum() {
    let mut chain = Chain::working(&Setup::default());
    chain.work_honestly();
    chain.wait_until("the end of the step", Chain::is_attesting);
    let right = chain.next_checkpoint();
    let wrong = Checkpoint {
        model: CheckpointId::of(b"something else"),
        ..chain.next_checkpoint()
    };
    for (index, checkpoint) in [(0, &right), (1, &wrong), (2, &right)] {
        let checkpoint = checkpoint.clone();
        chain.block(vec![(
            chain.operator(index),
            Body::AttestCheckpoint { checkpoint },
        )]);
        assert!(chain.is_attesting());
    }
    let checkpoint = right.clone();
    let body = Body::AttestCheckpoint { checkpoint };
    let events = chain.block(vec![(chain.operator(3), body)]);
    assert_eq!(events, [Event::CheckpointAgreed { checkpoint: right }]);
}
