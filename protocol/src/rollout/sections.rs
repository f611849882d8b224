//! Sections: the hidden part of a rollout, what only the model's activations give.
//!
//! Every section has a digest, every group of sections a part, and all parts one sketch:
//!
//! ```text
//! sketch ── part of each group ── digest of each section
//! ```
//!
//! An auditor binds its sketch before it knows the miner's. A miner opens the parts, so that a
//! sketch that is a lie names the groups in which it is one.

use super::{
    Digest, GROUPS_COUNT_MAX, PROOF_BYTES_MAX, PROOFS_COUNT_MAX, SAMPLES_COUNT_MAX,
    TOKENS_COUNT_MAX,
};
use crate::{
    codec::{BoundedVec, Bytes, DecodeError, decode, encode},
    identifiers::{identifier, tagged_hash},
};
use borsh::{BorshDeserialize, BorshSerialize};

/// Random projections of every hidden state.
pub const PROJECTIONS_COUNT: usize = 8;
/// Most tokens that are fed for one sample, prompt and response.
pub const PROJECTED_TOKENS_COUNT_MAX: usize = 8 * TOKENS_COUNT_MAX;
/// Largest encoding of a unit's sections in bytes.
pub const SECTIONS_BYTES_MAX: usize = 256 << 20;

identifier!(
    /// Hash of the parts of a unit's [`Sections`]. Whoever computed the unit knows it.
    Sketch
);

/// One digest for each group of a unit's sections, in group order.
pub type Parts = BoundedVec<Digest, GROUPS_COUNT_MAX>;

impl Sketch {
    /// The sketch of a unit with these parts.
    #[must_use]
    pub fn of(parts: &[Digest]) -> Self {
        Self(tagged_hash("cairn/sketch/v1", parts))
    }
}

/// The part of a group whose sections have these digests, in slot order.
#[must_use]
pub fn part(sections: &[Digest]) -> Digest {
    Digest::from_bytes(tagged_hash("cairn/sketch-part/v1", sections))
}

/// What the activations of one sample leave behind. Spec: 03-proof.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Section {
    /// TOPLOC proofs over last hidden states: first the prompt, then chunks of the response.
    pub proofs: BoundedVec<Bytes<PROOF_BYTES_MAX>, PROOFS_COUNT_MAX>,
    /// `[fed tokens, 8]` i8, row-major: random projections of every last hidden state.
    pub projections: Bytes<{ PROJECTIONS_COUNT * PROJECTED_TOKENS_COUNT_MAX }>,
}

impl Section {
    /// What stands for the section in seals and in the sketch.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::from_bytes(tagged_hash("cairn/section/v1", self))
    }
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
    /// One digest for each group.
    #[must_use]
    pub fn parts(&self) -> Parts {
        self.groups.map(|group| {
            let digests = group.map(Section::digest);
            part(digests.as_slice())
        })
    }
    /// The unit's sketch.
    #[must_use]
    pub fn sketch(&self) -> Sketch {
        Sketch::of(self.parts().as_slice())
    }
    /// The section in one place.
    #[must_use]
    pub fn get(&self, group: usize, slot: usize) -> Option<&Section> {
        self.groups.as_slice().get(group)?.as_slice().get(slot)
    }
}
