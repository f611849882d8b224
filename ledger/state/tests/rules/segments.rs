//! Gradient units in segments: what their miner shows, when, and what becomes of those that do not.

use crate::support::{
    Chain, Setup, accepting, commitment_body, rejecting, sketched_bodies, state_at,
};
use ledger_state::{
    Event, Rejection,
    unit::{AuditFault, Outcome, Tier, VoidReason},
};
use protocol::{
    codec::BoundedVec,
    gradient::{self, OpenedState, State, StateOpening},
    rollout::{Salt, Seal, Sketch},
    task::{UnitId, UnitKind},
    transaction::Body,
    verdict::{Check, Finding, Verdict},
};

/// Three segments of a step each.
fn setup() -> Setup {
    let mut setup = Setup::default();
    setup.recipe.pretrain.inner_steps_count = 3;
    setup
}

/// A gradient unit of which a segment is drawn; its miner shows nothing by itself.
pub(crate) fn drawn() -> (Chain, UnitId) {
    let mut chain = Chain::working(&setup());
    let id = chain.units_of(UnitKind::Gradient)[0];
    chain.commit(&[id]);
    chain.attest_by_all(&[id]);
    chain.opens = false;
    chain.draw(&[id]);
    (chain, id)
}

/// The unit's miner shows what is due.
fn show(chain: &mut Chain, id: UnitId) {
    let miner = chain.key_of(chain.unit(id).miner);
    let body = chain.open_body(&[id]);
    chain.block(vec![(miner, body)]);
}

/// The miner shows what auditors need, and the first of them is drawn.
fn audited() -> (Chain, UnitId) {
    let (mut chain, id) = drawn();
    show(&mut chain, id);
    chain.seated(id, 0);
    (chain, id)
}

/// The first auditor binds, the miner shows where the segment ends, the auditor opens.
fn judge_first(chain: &mut Chain, id: UnitId, (verdict, sketch): (Verdict, Sketch)) {
    let auditor = chain.seats(id)[0].clone();
    let (bind, reveal) = sketched_bodies(&auditor, id, verdict, Some(sketch));
    chain.block(vec![(auditor.clone(), bind)]);
    show(chain, id);
    chain.block(vec![(auditor, reveal)]);
}

/// The state where the drawn segment ends.
fn end(chain: &Chain, id: UnitId) -> State {
    state_at(chain.unit(id).challenge.unwrap().ends_at())
}

fn fined(chain: &Chain, wanted: AuditFault) -> usize {
    chain.count(|event| matches!(event, Event::AuditorFined { fault, .. } if *fault == wanted))
}

#[test]
fn auditors_begin_once_they_have_where_the_segment_starts_and_where_the_unit_ends() {
    let (mut chain, id) = drawn();
    let unit = chain.unit(id);
    let challenge = unit.challenge.unwrap();
    assert!(challenge.segment < 3);
    assert_eq!(challenge.segments_count, 3);
    assert!(unit.audits.is_empty() && unit.opening.open_by.is_some());
    let segment_drawn = Event::SegmentDrawn { unit: id };
    assert_eq!(chain.count(|event| *event == segment_drawn), 1);
    let needed = challenge.needed();
    show(&mut chain, id);
    let unit = chain.unit(id);
    assert!(unit.audits.is_empty(), "a later beacon draws the auditor");
    let shown = unit.challenge.unwrap();
    assert!(shown.is_served() && shown.end.is_none());
    let start = shown.start.map(|state| state.steps_count);
    assert_eq!(start, Some(shown.segment).filter(|segment| *segment > 0));
    assert_eq!(shown.last.is_some(), needed.contains(&3));

    chain.seated(id, 0);
    let end = end(&chain, id);
    judge_first(&mut chain, id, (accepting(), end.sketch()));
    assert!(chain.is_accepted(id));
    assert_eq!(chain.unit(id).challenge.unwrap().end, Some(end));
}

/// In reinforcement learning a state is a sum of gradients, which has no moments.
#[test]
fn a_reinforcement_unit_shows_the_sums_between_its_segments_and_nothing_else() {
    let mut setup = Setup::default();
    setup.recipe.reinforce.segments_count = 3;
    let mut chain = Chain::working(&setup);
    chain.honest_step();
    chain.open_step();
    let id = chain.units_of(UnitKind::Gradient)[0];
    assert_eq!(id.step.get(), 1);
    chain.commit(&[id]);
    chain.attest_by_all(&[id]);
    chain.opens = false;
    chain.draw(&[id]);
    let challenge = chain.unit(id).challenge.unwrap();
    assert_eq!(challenge.segments_count, 3);
    let miner = chain.key_of(chain.unit(id).miner);
    let mut opening = chain.due_states(id);
    let mut states = opening.states.as_slice().to_vec();
    states[0].state.moments = state_at(1).moments;
    opening.states = BoundedVec::new(states).unwrap();
    let rejection = chain.reject(miner, Body::OpenStates { opening });
    assert_eq!(rejection.name(), "OpeningMismatch", "it sealed none");
    show(&mut chain, id);
    chain.seated(id, 0);
    let end = chain.state_at(id, challenge.ends_at());
    judge_first(&mut chain, id, (accepting(), end.sketch()));
    assert!(chain.is_accepted(id));
}

