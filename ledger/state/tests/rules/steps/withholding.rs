//! How long one miner that keeps something back can hold a step for everybody.
//!
//! It does at the last moment what it does; the others are honest, and auditors answer in the next
//! block. The bounds are those of spec/01-task.md §3.

use crate::support::{Chain, RUN, Setup, accepting};
use governance::parameters::Name;
use ledger_state::{
    opening::may_reveal,
    run::{Closed, Stage},
    unit::{Opinion, Outcome, VoidReason},
};
use protocol::{
    Height, SigningKey,
    task::{UnitId, UnitKind},
    transaction::Body,
};
use std::collections::BTreeSet;

/// Windows that all differ, so that a sum shows what it is made of.
const AVAILABILITY_BLOCKS: u64 = 11;
const OPENING_BLOCKS: u64 = 5;

fn setup() -> Setup {
    let mut setup = Setup {
        parameters: vec![(Name::OpeningBlocks, OPENING_BLOCKS)],
        ..Setup::default()
    };
    setup.recipe.schedule.availability_blocks = AVAILABILITY_BLOCKS;
    setup.recipe.schedule.deadline_blocks = 30;
    setup.recipe.pretrain.inner_steps_count = 3;
    setup
}

/// What the withholder keeps back.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kept {
    Commitment,
    Blob,
    Opening,
}

/// A step in which the first miner keeps something back.
struct Scene {
    chain: Chain,
    deadline: Height,
    withheld: Vec<UnitId>,
    honest: Vec<UnitId>,
}

impl Scene {
    fn new(kept: Kept) -> Self {
        let mut chain = Chain::working(&setup());
        let Stage::Working { deadline, .. } = chain.run().stage else {
            panic!("the run is {:?}", chain.run().stage);
        };
        let mut scene = Self {
            withheld: chain.units_of_miner(0),
            honest: [chain.units_of_miner(1), chain.units_of_miner(2)].concat(),
            deadline,
            chain: {
                chain.opens = false;
                chain
            },
        };
        let kinds: BTreeSet<UnitKind> = scene.withheld.iter().map(|id| id.kind).collect();
        assert_eq!(kinds.len(), 2, "it has units of both kinds");
        scene.chain.commit(&scene.honest);
        scene.chain.attest_by_all(&scene.honest);
        scene.work_until(deadline.get() - 1);
        if kept != Kept::Commitment {
            scene.chain.commit(&scene.withheld);
        }
        if kept == Kept::Opening {
            scene.work_until(deadline.get() + AVAILABILITY_BLOCKS - 1);
            scene.chain.attest_by_all(&scene.withheld);
        }
        let bound = deadline.get() + 100;
        scene.work_until(bound);
        scene
    }
    /// Up to a height, or to the end of the step.
    fn work_until(&mut self, height: u64) {
        while !self.chain.is_attesting() && self.chain.height() < Height::new(height) {
            let content = self.content();
            self.chain.block(content);
        }
    }
    /// What the honest and the auditors of everybody have to say in the next block.
    fn content(&self) -> Vec<(SigningKey, Body)> {
        let chain = &self.chain;
        let next = chain.height().next();
        let mut content = Vec::new();
        for (id, unit) in chain.units() {
            if unit.outcome().is_some() {
                continue;
            }
            if self.honest.contains(&id) && unit.opening.open_by.is_some() {
                content.push((chain.key_of(unit.miner), chain.open_body(&[id])));
            }
            let seats = unit.audits.last().map(|audit| audit.seats.clone());
            for seat in seats.unwrap_or_default() {
                let key = chain.key_of(seat.auditor);
                let (bind, reveal) = chain.audit_bodies(&key, id, accepting());
                match seat.opinion {
                    Opinion::Pending => content.push((key, bind)),
                    Opinion::Committed { .. } if may_reveal(id, &unit, next) => {
                        content.push((key, reveal));
                    }
                    Opinion::Committed { .. } | Opinion::Revealed { .. } => {}
                }
            }
        }
        content
    }
    /// The step closed so many blocks beyond its deadline, with what the honest did.
    fn assert_closed(&self, waited: u64, outcome: Outcome) {
        let step = self.chain.run().step;
        let closed: Closed = self.chain.view().get(&(RUN, step)).expect("a closed step");
        assert_eq!(closed.at.get() - self.deadline.get(), waited);
        for id in &self.withheld {
            assert_eq!(self.chain.outcome(*id), Some(outcome), "{id}");
        }
        for id in &self.honest {
            assert!(self.chain.is_accepted(*id), "{id}");
        }
        assert_eq!(closed.units.accepted, self.honest.len() as u64);
    }
}

#[test]
fn a_step_waits_one_block_beyond_its_deadline_for_units_that_nobody_binds() {
    Scene::new(Kept::Commitment).assert_closed(1, Outcome::Missed);
}

#[test]
fn a_step_waits_for_a_blob_that_nobody_gets_as_long_as_its_window_and_no_longer() {
    let waited = AVAILABILITY_BLOCKS + 1;
    Scene::new(Kept::Blob).assert_closed(waited, VoidReason::Unavailable.outcome());
}

/// Two blocks after the blob is there its unit is drawn. The states of a gradient unit are due at
/// once, the sketch of a rollout unit once its auditor is bound, in the block after the draw.
#[test]
fn a_step_waits_for_an_opening_that_never_comes_as_long_as_its_window_and_no_longer() {
    let scene = Scene::new(Kept::Opening);
    let waited = AVAILABILITY_BLOCKS + 2 + 1 + OPENING_BLOCKS + 1;
    scene.assert_closed(waited, VoidReason::Withheld.outcome());
    let settled_at = |id: &UnitId| match scene.chain.unit(*id).stage {
        ledger_state::unit::Stage::Settled { at, .. } => at.get() - scene.deadline.get(),
        stage => panic!("{id} is {stage:?}"),
    };
    let gradients = scene.withheld.iter();
    let mut gradients = gradients.filter(|id| id.kind == UnitKind::Gradient);
    assert!(gradients.all(|id| settled_at(id) == waited - 1));
}

/// What was void at its bound does not come back: a late failure cannot be in an aggregate, nor a
/// late success, since validators compute it from the units that were accepted when it closed.
#[test]
fn a_unit_that_was_void_when_its_step_closed_stays_out_of_the_step() {
    let mut scene = Scene::new(Kept::Blob);
    let id = scene.withheld[0];
    let units = protocol::codec::BoundedVec::new(vec![id]).unwrap();
    let attest = Body::AttestBlobs { units };
    let rejection = scene.chain.reject(scene.chain.operator(0), attest);
    assert_eq!(rejection.name(), "NothingAttested");
    scene.chain.attest_checkpoint();
    scene.chain.open_step();
    assert_eq!(
        scene.chain.outcome(id),
        Some(VoidReason::Unavailable.outcome())
    );
    let inputs = scene.chain.units_of(UnitKind::Gradient);
    assert!(!inputs.is_empty());
    let view = scene.chain.view();
    let learned = inputs
        .iter()
        .flat_map(|unit| ledger_state::task::gradient_inputs(&view, *unit));
    let learned: BTreeSet<UnitId> = learned.collect();
    assert!(learned.is_disjoint(&scene.withheld.iter().copied().collect()));
    assert!(!learned.is_empty());
}
