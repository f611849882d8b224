//! Openings: what a miner shows of what it sealed. Spec: 07-verdict §9.

use super::{Correction, Digest, Opened, Root, Salt, Seal, plant_seal, root, sketch_seal};
use crate::{Address, task::UnitId, vrf::Proof};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// Most units opened by one transaction.
pub const OPENINGS_COUNT_MAX: usize = 16;
/// Bytes of openings that fit into one transaction, whoever signs it.
pub const OPENINGS_BYTES_MAX: usize = 7 << 10;

/// The sketch, or its seal where the sketch stays hidden.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(tag = "sketch", rename_all = "lowercase")]
pub enum Shown {
    /// Only the seal.
    Sealed {
        /// The seal.
        seal: Seal,
    },
    /// The sketch, and what opens every section.
    Open {
        /// Both.
        opened: Opened,
    },
}

/// One unit, opened.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Opening {
    /// The unit.
    pub unit: UnitId,
    /// Root of the tree over its samples.
    pub leaves_root: Digest,
    /// Whether and how it was altered on purpose.
    pub plant: Option<Correction>,
    /// The salt of that.
    pub plant_salt: Salt,
    /// The miner's randomness about the unit, which says whether it had to.
    pub proof: Proof,
    /// The sketch, where it is due.
    pub shown: Shown,
}

impl Opening {
    /// The root of the unit that this opens, if `miner` bound it.
    #[must_use]
    pub fn root(&self, miner: Address) -> Root {
        let Self {
            unit,
            leaves_root,
            plant,
            plant_salt,
            proof: _,
            shown,
        } = self;
        let sketch = match shown {
            Shown::Sealed { seal } => *seal,
            Shown::Open { opened } => sketch_seal(*unit, miner, opened),
        };
        let plant = plant_seal(*unit, miner, *plant_salt, *plant);
        root(*leaves_root, plant, sketch)
    }
    /// The same with the sketch kept hidden.
    #[must_use]
    pub fn sealed(&self, miner: Address) -> Self {
        let seal = match &self.shown {
            Shown::Sealed { seal } => *seal,
            Shown::Open { opened } => sketch_seal(self.unit, miner, opened),
        };
        Self {
            shown: Shown::Sealed { seal },
            ..self.clone()
        }
    }
}
