//! Gradients: what a unit's miner shows, and the states between that it seals. Spec: 02-gradient.
//!
//! A unit's inner steps are cut into [`Segments`]. The state after each is sealed in the blob, and
//! the commitment's [`Root`] binds all seals, so that whoever is later asked for one of them has
//! one thing to show.
//!
//! ```text
//! root ── seal 1 ── salt, state after the first segment (weights, moments)
//!      ├─ ...
//!      └─ seal n ── salt, state after the last, whose weights give the update
//! ```

mod segments;
mod state;

pub use segments::{SEGMENT_STEPS_COUNT_MAX, Segments};
pub use state::{
    Moments, OPENED_STATES_COUNT_MAX, OpenedState, Salts, State, StateOpening, root, tree,
};

use crate::{
    Address,
    codec::{BoundedVec, Bytes, DecodeError, decode},
    rollout::{Root, Seal},
    task::UnitId,
};
use borsh::{BorshDeserialize, BorshSerialize};

/// Largest gradient blob in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 1 << 30;
/// Most inner steps of a unit.
pub const INNER_STEPS_COUNT_MAX: usize = 4096;

/// A gradient unit's blob.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Payload {
    /// The unit.
    pub unit: UnitId,
    /// Who computed it.
    pub miner: Address,
    /// Tokens that carried loss: the unit's weight in the aggregate.
    pub tokens_count: u32,
    /// Mean loss of each inner step in millionths of a nat.
    pub losses_micro: BoundedVec<i64, INNER_STEPS_COUNT_MAX>,
    /// Hide the state after each segment.
    pub seals: BoundedVec<Seal, INNER_STEPS_COUNT_MAX>,
    /// The compressed pseudo-gradient, in the engine's canonical encoding.
    pub update: Bytes<PAYLOAD_BYTES_MAX>,
}

impl Payload {
    /// Reads a blob.
    ///
    /// # Errors
    /// When the bytes are not one canonical payload.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode("gradient payload", bytes, PAYLOAD_BYTES_MAX)
    }
    /// Where in the bytes of a payload the loss of an inner step begins.
    #[must_use]
    pub const fn loss_byte(inner_step: u32) -> u64 {
        // Unit, miner, tokens and the number of losses.
        (21 + 32 + 4 + 4) + 8 * inner_step as u64
    }
    /// Where the update begins, after so many losses and seals.
    #[must_use]
    pub const fn update_byte(losses_count: u32, seals_count: u32) -> u64 {
        Self::loss_byte(losses_count) + 4 + 32 * seals_count as u64 + 4
    }
    /// What the commitment binds; nothing without a seal.
    #[must_use]
    pub fn root(&self) -> Option<Root> {
        root(self.seals.as_slice())
    }
    /// Mean of the inner losses, rounded towards zero; zero without steps.
    #[must_use]
    pub fn loss_micro(&self) -> i64 {
        let losses = self.losses_micro.as_slice();
        let count = i128::try_from(losses.len()).unwrap_or(i128::MAX).max(1);
        let sum: i128 = losses.iter().map(|loss| i128::from(*loss)).sum();
        i64::try_from(sum / count).unwrap_or(i64::MAX)
    }
}
