//! Proof that a validator contradicted itself, checkable by anyone.
//!
//! Spec: 05-block §9.

use super::{SignedProposal, SignedVote};
use crate::{ChainId, Height, PublicKey, keys::SignatureError};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// Two messages of one validator that no honest validator signs both of.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum DoubleSign {
    /// Two different votes of one kind in one round.
    Vote {
        /// The one seen first.
        first: SignedVote,
        /// The one that contradicts it.
        second: SignedVote,
    },
    /// Two different proposals in one round.
    Proposal {
        /// The one seen first.
        first: SignedProposal,
        /// The one that contradicts it.
        second: SignedProposal,
    },
}

/// Why a pair of messages proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DoubleSignError {
    /// Two validators may disagree.
    #[error("messages are signed by {first} and {second}, not by one validator")]
    TwoSigners {
        /// Signer of the first.
        first: PublicKey,
        /// Signer of the second.
        second: PublicKey,
    },
    /// A validator may sign different things in different places.
    #[error("messages of {signer} are not for one height, round and kind")]
    TwoPlaces {
        /// The validator.
        signer: PublicKey,
    },
    /// Signing the same thing twice is harmless.
    #[error("messages of {signer} do not contradict each other")]
    NoConflict {
        /// The validator.
        signer: PublicKey,
    },
    /// Somebody made it up.
    #[error("evidence carries a bad signature: {source}")]
    Signature {
        /// What is wrong with it.
        #[from]
        source: SignatureError,
    },
}

impl DoubleSign {
    /// The accused.
    #[must_use]
    pub fn signer(&self) -> PublicKey {
        match self {
            Self::Vote { first, .. } => first.signer,
            Self::Proposal { first, .. } => first.signer,
        }
    }

    /// The height of the first message; whether the accused was a validator there decides whether
    /// it can be punished.
    #[must_use]
    pub fn height(&self) -> Height {
        match self {
            Self::Vote { first, .. } => first.vote.height,
            Self::Proposal { first, .. } => first.proposal.height,
        }
    }

    /// Checks that the pair proves what it claims.
    ///
    /// # Errors
    /// See [`DoubleSignError`].
    pub fn verify(&self, chain: ChainId) -> Result<(), DoubleSignError> {
        match self {
            Self::Vote { first, second } => {
                let (a, b) = (&first.vote, &second.vote);
                let place = (a.kind, a.height, a.round) == (b.kind, b.height, b.round);
                judge(first.signer, second.signer, place, a != b)?;
                first.verify(chain)?;
                second.verify(chain)?;
            }
            Self::Proposal { first, second } => {
                let (a, b) = (&first.proposal, &second.proposal);
                let place = (a.height, a.round) == (b.height, b.round);
                judge(first.signer, second.signer, place, a != b)?;
                first.verify(chain)?;
                second.verify(chain)?;
            }
        }
        Ok(())
    }
}

fn judge(
    first: PublicKey,
    second: PublicKey,
    same_place: bool,
    conflict: bool,
) -> Result<(), DoubleSignError> {
    if first != second {
        return Err(DoubleSignError::TwoSigners { first, second });
    }
    if !same_place {
        return Err(DoubleSignError::TwoPlaces { signer: first });
    }
    if !conflict {
        return Err(DoubleSignError::NoConflict { signer: first });
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::vote::{Vote, VoteKind};
    use crate::{BlockId, SigningKey};

    const CHAIN: ChainId = ChainId::from_bytes([9; 32]);

    fn vote(seed: u8, round: u32, block: Option<u8>) -> SignedVote {
        let vote = Vote {
            kind: VoteKind::Precommit,
            height: Height::new(3),
            round,
            block_id: block.map(|byte| BlockId::from_bytes([byte; 32])),
        };
        SignedVote::new(CHAIN, vote, &SigningKey::from_seed([seed; 32]))
    }

    #[test]
    fn only_two_signed_contradictions_of_one_validator_are_proof() {
        let first = vote(1, 0, Some(7));
        let signer = first.signer;
        let forged = SignedVote {
            signature: first.signature,
            ..vote(1, 0, None)
        };
        let other = vote(2, 0, None);
        let table = [
            (vote(1, 0, Some(8)), Ok(())),
            (vote(1, 0, None), Ok(())),
            (first, Err(DoubleSignError::NoConflict { signer })),
            (
                vote(1, 1, Some(8)),
                Err(DoubleSignError::TwoPlaces { signer }),
            ),
            (
                other,
                Err(DoubleSignError::TwoSigners {
                    first: signer,
                    second: other.signer,
                }),
            ),
            (forged, Err(SignatureError::Mismatch { key: signer }.into())),
        ];
        for (second, expect) in table {
            assert_eq!(DoubleSign::Vote { first, second }.verify(CHAIN), expect);
        }
    }
}
