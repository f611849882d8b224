//! A block body on the wire: one signed head, then chunks.
//!
//! The engine gossips proposals by identifier and does not authenticate the parts a body travels
//! in. So the head says everything that can be checked: who proposes what in which round, how many
//! bytes follow and their hash, all under the proposer's signature. Chunks need no signature of
//! their own. A validator that sends a body on (when a round is repeated) sends the proposer's head
//! unchanged.
//!
//! Spec: 05-block §6.

use super::{
    assembler::{PartError, peer_id},
    context::CairnContext,
};
use crate::BLOCK_BYTES_MAX;
use arc_malachitebft_core_types::ValidatorProof;
use borsh::{BorshDeserialize, BorshSerialize};
use malachitebft_app_channel::app::types::PeerId;
use protocol::{BlobId, BlockId, ChainId, Height, PublicKey, Signature, identifiers::tagged_hash};

/// Domain of a head's signature.
const HEAD_TAG: &str = "cairn/consensus/block-head/v1";

/// Bytes in every chunk but the last.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;

/// Chunks of the largest body.
pub(super) const CHUNK_COUNT_MAX: u64 = (BLOCK_BYTES_MAX as u64).div_ceil(CHUNK_BYTES as u64);

/// One message of a stream: the head has sequence 0, chunk `i` has sequence `i + 1`.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) enum Part {
    /// What follows.
    Head(SignedHead),
    /// A piece of the body.
    Chunk(Vec<u8>),
    /// What follows, from a node that a validator vouches for.
    Vouched(SignedHead, Pass),
}

/// A validator's word that a network identity is its node's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Pass {
    /// Who vouches.
    pub(super) validator: PublicKey,
    /// Over [`pass_bytes`].
    pub(super) signature: Signature,
}

/// What a validator signs to vouch for a network identity: the engine's own proof of identity, so
/// that one signature serves both.
pub(crate) fn pass_bytes(validator: &PublicKey, network: &PublicKey) -> Vec<u8> {
    identity_bytes(validator, &peer_id(network).to_bytes())
}

fn identity_bytes(validator: &PublicKey, peer: &[u8]) -> Vec<u8> {
    ValidatorProof::<CairnContext>::signing_bytes(validator.as_bytes(), peer)
}

impl Pass {
    /// Whether it is for this network identity.
    pub(super) fn is_for(&self, peer: &PeerId) -> bool {
        let bytes = identity_bytes(&self.validator, &peer.to_bytes());
        self.validator.verify(&bytes, &self.signature).is_ok()
    }
}

/// What a proposer says about a body it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Head {
    /// Height the block is proposed for.
    pub height: Height,
    /// Round in which it was first proposed.
    pub round: u32,
    /// The block.
    pub block_id: BlockId,
    /// Bytes of the body.
    pub body_bytes: u32,
    /// Plain BLAKE3 hash of the body.
    pub body_hash: BlobId,
}

impl Head {
    /// What is said about a body that is proposed there.
    pub(super) fn of(place: (Height, u32), block_id: BlockId, body: &[u8]) -> Self {
        let (height, round) = place;
        Self {
            height,
            round,
            block_id,
            body_bytes: u32::try_from(body.len()).unwrap_or(u32::MAX),
            body_hash: BlobId::of(body),
        }
    }
    /// The bytes that the proposer signs.
    #[must_use]
    pub fn signing_bytes(&self, chain: ChainId) -> [u8; 32] {
        tagged_hash(HEAD_TAG, &(chain, self))
    }
}

/// A head with its proposer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct SignedHead {
    /// What was signed.
    pub(super) head: Head,
    /// Who proposed the block in the head's round.
    pub(super) proposer: PublicKey,
    /// Over the domain, the chain and the head.
    pub(super) signature: Signature,
}

impl SignedHead {
    /// Announces a body.
    #[cfg(test)]
    pub(super) fn new(
        chain: ChainId,
        place: (Height, u32),
        block_id: BlockId,
        body: &[u8],
        key: &protocol::SigningKey,
    ) -> Self {
        let head = Head::of(place, block_id, body);
        Self {
            head,
            proposer: key.address(),
            signature: key.sign(&head.signing_bytes(chain)),
        }
    }

    /// Checks size and signature.
    pub(super) fn verify(&self, chain: ChainId) -> Result<(), PartError> {
        let Head { body_bytes, .. } = self.head;
        if body_bytes == 0 || body_bytes > BLOCK_BYTES_MAX {
            return Err(PartError::BodySize { bytes: body_bytes });
        }
        let message = self.head.signing_bytes(chain);
        self.proposer
            .verify(&message, &self.signature)
            .map_err(|source| PartError::Signature { source })
    }
}

impl Head {
    /// How many chunks the body is cut into.
    pub(super) fn chunk_count(&self) -> u64 {
        u64::from(self.body_bytes).div_ceil(CHUNK_BYTES as u64)
    }
}

/// Cuts a body into parts, head first.
pub(super) fn split(head: SignedHead, pass: Option<Pass>, body: &[u8]) -> Vec<Part> {
    let chunks = body
        .chunks(CHUNK_BYTES)
        .map(|chunk| Part::Chunk(chunk.to_vec()));
    let first = pass.map_or(Part::Head(head), |pass| Part::Vouched(head, pass));
    std::iter::once(first).chain(chunks).collect()
}
