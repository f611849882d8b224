//! Between the engine's certificates and evidence and ours.

use super::context::{CairnContext, EngineAddress, EngineHeight, EngineProposal, EngineVote};
use crate::{Certificate, DoubleSign, SignedProposal, SignedVote};
use arc_malachitebft_core_consensus::MisbehaviorEvidence;
use arc_malachitebft_core_types::{
    CommitCertificate, ExtendedCommitCertificate, ExtendedCommitSignature, Proposal as _, Round,
    SignedMessage, Vote as _,
};
use protocol::{PublicKey, Signature, codec::BoundedVec};
use std::collections::BTreeMap;

/// Our certificate; nothing if the engine's names no round or more signers than can exist.
pub(super) fn certificate_from_engine(
    certificate: &CommitCertificate<CairnContext>,
) -> Option<Certificate> {
    let signatures: BTreeMap<PublicKey, Signature> = certificate
        .commit_signatures
        .iter()
        .map(|commit| (commit.address.0, commit.signature))
        .collect();
    Some(Certificate {
        height: certificate.height.0,
        round: certificate.round.as_u32()?,
        block_id: certificate.value_id,
        signatures: BoundedVec::new(signatures.into_iter().collect()).ok()?,
    })
}

/// The engine's form of a certificate, for peers that catch up.
pub(super) fn certificate_to_engine(
    certificate: &Certificate,
) -> ExtendedCommitCertificate<CairnContext> {
    let commit = |&(signer, signature): &(PublicKey, Signature)| {
        ExtendedCommitSignature::new(EngineAddress(signer), signature, None)
    };
    ExtendedCommitCertificate {
        height: EngineHeight(certificate.height),
        round: Round::new(certificate.round),
        value_id: certificate.block_id,
        commit_signatures: certificate
            .signatures
            .as_slice()
            .iter()
            .map(commit)
            .collect(),
    }
}

/// All contradictions the engine saw in a height.
pub(super) fn equivocations(evidence: MisbehaviorEvidence<CairnContext>) -> Vec<DoubleSign> {
    let votes = evidence.votes.into_iter().flat_map(|(_, pairs)| pairs);
    let proposals = evidence.proposals.into_iter().flat_map(|(_, pairs)| pairs);
    let votes = votes.filter_map(|(first, second)| {
        Some(DoubleSign::Vote {
            first: signed_vote(&first)?,
            second: signed_vote(&second)?,
        })
    });
    let proposals = proposals.filter_map(|(first, second)| {
        let (first, second) = (signed_proposal(&first)?, signed_proposal(&second)?);
        Some(DoubleSign::Proposal { first, second })
    });
    votes.chain(proposals).collect()
}

fn signed_vote(signed: &SignedMessage<CairnContext, EngineVote>) -> Option<SignedVote> {
    let signer = signed.message.validator_address().0;
    Some(SignedVote {
        vote: signed.message.to_vote()?,
        signer,
        signature: signed.signature,
    })
}

fn signed_proposal(signed: &SignedMessage<CairnContext, EngineProposal>) -> Option<SignedProposal> {
    let signer = signed.message.validator_address().0;
    let proposal = signed.message.to_proposal()?;
    Some(SignedProposal {
        proposal,
        signer,
        signature: signed.signature,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::{
        signer::LocalSigner,
        stock::{
            context::EngineValue,
            signing::{EngineSigner, EngineVerifier},
        },
    };
    use arc_malachitebft_core_types::{Context as _, NilOrVal};
    use arc_malachitebft_signing::{Signer as _, Verifier as _};
    use protocol::{BlockId, ChainId, Height, SigningKey};
    use std::sync::Arc;

    const CHAIN: ChainId = ChainId::from_bytes([1; 32]);
    const HEIGHT: EngineHeight = EngineHeight(Height::new(5));

    #[test]
    fn certificates_survive_the_way_there_and_back() {
        let key = SigningKey::from_seed([1; 32]);
        let ours = Certificate::sign(CHAIN, HEIGHT.0, BlockId::from_bytes([2; 32]), &key);
        let theirs = certificate_to_engine(&ours).trim_vote_extensions();
        assert_eq!(certificate_from_engine(&theirs), Some(ours));
    }

    #[tokio::test]
    async fn what_the_engine_signs_is_evidence_when_it_contradicts_itself() {
        let key = SigningKey::from_seed([1; 32]);
        let signer = EngineSigner {
            home: std::path::PathBuf::new(),
            keys: Arc::new(LocalSigner::new(CHAIN, key.clone(), key.clone(), None)),
        };
        let verifier = EngineVerifier { chain: CHAIN };
        let key = key.address();
        let (address, round) = (EngineAddress(key), Round::new(1));
        let mut evidence = MisbehaviorEvidence::<CairnContext> {
            proposals: Default::default(),
            votes: Default::default(),
        };
        let mut votes = Vec::new();
        let mut proposals = Vec::new();
        for id in [2, 3].map(|byte| BlockId::from_bytes([byte; 32])) {
            let vote = CairnContext.new_prevote(HEIGHT, round, NilOrVal::Val(id), address);
            let signed = signer.sign_vote(vote.clone()).await.unwrap();
            let checked = verifier
                .verify_signed_vote(&vote, &signed.signature, &key)
                .await;
            assert!(checked.unwrap().is_valid());
            votes.push(signed);
            let value = EngineValue(id);
            let proposal = CairnContext.new_proposal(HEIGHT, round, value, Round::Nil, address);
            proposals.push(signer.sign_proposal(proposal).await.unwrap());
        }
        evidence.votes.add(votes[0].clone(), votes[1].clone());
        evidence
            .proposals
            .add(proposals[0].clone(), proposals[1].clone());

        let found = equivocations(evidence);
        assert_eq!(found.len(), 2);
        for equivocation in found {
            assert_eq!(equivocation.signer(), key);
            assert_eq!(equivocation.verify(CHAIN), Ok(()));
        }
    }

    #[tokio::test]
    async fn a_vote_of_no_round_is_never_signed() {
        let key = SigningKey::from_seed([1; 32]);
        let address = EngineAddress(key.address());
        let signer = EngineSigner {
            home: std::path::PathBuf::new(),
            keys: Arc::new(LocalSigner::new(CHAIN, key.clone(), key, None)),
        };
        let vote = CairnContext.new_prevote(HEIGHT, Round::Nil, NilOrVal::Nil, address);
        assert!(signer.sign_vote(vote).await.is_err());
    }
}
