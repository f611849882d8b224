//! Openings that are not due, or do not open what was bound.

use super::Row;
use crate::support::{Chain, Setup, accepting, bind, key, sketch, sketched_bodies};
use ledger_state::Rejection;
use protocol::{
    codec::BoundedVec,
    gradient::StateOpening,
    rollout::{Opening, Salt, Shown},
    task::{UnitId, UnitKind},
    transaction::Body,
};

pub(super) const ROWS: &[Row] = &[
    ("NothingOpened", || {
        let (chain, id) = due();
        let openings = BoundedVec::new(Vec::new()).unwrap();
        chain.reject(owner(&chain, id), Body::Open { openings })
    }),
    ("UnitUnknown", || {
        changed(|_, opening| opening.unit.index = 99)
    }),
    ("NotAssignee", || {
        let (chain, id) = due();
        chain.reject(key("operator", 0), chain.open_body(&[id]))
    }),
    ("OpeningNotDue", || {
        let (chain, id) = unbound();
        chain.reject(owner(&chain, id), chain.open_body(&[id]))
    }),
    ("OpeningNotDue", opened_twice),
    ("OpeningLate", || {
        let (mut chain, id) = due();
        let open_by = chain.unit(id).opening.open_by.unwrap();
        chain.wait_for(open_by);
        chain.reject(owner(&chain, id), chain.open_body(&[id]))
    }),
    ("OpeningMismatch", || {
        changed(|_, opening| opening.plant_salt = Salt::from_bytes([1; 32]))
    }),
    ("OpeningForged", || {
        changed(|_, opening| opening.proof = key("operator", 0).vrf().prove(b"").1)
    }),
    ("SketchParts", || {
        let (chain, id) = in_parts(1);
        let mut opening = chain.due_opening(id);
        shorten(&mut opening, 1);
        let openings = BoundedVec::new(vec![opening]).unwrap();
        chain.reject(owner(&chain, id), Body::Open { openings })
    }),
    ("SketchNotDue", || {
        changed(|chain, opening| {
            *opening = opening.sealed(chain.unit(opening.unit).miner);
        })
    }),
    ("UnitUnknown", || {
        shown(|_, opening| opening.unit.index = 99)
    }),
    ("NotAssignee", || {
        let (chain, id) = crate::segments::drawn();
        chain.reject(key("operator", 0), chain.open_body(&[id]))
    }),
    ("OpeningLate", || {
        let (mut chain, id) = crate::segments::drawn();
        let open_by = chain.unit(id).opening.open_by.unwrap();
        chain.wait_for(open_by);
        chain.reject(owner(&chain, id), chain.open_body(&[id]))
    }),
    ("OpeningNotDue", || {
        // A rollout has no states, whatever is due of it.
        let (chain, id) = due();
        shown_of(&chain, |chain, opening| {
            let miner = chain.key_of(chain.unit(id).miner);
            opening.unit = id;
            miner
        })
    }),
    ("StatesNotDue", || {
        shown(|_, opening| opening.states = BoundedVec::new(Vec::new()).unwrap())
    }),
    ("StatesNotDue", || {
        shown(|chain, opening| {
            let challenge = chain.unit(opening.unit).challenge.unwrap();
            *opening = chain.state_opening(opening.unit, &[challenge.ends_at()]);
        })
    }),
    ("OpeningMismatch", || {
        shown(|_, opening| {
            let mut states = opening.states.as_slice().to_vec();
            states[0].salt = Salt::from_bytes([0xEE; 32]);
            opening.states = BoundedVec::new(states).unwrap();
        })
    }),
    ("StateMisplaced", crate::segments::sealed_misplaced),
    ("StateIncomplete", crate::segments::sealed_incomplete),
];

/// A drawn gradient unit's miner shows other states than it should.
fn shown(change: impl FnOnce(&Chain, &mut StateOpening)) -> Rejection {
    let (chain, id) = crate::segments::drawn();
    let mut opening = chain.due_states(id);
    change(&chain, &mut opening);
    chain.reject(owner(&chain, id), Body::OpenStates { opening })
}

/// Somebody shows states that it does not have.
fn shown_of(
    chain: &Chain,
    change: impl FnOnce(&Chain, &mut StateOpening) -> protocol::SigningKey,
) -> Rejection {
    let id = chain.units_of(UnitKind::Gradient)[0];
    let mut opening = chain.state_opening(id, &[1]);
    let sender = change(chain, &mut opening);
    chain.reject(sender, Body::OpenStates { opening })
}

fn owner(chain: &Chain, id: UnitId) -> protocol::SigningKey {
    chain.key_of(chain.unit(id).miner)
}

/// A rollout unit whose first auditor has not bound anything yet.
fn unbound() -> (Chain, UnitId) {
    crate::openings::blind(&Setup::default())
}

/// One whose miner must open it now.
fn due() -> (Chain, UnitId) {
    let (mut chain, id) = unbound();
    assert_eq!(id.kind, UnitKind::Rollout);
    let auditor = chain.seats(id)[0].clone();
    let (commit, _) = sketched_bodies(&auditor, id, accepting(), Some(sketch()));
    chain.block(vec![(auditor, commit)]);
    (chain, id)
}

/// What a miner opens whose sketch has fewer parts than its unit has groups.
fn shorten(opening: &mut Opening, parts_count: usize) {
    if let Shown::Open { opened } = &mut opening.shown {
        let parts = opened.parts.as_slice()[..parts_count].to_vec();
        opened.parts = BoundedVec::new(parts).unwrap();
    }
}

/// A unit that is due and was bound with such a sketch.
fn in_parts(parts_count: usize) -> (Chain, UnitId) {
    let mut chain = Chain::working(&Setup::default());
    let id = chain.units_of(UnitKind::Rollout)[0];
    let mut lie = crate::support::opening(&chain, id);
    shorten(&mut lie, parts_count);
    bind(&mut chain, &lie);
    let auditor = chain.seats(id)[0].clone();
    let (commit, _) = sketched_bodies(&auditor, id, accepting(), Some(sketch()));
    chain.block(vec![(auditor, commit)]);
    (chain, id)
}

fn changed(change: impl FnOnce(&Chain, &mut Opening)) -> Rejection {
    let (chain, id) = due();
    let mut opening = chain.due_opening(id);
    change(&chain, &mut opening);
    let openings = BoundedVec::new(vec![opening]).unwrap();
    chain.reject(owner(&chain, id), Body::Open { openings })
}

fn opened_twice() -> Rejection {
    let (mut chain, id) = due();
    let body = chain.open_body(&[id]);
    chain.block(vec![(owner(&chain, id), body.clone())]);
    chain.reject(owner(&chain, id), body)
}
