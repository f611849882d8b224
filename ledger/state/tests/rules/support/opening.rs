//! What miners of the tests seal, and how they open it.

use super::{
    Chain, RUN,
    step::{commitment_body, totals},
};
use ledger_state::{
    opening::{is_blind, is_planted_round},
    run,
    unit::Unit,
};
use protocol::{
    Address, BlobId, SigningKey,
    codec::BoundedVec,
    gradient::{self, Moments, OpenedState, State, StateOpening},
    recipe::Phase,
    rollout::{Correction, Digest, Opened, Opening, Parts, Salt, Seal, Shown, Sketch, plant},
    task::{UnitId, UnitKind},
    transaction::Body,
    verdict::{Check, Finding},
};

/// The parts of every unit's sketch in the tests: units have two groups.
pub(crate) fn parts() -> Parts {
    BoundedVec::new(vec![Digest::from_bytes([0x67; 32]); 2]).unwrap()
}

/// The sketch of every unit of the tests.
pub(crate) fn sketch() -> Sketch {
    Sketch::of(parts().as_slice())
}

/// A sketch that nobody's sections give.
pub(crate) fn lie() -> Sketch {
    Sketch::from_bytes([0x11; 32])
}

/// Binds a unit by the root of another opening than its own, and has it drawn; nobody opens it.
pub(crate) fn bind(chain: &mut Chain, other: &Opening) {
    let id = other.unit;
    let miner = chain.unit(id).miner;
    let mut body = commitment_body(chain, id);
    if let Body::CommitRollouts { root, .. } = &mut body {
        *root = other.root(miner);
    }
    chain.block(vec![(chain.key_of(miner), body)]);
    chain.attest_by_all(&[id]);
    chain.draw(&[id]);
    chain.opens = false;
}

/// What undoes the fault in a unit that must have one.
pub(crate) fn correction() -> Correction {
    Correction {
        group: 0,
        slot: 1,
        position: 2,
        token: 7,
        totals: totals(),
    }
}

/// What the miner of a unit sealed, with everything shown.
pub(crate) fn opening(chain: &Chain, unit: UnitId) -> Opening {
    let view = chain.view();
    let state: Unit = view.get(&unit).unwrap();
    let (vocabulary, beacon) = {
        let recipe = run::recipe(&view, RUN).unwrap();
        let beacon = run::beacon(&view, RUN, unit.step).unwrap();
        (recipe.model.vocab_size, beacon)
    };
    let alpha = plant::alpha(&beacon, unit);
    let (output, proof) = chain.key_of(state.miner).vrf().prove(&alpha);
    let is_due = plant::is_due(&output, state.plant_rate, &totals(), vocabulary);
    Opening {
        unit,
        leaves_root: Digest::from_bytes([0x4C; 32]),
        plant: is_due.then(correction),
        plant_salt: Salt::from_bytes([0x50; 32]),
        proof,
        shown: Shown::Open {
            opened: Opened {
                salt: Salt::from_bytes([0x53; 32]),
                parts: parts(),
            },
        },
    }
}

/// The state at a boundary of every pre-training unit of the tests, whose segments have one step.
pub(crate) fn state_at(boundary: u32) -> State {
    State {
        steps_count: boundary,
        weights: BlobId::of(b"weights"),
        moments: Some(Moments {
            first: BlobId::of(b"first"),
            second: BlobId::of(b"second"),
        }),
    }
}

fn state_salt(boundary: u32) -> Salt {
    Salt::from_bytes([u8::try_from(boundary).unwrap(); 32])
}

/// The seals of a gradient unit.
pub(crate) fn seals(
    chain: &Chain,
    unit: UnitId,
    (miner, segments_count): (Address, u32),
) -> Vec<Seal> {
    let seal = |boundary| {
        let state = chain.state_at(unit, boundary);
        state.seal(unit, miner, boundary, state_salt(boundary))
    };
    (1..=segments_count).map(seal).collect()
}

