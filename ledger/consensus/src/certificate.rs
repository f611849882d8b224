//! A quorum's word that a block is final; checked with nothing but the validator set.
//!
//! Spec: 05-block §5.

use crate::{
    SignedVote, Vote, VoteKind,
    validators::{VALIDATOR_COUNT_MAX, ValidatorSet},
};
use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{
    BlockId, ChainId, Height, PublicKey, Signature, SigningKey, codec::BoundedVec,
    keys::SignatureError,
};
use serde::{Deserialize, Serialize};

/// Precommits of more than two thirds of the power for one block.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Certificate {
    /// Height of the block.
    pub height: Height,
    /// Round in which it was decided.
    pub round: u32,
    /// The block.
    pub block_id: BlockId,
    /// Who precommitted, in ascending order of key, with the signature over [`Self::vote`].
    pub signatures: BoundedVec<(PublicKey, Signature), VALIDATOR_COUNT_MAX>,
}

/// Why a certificate does not make its block final.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Somebody counted twice, or the order is not canonical.
    #[error("certificate of height {height} lists signer {signer} twice or out of order")]
    Order {
        /// The certificate's height.
        height: Height,
        /// The signer that does not follow the one before it.
        signer: PublicKey,
    },
    /// Not a validator at this height.
    #[error("certificate of height {height} is signed by {signer}, who is not a validator")]
    UnknownSigner {
        /// The certificate's height.
        height: Height,
        /// The stranger.
        signer: PublicKey,
    },
    /// No quorum.
    #[error(
        "certificate of height {height} carries power {power} of {power_total}; more than two \
         thirds are needed"
    )]
    Power {
        /// The certificate's height.
        height: Height,
        /// Power of its signers.
        power: u64,
        /// Power of all validators.
        power_total: u64,
    },
    /// A signature does not match.
    #[error("certificate of height {height} carries a bad signature: {source}")]
    Signature {
        /// The certificate's height.
        height: Height,
        /// What is wrong with it.
        source: SignatureError,
    },
}

impl Certificate {
    /// Signs a block alone: the certificate of a chain with one validator.
    ///
    /// # Panics
    /// Never: one signature is below the maximum.
    #[must_use]
    pub fn sign(chain: ChainId, height: Height, block_id: BlockId, key: &SigningKey) -> Self {
        let vote = Vote {
            kind: VoteKind::Precommit,
            height,
            round: 0,
            block_id: Some(block_id),
        };
        let signed = SignedVote::new(chain, vote, key);
        let signatures = BoundedVec::new(vec![(signed.signer, signed.signature)])
            .expect("invariant: one signature is below the maximum");
        Self {
            height,
            round: 0,
            block_id,
            signatures,
        }
    }

    /// The precommit every signature of this certificate covers.
    #[must_use]
    pub fn vote(&self) -> Vote {
        Vote {
            kind: VoteKind::Precommit,
            height: self.height,
            round: self.round,
            block_id: Some(self.block_id),
        }
    }

    /// Checks that the validators of this height decided this block.
    ///
    /// The caller chooses the set, so it must be the set of [`Self::height`]. Counting comes
    /// before cryptography: a stranger cannot make a light client verify 128 signatures in vain.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn verify(&self, chain: ChainId, set: &ValidatorSet) -> Result<(), CertificateError> {
        let Self {
            height,
            round: _,
            block_id: _,
            signatures,
        } = self;
        let height = *height;
        let mut last: Option<PublicKey> = None;
        let mut power: u64 = 0;
        for &(signer, _) in signatures.as_slice() {
            let validator = set
                .get(&signer)
                .ok_or(CertificateError::UnknownSigner { height, signer })?;
            if last.is_some_and(|last| signer <= last) {
                return Err(CertificateError::Order { height, signer });
            }
            last = Some(signer);
            power = power.saturating_add(validator.power);
        }
        if !set.is_quorum(power) {
            let power_total = set.power_total();
            return Err(CertificateError::Power {
                height,
                power,
                power_total,
            });
        }
        let message = self.vote().signing_bytes(chain);
        for (signer, signature) in signatures.as_slice() {
            signer
                .verify(&message, signature)
                .map_err(|source| CertificateError::Signature { height, source })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
