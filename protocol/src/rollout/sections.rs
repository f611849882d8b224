//! Sections: the hidden part of a rollout, what only the model's activations give.

use super::{
    GROUPS_COUNT_MAX, PROOF_BYTES_MAX, PROOFS_COUNT_MAX, SAMPLES_COUNT_MAX, TOKENS_COUNT_MAX,
};
use crate::{
    BlobId,
    codec::{BoundedVec, Bytes, DecodeError, decode, encode},
};
use borsh::{BorshDeserialize, BorshSerialize};

/// Random projections of every hidden state.
pub const PROJECTIONS_COUNT: usize = 8;
/// Most tokens that are fed for one sample, prompt and response.
pub const PROJECTED_TOKENS_COUNT_MAX: usize = 8 * TOKENS_COUNT_MAX;
/// Largest encoding of a unit's sections in bytes.
pub const SECTIONS_BYTES_MAX: usize = 256 << 20;

/// Plain BLAKE3 of a unit's encoded [`Sections`]. It names them as a blob, and whoever computed
/// the unit knows it.
pub type Sketch = BlobId;

/// What the activations of one sample leave behind. Spec: 03-proof.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Section {
    /// TOPLOC proofs over last hidden states: first the prompt, then chunks of the response.
    pub proofs: BoundedVec<Bytes<PROOF_BYTES_MAX>, PROOFS_COUNT_MAX>,
    /// `[fed tokens, 8]` i8, row-major: random projections of every last hidden state.
    pub projections: Bytes<{ PROJECTIONS_COUNT * PROJECTED_TOKENS_COUNT_MAX }>,
}

/// The sections of one prompt's samples, in slot order.
pub type SectionGroup = BoundedVec<Section, SAMPLES_COUNT_MAX>;

/// The sections of a unit, in group order. Neither salt nor miner is in them.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Sections {
    /// In group order.
    pub groups: BoundedVec<SectionGroup, GROUPS_COUNT_MAX>,
}

impl Sections {
    /// Reads sections.
    ///
    /// # Errors
    /// When the bytes are not one canonical encoding.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode("rollout sections", bytes, SECTIONS_BYTES_MAX)
    }
    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }
    /// The unit's sketch.
    #[must_use]
    pub fn sketch(&self) -> Sketch {
        BlobId::of(&self.encode())
    }
    /// The section in one place.
    #[must_use]
    pub fn get(&self, group: usize, slot: usize) -> Option<&Section> {
        self.groups.as_slice().get(group)?.as_slice().get(slot)
    }
}
