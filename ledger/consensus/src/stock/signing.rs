//! Signs and verifies for the engine, over our own canonical bytes.

use super::context::{CairnContext, EngineProposal, EngineVote};
use super::mute::mute_after_refusal;
use crate::signer::{Refusal, Request, Signer as Keys, SignerError};
use arc_malachitebft_core_types::{
    SignedExtension, SignedMessage, SignedProposal, SignedVote, ValidatorProof, VoteExtensionScope,
};
use arc_malachitebft_signing::{Error, Signer, VerificationResult, Verifier};
use async_trait::async_trait;
use protocol::{ChainId, Height, PublicKey, Signature};
use std::{path::PathBuf, sync::Arc};

/// Asks whoever has the validator's key.
#[derive(Debug, Clone)]
pub(super) struct EngineSigner {
    /// The engine's folder.
    pub(super) home: PathBuf,
    pub(super) keys: Arc<dyn Keys>,
}

impl EngineSigner {
    /// A signature about something of this height.
    async fn sign(&self, request: Request, height: Height) -> Result<Signature, Error> {
        let keys = Arc::clone(&self.keys);
        let signed = if keys.is_local() {
            keys.sign(&request)
        } else {
            // A signer elsewhere may keep its answer back; the runtime goes on meanwhile.
            let asked = tokio::task::spawn_blocking(move || keys.sign(&request)).await;
            asked.map_err(Error::from_source)?
        };
        signed.map_err(|error| {
            tracing::error!("not signed: {error}");
            let refusal = Refusal::Contradiction;
            if matches!(error, SignerError::Refused { refusal: found, .. } if found == refusal)
                && let Err(error) = mute_after_refusal(&self.home, height)
            {
                tracing::error!("the next start will be refused again: {error}");
            }
            Error::from_source(error)
        })
    }
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
    #[error("an identity is vouched for before the engine starts")]
    Identity,
}

#[async_trait]
impl Signer<CairnContext> for EngineSigner {
    async fn sign_vote(&self, vote: EngineVote) -> Result<SignedVote<CairnContext>, Error> {
        let content = vote
            .to_vote()
            .ok_or_else(|| Error::from_source(Unsignable::NoRound))?;
        let signature = self.sign(Request::Vote(content), content.height).await?;
        Ok(SignedMessage::new(vote, signature))
    }

    async fn sign_proposal(
        &self,
        proposal: EngineProposal,
    ) -> Result<SignedProposal<CairnContext>, Error> {
        let content = proposal
            .to_proposal()
            .ok_or_else(|| Error::from_source(Unsignable::NoRound))?;
        let signature = self
            .sign(Request::Proposal(content), content.height)
            .await?;
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
        _: Vec<u8>,
        _: Vec<u8>,
    ) -> Result<ValidatorProof<CairnContext>, Error> {
        // The engine never asks: its identity is made with it.
        Err(Error::from_source(Unsignable::Identity))
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
