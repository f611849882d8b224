//! Signs and verifies for the engine, over our own canonical bytes.

use super::context::{CairnContext, EngineProposal, EngineVote};
use super::mute::mute_after_refusal;
use crate::history::{HistoryError, Signed, SigningHistory};
use arc_malachitebft_core_types::{
    SignedExtension, SignedMessage, SignedProposal, SignedVote, ValidatorProof, VoteExtensionScope,
};
use arc_malachitebft_signing::{Error, Signer, VerificationResult, Verifier};
use async_trait::async_trait;
use protocol::{ChainId, PublicKey, Signature, SigningKey};
use std::sync::{Arc, Mutex, PoisonError};

/// Holds the validator's key.
#[derive(Debug, Clone)]
pub(super) struct EngineSigner {
    pub(super) chain: ChainId,
    pub(super) key: SigningKey,
    /// What was signed before; only tests that make validators contradict themselves have none.
    pub(super) history: Option<Arc<Mutex<SigningHistory>>>,
}

impl EngineSigner {
    /// Signs what the history allows.
    fn sign(&self, wanted: Signed) -> Result<Signature, Error> {
        if let Some(history) = &self.history {
            let mut history = history.lock().unwrap_or_else(PoisonError::into_inner);
            history.allow(wanted).map_err(|error| {
                tracing::error!("not signed: {error}");
                if is_refusal(&error)
                    && let Err(error) = mute_after_refusal(history.folder(), wanted.height)
                {
                    tracing::error!("the next start will be refused again: {error}");
                }
                Error::from_source(error)
            })?;
        }
        Ok(self.key.sign(&wanted.digest))
    }
}

/// Whether the history was read and says no.
const fn is_refusal(error: &HistoryError) -> bool {
    matches!(
        error,
        HistoryError::Contradiction { .. } | HistoryError::Lower { .. }
    )
}

/// Checks what others signed.
#[derive(Debug, Clone, Copy)]
pub(super) struct EngineVerifier {
    pub(super) chain: ChainId,
}

#[derive(Debug, thiserror::Error)]
enum Unsignable {
    #[error("a message of no round cannot be signed")]
    NoRound,
    #[error("vote extensions are not part of this protocol")]
    Extension,
}

#[async_trait]
impl Signer<CairnContext> for EngineSigner {
    async fn sign_vote(&self, vote: EngineVote) -> Result<SignedVote<CairnContext>, Error> {
        let content = vote
            .to_vote()
            .ok_or_else(|| Error::from_source(Unsignable::NoRound))?;
        let signature = self.sign(Signed::vote(self.chain, &content))?;
        Ok(SignedMessage::new(vote, signature))
    }

    async fn sign_proposal(
        &self,
        proposal: EngineProposal,
    ) -> Result<SignedProposal<CairnContext>, Error> {
        let content = proposal
            .to_proposal()
            .ok_or_else(|| Error::from_source(Unsignable::NoRound))?;
        let signature = self.sign(Signed::proposal(self.chain, &content))?;
        Ok(SignedMessage::new(proposal, signature))
    }

    async fn sign_vote_extension(
        &self,
        _: VoteExtensionScope<CairnContext>,
        (): (),
    ) -> Result<SignedExtension<CairnContext>, Error> {
        Err(Error::from_source(Unsignable::Extension))
    }

    async fn sign_validator_proof(
        &self,
        public_key: Vec<u8>,
        peer_id: Vec<u8>,
    ) -> Result<ValidatorProof<CairnContext>, Error> {
        let bytes = ValidatorProof::<CairnContext>::signing_bytes(&public_key, &peer_id);
        Ok(ValidatorProof::new(
            public_key,
            peer_id,
            self.key.sign(&bytes),
        ))
    }
}

#[async_trait]
impl Verifier<CairnContext> for EngineVerifier {
    async fn verify_signed_vote(
        &self,
        vote: &EngineVote,
        signature: &Signature,
        public_key: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        let valid = vote.to_vote().is_some_and(|content| {
            public_key
                .verify(&content.signing_bytes(self.chain), signature)
                .is_ok()
        });
        Ok(VerificationResult::from_bool(valid))
    }

    async fn verify_signed_proposal(
        &self,
        proposal: &EngineProposal,
        signature: &Signature,
        public_key: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        let valid = proposal.to_proposal().is_some_and(|content| {
            public_key
                .verify(&content.signing_bytes(self.chain), signature)
                .is_ok()
        });
        Ok(VerificationResult::from_bool(valid))
    }

    async fn verify_signed_vote_extension(
        &self,
        _: &VoteExtensionScope<CairnContext>,
        (): &(),
        _: &Signature,
        _: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        Ok(VerificationResult::Invalid)
    }

    async fn verify_validator_proof(
        &self,
        proof: &ValidatorProof<CairnContext>,
    ) -> Result<VerificationResult, Error> {
        let valid = proof
            .decoded_public_key()
            .is_ok_and(|key| key.verify(&proof.preimage(), &proof.signature).is_ok());
        Ok(VerificationResult::from_bool(valid))
    }
}
