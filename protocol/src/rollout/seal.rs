//! Seals: what a miner binds now and shows later.
//!
//! A seal is a hash of a secret salt and what it hides. Salts follow from the miner's secret key
//! and the unit, so that a miner that was restarted can still open what it bound.

use super::{Digest, Parts, Sketch, Totals};
use crate::{
    Address, ChainId, SigningKey,
    identifiers::{identifier, tagged_hash},
    task::UnitId,
    vrf::Output,
};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

identifier!(
    /// Hides something until its salt is opened.
    Seal
);
identifier!(
    /// Kept secret until what it seals is opened.
    Salt
);
identifier!(
    /// Binds a unit: all of a rollout, shown or sealed, or the sealed states of a gradient.
    Root
);

/// What a miner keeps to itself about one unit. The salts differ, because a fault may have to be
/// opened while the sections stay sealed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salts {
    /// Of the sections and the sketch.
    pub sketch: Salt,
    /// Of the planted fault.
    pub plant: Salt,
    /// The miner's randomness about the unit, if it obliges the miner to plant a fault.
    pub fault: Option<Output>,
}

impl std::fmt::Debug for Salts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salts")
    }
}

impl Salt {
    /// Of a unit whose sections stand beside their seals.
    pub const OPEN: Self = Self([0; 32]);
}

impl Salts {
    /// Of a unit that hides nothing.
    pub const OPEN: Self = Self {
        sketch: Salt::OPEN,
        plant: Salt::OPEN,
        fault: None,
    };

    /// The salts that only this key gives, and gives again.
    #[must_use]
    pub fn derive(key: &SigningKey, chain: ChainId, unit: UnitId) -> Self {
        let secret = (key.to_seed(), chain, unit);
        Self {
            sketch: Salt(tagged_hash("cairn/sketch-salt/v1", &secret)),
            plant: Salt(tagged_hash("cairn/plant-salt/v1", &secret)),
            fault: None,
        }
    }
}

/// What was altered on purpose, undone: the token that belongs in one place.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Correction {
    /// Index of the group.
    pub group: u32,
    /// Index in the group.
    pub slot: u32,
    /// Index in the response.
    pub position: u32,
    /// The token that was drawn.
    pub token: u32,
    /// The unit's sums with that token.
    pub totals: Totals,
}

/// What the sketch is made of, with the salt under which it and the sections were sealed.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Opened {
    /// The salt.
    pub salt: Salt,
    /// One digest for each group.
    pub parts: Parts,
}

impl Opened {
    /// The sketch.
    #[must_use]
    pub fn sketch(&self) -> Sketch {
        Sketch::of(self.parts.as_slice())
    }
}

impl Seal {
    /// Seals the section of one sample, given by its digest.
    #[must_use]
    pub fn section(salt: Salt, (group, slot): (u32, u32), section: Digest) -> Self {
        Self(tagged_hash(
            "cairn/section-seal/v1",
            &(salt, group, slot, section),
        ))
    }
}

/// Seals the sketch of a unit.
#[must_use]
pub fn sketch_seal(unit: UnitId, miner: Address, opened: &Opened) -> Seal {
    let hidden = (unit, miner, opened.salt, opened.sketch());
    Seal(tagged_hash("cairn/sketch-seal/v1", &hidden))
}

/// Seals whether and how a unit was altered on purpose.
#[must_use]
pub fn plant_seal(unit: UnitId, miner: Address, salt: Salt, plant: Option<Correction>) -> Seal {
    Seal(tagged_hash(
        "cairn/plant-seal/v1",
        &(unit, miner, salt, plant),
    ))
}

/// Binds all of a unit.
#[must_use]
pub fn root(leaves_root: Digest, plant: Seal, sketch: Seal) -> Root {
    Root(tagged_hash(
        "cairn/rollout-root/v1",
        &(leaves_root, plant, sketch),
    ))
}
