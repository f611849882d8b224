//! A block body on the wire: one signed head, then chunks.
//!
//! The engine gossips proposals by identifier and does not authenticate the parts a body travels
//! in. So the head says everything that can be checked: who proposes what in which round, how many
//! bytes follow and their hash, all under the proposer's signature. Chunks need no signature of
//! their own. A validator that sends a body on (when a round is repeated) sends the proposer's head
//! unchanged.
//!
//! Spec: 05-block §6.

use super::assembler::PartError;
use crate::BLOCK_BYTES_MAX;
use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{
    BlobId, BlockId, ChainId, Height, PublicKey, Signature, SigningKey, identifiers::tagged_hash,
};

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
}

/// What a proposer says about a body it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Head {
    /// Height the block is proposed for.
    pub(super) height: Height,
    /// Round in which it was first proposed.
    pub(super) round: u32,
    /// The block.
    pub(super) block_id: BlockId,
    /// Bytes of the body.
    pub(super) body_bytes: u32,
    /// Plain BLAKE3 hash of the body.
    pub(super) body_hash: BlobId,
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
    pub(super) fn new(
        chain: ChainId,
        place: (Height, u32),
        block_id: BlockId,
        body: &[u8],
        key: &SigningKey,
    ) -> Self {
        let (height, round) = place;
        let body_bytes = u32::try_from(body.len()).unwrap_or(u32::MAX);
        let head = Head {
            height,
            round,
            block_id,
            body_bytes,
            body_hash: BlobId::of(body),
        };
        let signature = key.sign(&tagged_hash(HEAD_TAG, &(chain, head)));
        Self {
            head,
            proposer: key.address(),
            signature,
        }
    }

    /// Checks size and signature.
    pub(super) fn verify(&self, chain: ChainId) -> Result<(), PartError> {
        let Head { body_bytes, .. } = self.head;
        if body_bytes == 0 || body_bytes > BLOCK_BYTES_MAX {
            return Err(PartError::BodySize { bytes: body_bytes });
        }
        let message = tagged_hash(HEAD_TAG, &(chain, self.head));
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
pub(super) fn split(head: SignedHead, body: &[u8]) -> Vec<Part> {
    let chunks = body
        .chunks(CHUNK_BYTES)
        .map(|chunk| Part::Chunk(chunk.to_vec()));
    std::iter::once(Part::Head(head)).chain(chunks).collect()
}