#[test]
fn a_miner_that_does_not_show_its_states_has_withheld_them() {
    let (mut chain, id) = drawn();
    let before = chain.miner_record_of(id);
    chain.wait_until("the end", |chain| chain.outcome(id).is_some());
    let reason = VoidReason::Withheld;
    assert_eq!(chain.outcome(id), Some(reason.outcome()));
    let after = chain.miner_record_of(id);
    assert_eq!(after.bond.get(), before.bond.get() - 1_000);
    assert!(after.quota < before.quota);
    assert!(chain.unit(id).audits.is_empty(), "nobody had to judge it");
}

#[test]
fn a_miner_that_shows_states_and_serves_none_has_withheld_them() {
    let (mut chain, id) = audited();
    let before = chain.miner_record_of(id);
    chain.opens = true;
    for round in 0..3 {
        chain.seated(id, round);
        chain.judge(id, |_| Some(rejecting(Check::Availability, 1)));
        chain.wait(1);
    }
    chain.wait_until("the end", |chain| chain.outcome(id).is_some());
    let reason = VoidReason::Withheld;
    assert_eq!(chain.outcome(id), Some(reason.outcome()));
    let after = chain.miner_record_of(id);
    assert_eq!(after.bond.get(), before.bond.get() - 1_000);
}

#[test]
fn an_end_that_no_auditor_finds_convicts_the_miner_and_fines_nobody() {
    let (mut chain, id) = audited();
    judge_first(&mut chain, id, (accepting(), state_at(77).sketch()));
    chain.seated(id, 1);
    assert_eq!(chain.unit(id).audits[1].tier, Tier::Three);
    chain.judge(id, |_| Some(rejecting(Check::State, 1)));
    chain.wait_until("the end", |chain| chain.outcome(id).is_some());
    let finding = Finding::exact(Check::State, 1);
    assert_eq!(chain.outcome(id), Some(Outcome::Slashed { finding }));
    assert_eq!(fined(&chain, AuditFault::Overturned), 0);
}

#[test]
fn an_auditor_that_names_an_end_without_looking_is_found_out_and_fined() {
    let (mut chain, id) = audited();
    judge_first(&mut chain, id, (accepting(), state_at(77).sketch()));
    chain.seated(id, 1);
    chain.judge(id, |_| Some(accepting()));
    assert!(chain.is_accepted(id));
    assert_eq!(fined(&chain, AuditFault::Overturned), 1);
}

/// A miner seals states of other steps, and opens what it sealed.
pub(crate) fn sealed_misplaced() -> Rejection {
    sealed(|boundary| state_at(boundary + 1))
}

/// A miner seals states without moments, of which nobody could go on.
pub(crate) fn sealed_incomplete() -> Rejection {
    sealed(|boundary| State {
        moments: None,
        ..state_at(boundary)
    })
}

fn sealed(state_at: impl Fn(u32) -> State) -> Rejection {
    let mut chain = Chain::working(&setup());
    let id = chain.units_of(UnitKind::Gradient)[0];
    let miner = chain.unit(id).miner;
    let key = chain.key_of(miner);
    let salt = Salt::from_bytes([1; 32]);
    let states: Vec<State> = (1..=3).map(state_at).collect();
    let seals = (1..).zip(&states);
    let seals = seals.map(|(boundary, state)| state.seal(id, miner, boundary, salt));
    let seals: Vec<Seal> = seals.collect();
    let mut body = commitment_body(&chain, id);
    if let Body::CommitGradient { root, .. } = &mut body {
        *root = gradient::root(&seals).unwrap();
    }
    chain.block(vec![(key.clone(), body)]);
    chain.attest_by_all(&[id]);
    chain.opens = false;
    chain.draw(&[id]);
    let tree = gradient::tree(&seals).unwrap();
    let needed = chain.unit(id).challenge.unwrap().needed().into_iter();
    let opened = needed.map(|boundary| OpenedState {
        state: states[boundary as usize - 1],
        salt,
        inclusion: tree.inclusion(boundary - 1).unwrap(),
    });
    let opening = StateOpening {
        unit: id,
        states: BoundedVec::new(opened.collect()).unwrap(),
    };
    chain.reject(key, Body::OpenStates { opening })
}
