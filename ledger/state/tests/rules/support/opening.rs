//! What miners of the tests seal, and how they open it.

use super::{Chain, RUN, step::totals};
use ledger_state::{run, unit::Unit};
use protocol::{
    BlobId, SigningKey,
    rollout::{Correction, Digest, Opened, Opening, Salt, Shown, Sketch, plant},
    task::UnitId,
    transaction::Body,
};

/// The sketch of every unit of the tests.
pub(crate) fn sketch() -> Sketch {
    BlobId::of(b"sections")
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
                sketch: sketch(),
            },
        },
    }
}

impl Chain {
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
    /// Openings by all miners that owe one.
    pub(super) fn due_openings(&self) -> Vec<(SigningKey, Body)> {
        let due = self.units().into_iter();
        let due = due.filter(|(_, unit)| {
            unit.outcome().is_none() && unit.opening.open_by.is_some_and(|by| self.height() < by)
        });
        due.map(|(id, unit)| (self.key_of(unit.miner), self.open_body(&[id])))
            .collect()
    }
    /// Opens units of one miner.
    pub(crate) fn open_body(&self, ids: &[UnitId]) -> Body {
        let openings = ids.iter().map(|id| self.due_opening(*id)).collect();
        Body::Open {
            openings: protocol::codec::BoundedVec::new(openings).unwrap(),
        }
    }
}