impl Chain {
    /// The state at a boundary of a gradient unit; there are no moments in reinforcement learning.
    pub(crate) fn state_at(&self, id: UnitId, boundary: u32) -> State {
        let recipe = run::recipe(&self.view(), id.run).unwrap();
        let is_pretraining = recipe.phase(id.step) == Some(Phase::Pretrain);
        let state = state_at(boundary);
        State {
            moments: state.moments.filter(|_| is_pretraining),
            ..state
        }
    }
    /// What a gradient unit's miner opens at these boundaries.
    pub(crate) fn state_opening(&self, id: UnitId, boundaries: &[u32]) -> StateOpening {
        let unit = self.unit(id);
        let segments_count = unit
            .challenge
            .map_or(1, |challenge| challenge.segments_count);
        let tree = gradient::tree(&seals(self, id, (unit.miner, segments_count))).unwrap();
        let open = |boundary: &u32| OpenedState {
            state: self.state_at(id, *boundary),
            salt: state_salt(*boundary),
            inclusion: tree.inclusion(boundary - 1).unwrap(),
        };
        let states = boundaries.iter().map(open).collect();
        StateOpening {
            unit: id,
            states: BoundedVec::new(states).unwrap(),
        }
    }
    /// What it should open now.
    pub(crate) fn due_states(&self, id: UnitId) -> StateOpening {
        let unit = self.unit(id);
        let boundaries = match unit.challenge {
            Some(challenge) if unit.audits.is_empty() => challenge.needed(),
            Some(challenge) => vec![challenge.ends_at()],
            None => vec![1],
        };
        self.state_opening(id, &boundaries)
    }
    /// What a unit's miner should open now: the sketch only where it is due.
    pub(crate) fn due_opening(&self, id: UnitId) -> Opening {
        let (unit, opening) = (self.unit(id), opening(self, id));
        let fault_first = opening.plant.is_some() && unit.opening.plant.is_none();
        if unit.audits.is_empty() || fault_first {
            opening.sealed(unit.miner)
        } else {
            opening
        }
    }
    /// What auditors say once the units are open whose openings are in the same block, or were
    /// before it: those who accept add that the seals hide what they should.
    pub(crate) fn looked(
        &self,
        openings: &[(SigningKey, Body)],
        content: Vec<(SigningKey, Body)>,
    ) -> Vec<(SigningKey, Body)> {
        let shows = |body: &Body, id: UnitId| match body {
            Body::Open { openings } => openings
                .as_slice()
                .iter()
                .any(|opening| opening.unit == id && matches!(opening.shown, Shown::Open { .. })),
            _ => false,
        };
        let is_seen = |id: UnitId| {
            let unit: Option<Unit> = self.view().get(&id);
            let is_shown = openings.iter().any(|(_, body)| shows(body, id));
            unit.is_some_and(|unit| {
                let is_rollout = id.kind == UnitKind::Rollout;
                let is_first = is_blind(id, &unit) && !is_planted_round(&unit);
                is_rollout && is_first && (is_shown || unit.opening.sketch.is_some())
            })
        };
        let look = |(key, mut body): (SigningKey, Body)| {
            if let Body::AuditReveal { unit, verdict, .. } = &mut body
                && is_seen(*unit)
                && verdict.accepts()
            {
                *verdict = verdict.with(Finding::exact(Check::Activations, 0));
            }
            (key, body)
        };
        content.into_iter().map(look).collect()
    }
    /// Openings by all miners that owe one.
    pub(super) fn due_openings(&self) -> Vec<(SigningKey, Body)> {
        let due = self.units().into_iter();
        let due = due.filter(|(_, unit)| {
            unit.outcome().is_none() && unit.opening.open_by.is_some_and(|by| self.height() < by)
        });
        let due = due.filter(|(id, _)| !self.silent.contains(id));
        due.map(|(id, unit)| (self.key_of(unit.miner), self.open_body(&[id])))
            .collect()
    }
    /// Opens units of one miner; of gradient units, the first.
    pub(crate) fn open_body(&self, ids: &[UnitId]) -> Body {
        if let Some(id) = ids.iter().find(|id| id.kind == UnitKind::Gradient) {
            let opening = self.due_states(*id);
            return Body::OpenStates { opening };
        }
        let openings = ids.iter().map(|id| self.due_opening(*id)).collect();
        Body::Open {
            openings: BoundedVec::new(openings).unwrap(),
        }
    }
}
