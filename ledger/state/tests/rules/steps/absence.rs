//! Miners that come late, or not at all.

use crate::support::{Chain, Setup, accepting, commitment_body};
use ledger_state::{
    Event,
    bond::Status,
    run::Stage,
    unit::{Outcome, Tier},
};
use protocol::{Height, task::UnitKind, transaction::Body};

fn deadline(chain: &Chain) -> Height {
    match chain.run().stage {
        Stage::Working { deadline, .. } => deadline,
        stage => panic!("the run is {stage:?}"),
    }
}

#[test]
fn step_zero_waits_for_the_recipes_number_of_miners() {
    let mut chain = Chain::start(&Setup::default());
    for index in 0..2 {
        chain.register_miner(index);
    }
    chain.wait(20);
    assert!(matches!(chain.run().stage, Stage::Opening { .. }));
    chain.register_miner(2);
    chain.wait(1);
    assert!(
        !chain.is_working(),
        "its registration is as old as the beacon"
    );
    chain.wait(1);
    assert!(chain.is_working());
}

#[test]
fn a_later_step_needs_one_miner_only() {
    let mut chain = Chain::working(&Setup::default());
    let alone = chain.units_of_miner(0);
    chain.commit(&alone);
    chain.attest_by_all(&alone);
    chain.draw(&alone);
    chain.accept_all();
    chain.wait_until("the end of the step", Chain::is_attesting);
    chain.attest_checkpoint();
    chain.open_step();
    let owner = chain.miner(0).address();
    assert!(chain.units().iter().all(|(_, unit)| unit.miner == owner));
}

#[test]
fn a_commitment_counts_at_the_deadline_and_not_after_it() {
    let mut chain = Chain::working(&Setup::default());
    let ids = chain.units_of(UnitKind::Gradient);
    chain.wait_for(Height::new(deadline(&chain).get() - 1));
    chain.commit(&ids[..1]);
    assert_eq!(chain.height(), deadline(&chain));
    assert_eq!(chain.outcome(ids[1]), None);
    let late = chain.key_of(chain.unit(ids[1]).miner);
    let rejection = chain.reject(late, commitment_body(&chain, ids[1]));
    assert_eq!(rejection.name(), "DeadlinePassed");
    chain.wait(1);
    assert_eq!(chain.outcome(ids[0]), None, "it waits for attestations");
    assert_eq!(chain.outcome(ids[1]), Some(Outcome::Missed));
}

#[test]
fn a_step_closes_without_an_absent_miner_which_rests_until_it_resumes() {
    let mut setup = Setup::default();
    setup.recipe.reinforce.gradient_units_count = 20;
    setup.recipe.reinforce.rollout_units_count = 20;
    let mut chain = Chain::working(&setup);
    let absent = chain.units_of_miner(2);
    let present = [chain.units_of_miner(0), chain.units_of_miner(1)].concat();
    chain.commit(&present);
    chain.attest_by_all(&present);
    chain.draw(&present);
    chain.accept_all();
    assert!(present.iter().all(|id| chain.is_accepted(*id)));
    assert!(
        chain.is_working(),
        "the absent miner has until the deadline"
    );
    chain.wait_for(deadline(&chain).next());

    assert!(chain.is_attesting());
    let record = chain.miner_record(2);
    assert_eq!(record.status, Status::Idle);
    assert_eq!(record.units.missed, absent.len() as u64);
    assert_eq!(record.bond.get(), 10_000, "absence costs no bond");
    assert_eq!(
        chain.count(|event| matches!(event, Event::MinerIdle { .. })),
        1
    );
    let closed = chain.log.iter().find_map(|(_, event)| match event {
        Event::StepClosed { gradients, .. } => Some(gradients.clone()),
        _ => None,
    });
    let closed = closed.unwrap();
    let missed: Vec<_> = closed.missing.iter().map(|one| one.unit).collect();
    let absent_gradients = absent.iter().filter(|id| id.kind == UnitKind::Gradient);
    assert_eq!(missed, absent_gradients.copied().collect::<Vec<_>>());
    let miner = chain.miner(2).address();
    assert!(closed.missing.iter().all(|one| one.miner == miner));
    assert_eq!(
        closed.accepted_count + u32::try_from(missed.len()).unwrap(),
        closed.assigned_count
    );
    let text = closed.to_string();
    assert!(
        text.contains(&miner.short()) && text.contains("missed"),
        "{text}"
    );

    chain.attest_checkpoint();
    chain.open_step();
    assert!(chain.units_of_miner(2).is_empty());
    chain.block(vec![(chain.miner(2), Body::Resume)]);
    chain.work_honestly();
    chain.wait_until("the end of the step", Chain::is_attesting);
    chain.attest_checkpoint();
    chain.open_step();
    let dealt = chain.units_of_miner(2).len();
    assert!(
        (2..6).contains(&dealt),
        "{dealt} of 20 or so, at half a quota"
    );
}

#[test]
fn a_miner_that_resumes_while_others_are_still_judged_stays_active() {
    let mut chain = Chain::working(&Setup::default());
    let late = chain.units_of_miner(0);
    chain.wait_for(Height::new(deadline(&chain).get() - 1));
    chain.commit(&late);
    chain.attest_by_all(&late);
    assert_eq!(chain.miner_record(2).status, Status::Idle);
    chain.block(vec![(chain.miner(2), Body::Resume)]);
    chain.draw(&late);
    chain.wait(2);
    assert!(chain.is_working(), "audits are open");
    assert_eq!(chain.miner_record(2).status, Status::Active);
}

#[test]
fn a_miner_that_missed_only_some_units_stays_active() {
    let mut chain = Chain::working(&Setup::default());
    let own = chain.units_of_miner(1);
    assert!(own.len() > 1);
    chain.commit(&own[..1]);
    chain.wait_for(deadline(&chain).next());
    let record = chain.miner_record(1);
    assert_eq!(record.status, Status::Active);
    assert_eq!(record.units.missed, own.len() as u64 - 1);
}

#[test]
fn audits_outstanding_past_the_deadline_are_still_judged() {
    let mut setup = Setup::default();
    setup.recipe.schedule.availability_blocks = 1;
    let (mut chain, id) = Chain::audited(&setup);
    let by = deadline(&chain).saturating_add(1);
    // The first auditor is silent until three are asked; they answer late.
    chain.seated(id, 1);
    chain.wait_for(by.next());
    assert_eq!(chain.outcome(id), None);
    assert_eq!(chain.unit(id).audits[1].tier, Tier::Three);
    assert!(chain.is_working());
    chain.judge(id, |_| Some(accepting()));
    assert!(chain.is_accepted(id));
    assert!(chain.is_attesting());
}
