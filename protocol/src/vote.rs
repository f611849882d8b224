//! What validators sign to decide a block. These bytes are ours, not the engine's, so that a
//! certificate, or the proof that a validator contradicted itself, can be checked without it.
//!
//! Spec: 05-block §4.

mod double_sign;

pub use double_sign::{DoubleSign, DoubleSignError};

use crate::{
    BlockId, ChainId, Height, PublicKey, Signature, SigningKey, identifiers::tagged_hash,
    keys::SignatureError,
};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// Domain of a vote's signature.
const VOTE_TAG: &str = "cairn/consensus/vote/v1";
/// Domain of a proposal's signature.
const PROPOSAL_TAG: &str = "cairn/consensus/proposal/v1";

/// The two votes of a round.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum VoteKind {
    /// "This block may be decided in this round."
    Prevote,
    /// "I have seen two thirds prevote for it." A quorum of these decides.
    Precommit,
}

/// A vote; `block_id` is absent in a vote for no block.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Vote {
    /// Which of the two votes.
    pub kind: VoteKind,
    /// The height voted on.
    pub height: Height,
    /// The round within the height.
    pub round: u32,
    /// The block voted for.
    pub block_id: Option<BlockId>,
}

/// A proposer's signed word that it proposes a block in a round.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Proposal {
    /// The height proposed for.
    pub height: Height,
    /// The round within the height.
    pub round: u32,
    /// The block proposed.
    pub block_id: BlockId,
    /// The earlier round in which two thirds prevoted for this block, when it is proposed again.
    pub valid_round: Option<u32>,
}

impl Vote {
    /// The bytes an ed25519 signature over this vote covers.
    #[must_use]
    pub fn signing_bytes(&self, chain: ChainId) -> [u8; 32] {
        tagged_hash(VOTE_TAG, &(chain, self))
    }
}

impl Proposal {
    /// The bytes an ed25519 signature over this proposal covers.
    #[must_use]
    pub fn signing_bytes(&self, chain: ChainId) -> [u8; 32] {
        tagged_hash(PROPOSAL_TAG, &(chain, self))
    }
}

/// A vote with its signer.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct SignedVote {
    /// What was signed.
    pub vote: Vote,
    /// Who signed.
    pub signer: PublicKey,
    /// Over [`Vote::signing_bytes`].
    pub signature: Signature,
}

impl SignedVote {
    /// Signs a vote.
    #[must_use]
    pub fn new(chain: ChainId, vote: Vote, key: &SigningKey) -> Self {
        let signature = key.sign(&vote.signing_bytes(chain));
        Self {
            vote,
            signer: key.address(),
            signature,
        }
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// When the key is not a point or the signature does not match.
    pub fn verify(&self, chain: ChainId) -> Result<(), SignatureError> {
        self.signer
            .verify(&self.vote.signing_bytes(chain), &self.signature)
    }
}

/// A proposal with its signer.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct SignedProposal {
    /// What was signed.
    pub proposal: Proposal,
    /// Who signed.
    pub signer: PublicKey,
    /// Over [`Proposal::signing_bytes`].
    pub signature: Signature,
}

impl SignedProposal {
    /// Signs a proposal.
    #[must_use]
    pub fn new(chain: ChainId, proposal: Proposal, key: &SigningKey) -> Self {
        let signature = key.sign(&proposal.signing_bytes(chain));
        Self {
            proposal,
            signer: key.address(),
            signature,
        }
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// When the key is not a point or the signature does not match.
    pub fn verify(&self, chain: ChainId) -> Result<(), SignatureError> {
        self.signer
            .verify(&self.proposal.signing_bytes(chain), &self.signature)
    }
}
