//! What updates lost: who starts from what, and when the chain forgets it.

use crate::support::{Chain, RUN, Setup, commitment_body, feedback, rejecting};
use ledger_state::{Rejection, feedback::Lost, unit::VoidReason};
use protocol::{
    Address, BlobId, Micro,
    recipe::UpdateForm,
    task::{UnitId, UnitKind},
    transaction::Body,
    verdict::Check,
};

/// Three steps of pre-training with six units each, whose updates are sparse.
fn setup() -> Setup {
    let mut setup = Setup::default();
    setup.recipe.pretrain.steps_count = 3;
    setup.recipe.pretrain.units_count = 6;
    setup.recipe.pretrain.update = UpdateForm::Sparse {
        feedback_decay: Micro::new(950_000),
    };
    setup
}

/// The gradient units of each miner that has some, in order.
fn dealt(chain: &Chain) -> Vec<(Address, Vec<UnitId>)> {
    let miners = (0..3).map(|index| chain.miner(index).address());
    let units = chain.units_of(UnitKind::Gradient);
    let own = |miner: Address| {
        let own = units.iter().filter(|id| chain.unit(**id).miner == miner);
        (miner, own.copied().collect())
    };
    miners.map(own).collect()
}

/// What each unit of the step starts from.
fn starts(chain: &Chain, units: &[UnitId]) -> Vec<Option<BlobId>> {
    units.iter().map(|id| chain.unit(*id).feedback).collect()
}

#[test]
fn a_unit_starts_from_what_the_one_at_its_place_lost_the_step_before() {
    let mut chain = Chain::working(&setup());
    let first = dealt(&chain);
    for (_, units) in &first {
        assert!(starts(&chain, units).iter().all(Option::is_none));
    }
    chain.honest_step();
    chain.open_step();
    for ((miner, before), (_, now)) in first.iter().zip(dealt(&chain)) {
        let lost: Vec<_> = before.iter().map(|id| feedback(&chain, *id)).collect();
        let expected: Vec<_> = (0..now.len())
            .map(|slot| lost.get(slot).copied().flatten())
            .collect();
        assert_eq!(starts(&chain, &now), expected);
        assert_eq!(
            chain.view().get::<Lost>(&(RUN, *miner)),
            (!lost.is_empty()).then_some(Lost(lost))
        );
    }
}

#[test]
fn a_unit_that_is_not_accepted_breaks_its_chain_and_no_other() {
    let mut chain = Chain::working(&setup());
    chain.honest_step();
    chain.open_step();
    let dealt_now = dealt(&chain);
    let (miner, units) = dealt_now
        .iter()
        .max_by_key(|(_, units)| units.len())
        .unwrap();
    assert!(units.len() >= 2);
    let missed = units[0];
    let mut others: Vec<UnitId> = chain.units().into_iter().map(|(id, _)| id).collect();
    others.retain(|id| *id != missed);
    chain.commit(&others);
    chain.attest_by_all(&others);
    chain.draw(&others);
    chain.accept_all();
    let lost: Vec<_> = units.iter().map(|id| feedback(&chain, *id)).collect();
    chain.wait_until("the end of the step", Chain::is_attesting);
    let noted = chain.view().get::<Lost>(&(RUN, *miner)).unwrap();
    assert_eq!(noted.0[0], None);
    assert_eq!(noted.0[1..units.len()], lost[1..]);
}

#[test]
fn nothing_is_left_after_the_last_step_that_has_feedback() {
    let mut chain = Chain::working(&setup());
    for step in 0..3 {
        chain.honest_step();
        let is_noted = !chain.view().scan::<Lost>(&RUN).is_empty();
        assert_eq!(is_noted, step < 2, "step {step}");
        chain.open_step();
    }
    let units = chain.units_of(UnitKind::Gradient);
    assert!(starts(&chain, &units).iter().all(Option::is_none));
}

#[test]
fn what_an_update_lost_is_bound_exactly_where_the_recipe_has_feedback() {
    for is_sparse in [false, true] {
        let setup = if is_sparse { setup() } else { Setup::default() };
        let chain = Chain::working(&setup);
        let id = chain.units_of(UnitKind::Gradient)[0];
        let key = chain.key_of(chain.unit(id).miner);
        let mut body = commitment_body(&chain, id);
        if let Body::CommitGradient { feedback, .. } = &mut body {
            *feedback = (!is_sparse).then_some(BlobId::of(b"lost"));
        }
        let expected = Rejection::ClaimMismatch { unit: id };
        assert_eq!(chain.reject(key, body), expected);
    }
}

#[test]
fn a_miner_that_does_not_serve_what_its_updates_lost_has_withheld_it() {
    let mut chain = Chain::working(&setup());
    chain.honest_step();
    chain.open_step();
    // One inner step is one segment, of which nothing has to be shown before it is judged.
    let units = chain.units_of(UnitKind::Gradient);
    let id = units
        .into_iter()
        .find(|id| chain.unit(*id).feedback.is_some());
    let id = id.unwrap();
    chain.commit(&[id]);
    chain.attest_by_all(&[id]);
    chain.draw(&[id]);
    for round in 0..3 {
        chain.seated(id, round);
        chain.judge(id, |_| Some(rejecting(Check::Availability, 1)));
        chain.wait(1);
    }
    chain.wait_until("the end", |chain| chain.outcome(id).is_some());
    assert_eq!(chain.outcome(id), Some(VoidReason::Withheld.outcome()));
}
