//! Between the engine's certificates and evidence and ours.

use super::context::{CairnContext, EngineAddress, EngineHeight, EngineProposal, EngineVote};
use crate::{
    Certificate, Equivocation,
    vote::{SignedProposal, SignedVote},
};
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
pub(super) fn equivocations(evidence: MisbehaviorEvidence<CairnContext>) -> Vec<Equivocation> {
    let votes = evidence.votes.into_iter().flat_map(|(_, pairs)| pairs);
    let proposals = evidence.proposals.into_iter().flat_map(|(_, pairs)| pairs);
    let votes = votes.filter_map(|(first, second)| {
        Some(Equivocation::Vote {
            first: signed_vote(&first)?,
            second: signed_vote(&second)?,
        })
    });
    let proposals = proposals.filter_map(|(first, second)| {
        let (first, second) = (signed_proposal(&first)?, signed_proposal(&second)?);
        Some(Equivocation::Proposal { first, second })
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
