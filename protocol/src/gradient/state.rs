//! States: everything that training goes on from, named by hashes, sealed, and opened.
//!
//! Weights and moments are three files of f32, little-endian, in the order of the model's tensors.
//! Each is a blob, so that whoever fetches one checks it piece by piece against its name, which is
//! itself the root of a Merkle tree (BLAKE3); and where only the weights are needed, only they
//! travel.

use crate::{
    Address, BlobId, ChainId, SigningKey,
    codec::BoundedVec,
    identifiers::tagged_hash,
    rollout::{Digest, Inclusion, Root, Salt, Seal, Sketch, Tree},
    task::UnitId,
};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// Moments of `AdamW`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Moments {
    /// The first.
    pub first: BlobId,
    /// The second.
    pub second: BlobId,
}

/// What a unit's training is at, at a boundary between segments.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct State {
    /// Inner steps taken.
    pub steps_count: u32,
    /// The weights; in reinforcement learning, which changes none, the sum of gradients so far.
    pub weights: BlobId,
    /// The moments; nothing in reinforcement learning, which keeps none.
    pub moments: Option<Moments>,
}

impl State {
    /// What names all of it: the only part of the unit's sketch.
    #[must_use]
    pub fn part(&self) -> Digest {
        Digest::from_bytes(tagged_hash("cairn/training-state/v1", self))
    }
    /// The sketch by which an auditor of the segment before shows that it took the same steps from
    /// the same state.
    #[must_use]
    pub fn sketch(&self) -> Sketch {
        Sketch::of(&[self.part()])
    }
    /// Hides it.
    #[must_use]
    pub fn seal(&self, unit: UnitId, miner: Address, boundary: u32, salt: Salt) -> Seal {
        let sealed = (unit, miner, boundary, salt, self.part());
        Seal::from_bytes(tagged_hash("cairn/state-seal/v1", &sealed))
    }
}

/// The salts of a unit's states: one each, since they are opened one by one.
#[derive(Clone, Copy)]
pub struct Salts([u8; 32]);

impl std::fmt::Debug for Salts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salts")
    }
}

impl Salts {
    /// Of a unit that hides nothing.
    pub const OPEN: Self = Self([0; 32]);

    /// Those that only this key gives, and gives again.
    #[must_use]
    pub fn derive(key: &SigningKey, chain: ChainId, unit: UnitId) -> Self {
        let secret = (key.to_seed(), chain, unit);
        Self(tagged_hash("cairn/state-salts/v1", &secret))
    }
    /// That of the state at a boundary.
    #[must_use]
    pub fn at(&self, boundary: u32) -> Salt {
        let secret = (self.0, boundary);
        Salt::from_bytes(tagged_hash("cairn/state-salt/v1", &secret))
    }
}

/// The tree over a unit's seals; nothing without any.
#[must_use]
pub fn tree(seals: &[Seal]) -> Option<Tree> {
    let leaf = |seal: &Seal| Digest::from_bytes(*seal.as_bytes());
    Tree::of(seals.iter().map(leaf).collect())
}

/// What binds them; nothing without any.
#[must_use]
pub fn root(seals: &[Seal]) -> Option<Root> {
    tree(seals).map(|tree| bind(tree.root()))
}

fn bind(top: Digest) -> Root {
    Root::from_bytes(tagged_hash("cairn/gradient-root/v1", &top))
}

/// One state, with what shows that it was bound.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct OpenedState {
    /// The state.
    pub state: State,
    /// The salt of its seal.
    pub salt: Salt,
    /// That the seal is one of the unit's; its index is the state's boundary, less one.
    pub inclusion: Inclusion,
}

impl OpenedState {
    /// The boundary of which it is said to be the state.
    #[must_use]
    pub fn boundary(&self) -> u32 {
        self.inclusion.index.saturating_add(1)
    }
    /// The root that the miner must have bound; nothing if the inclusion is none.
    #[must_use]
    pub fn root(&self, unit: UnitId, miner: Address) -> Option<Root> {
        let seal = self.state.seal(unit, miner, self.boundary(), self.salt);
        let leaf = Digest::from_bytes(*seal.as_bytes());
        self.inclusion.root_with(leaf).map(bind)
    }
}

/// Most states that are opened at once: where a segment starts, and where the unit ends.
pub const OPENED_STATES_COUNT_MAX: usize = 2;

/// States of one unit, opened.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct StateOpening {
    /// The unit.
    pub unit: UnitId,
    /// By boundary, ascending.
    pub states: BoundedVec<OpenedState, OPENED_STATES_COUNT_MAX>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::{RunId, Step, task::UnitKind};

    const UNIT: UnitId = UnitId {
        run: RunId::new(1),
        step: Step::new(2),
        kind: UnitKind::Gradient,
        index: 3,
    };

    fn state(byte: u8) -> State {
        State {
            steps_count: byte.into(),
            weights: BlobId::from_bytes([byte; 32]),
            moments: None,
        }
    }

    #[test]
    fn a_state_is_shown_at_its_own_boundary_of_its_own_unit_and_miner() {
        let miner = Address::from_bytes([9; 32]);
        let salts = Salts([5; 32]);
        let sealed =
            |boundary: u32, byte| state(byte).seal(UNIT, miner, boundary, salts.at(boundary));
        let seals: Vec<Seal> = (1..=3).map(|boundary| sealed(boundary, 7)).collect();
        let (tree, bound) = (tree(&seals).unwrap(), root(&seals).unwrap());
        for boundary in 1..=3 {
            let opened = |index: u32, byte| OpenedState {
                state: state(byte),
                salt: salts.at(boundary),
                inclusion: tree.inclusion(index - 1).unwrap(),
            };
            assert_eq!(opened(boundary, 7).root(UNIT, miner), Some(bound));
            assert_ne!(opened(boundary, 8).root(UNIT, miner), Some(bound));
            let elsewhere = opened(boundary % 3 + 1, 7);
            assert_ne!(elsewhere.root(UNIT, miner), Some(bound));
            let other = UnitId { index: 4, ..UNIT };
            assert_ne!(opened(boundary, 7).root(other, miner), Some(bound));
            let stranger = Address::from_bytes([8; 32]);
            assert_ne!(opened(boundary, 7).root(UNIT, stranger), Some(bound));
        }
        assert_eq!(root(&[]), None);
    }
}
