//! Messages between nodes as bytes, and what a test may want to know of them.

use super::encode;
use crate::{
    DoubleSign, SignedProposal, SignedVote,
    history::Signed,
    stock::{
        codec::WireCodec,
        context::{CairnContext, EngineHeight, EngineProposal, EngineValue, EngineVote},
        parts::Part,
    },
};
use arc_malachitebft_core_consensus::{LivenessMsg, SignedConsensusMsg};
use arc_malachitebft_core_types::{
    Context as _, NilOrVal, Proposal as _, SignedMessage, Vote as _, VoteType,
};
use arc_malachitebft_sync::{Request, Response};
use bytes::Bytes;
use malachitebft_app_channel::app::{streaming::StreamMessage, types::codec::Codec};
use protocol::{BlockId, ChainId, PublicKey, SigningKey};

/// A message with its channel.
pub(super) enum Envelope {
    Consensus(SignedConsensusMsg<CairnContext>),
    Liveness(LivenessMsg<CairnContext>),
    Part(StreamMessage<Part>),
    /// Tip and the lowest height that is served.
    Status(EngineHeight, EngineHeight),
    Request(u64, Request<CairnContext>),
    Response(u64, Response<CairnContext>),
}

impl Envelope {
    pub(super) fn encode(&self) -> Vec<u8> {
        let (channel, bytes) = match self {
            Self::Consensus(message) => (0, encode(message)),
            Self::Liveness(message) => (1, encode(message)),
            Self::Part(message) => (2, encode(message)),
            Self::Status(tip, min) => (3, protocol::codec::encode(&(tip.0, min.0))),
            Self::Request(id, request) => (4, [&id.to_be_bytes()[..], &encode(request)].concat()),
            Self::Response(id, response) => {
                (5, [&id.to_be_bytes()[..], &encode(response)].concat())
            }
        };
        [vec![channel], bytes].concat()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (channel, rest) = bytes.split_first()?;
        let body = Bytes::copy_from_slice(rest);
        let numbered = || {
            let (id, body) = rest.split_first_chunk::<8>()?;
            Some((u64::from_be_bytes(*id), Bytes::copy_from_slice(body)))
        };
        Some(match channel {
            0 => Self::Consensus(WireCodec.decode(body).ok()?),
            1 => Self::Liveness(WireCodec.decode(body).ok()?),
            2 => Self::Part(WireCodec.decode(body).ok()?),
            3 => {
                let (tip, min) = protocol::codec::decode("status", rest, 16).ok()?;
                Self::Status(EngineHeight(tip), EngineHeight(min))
            }
            4 => {
                let (id, body) = numbered()?;
                Self::Request(id, WireCodec.decode(body).ok()?)
            }
            5 => {
                let (id, body) = numbered()?;
                Self::Response(id, WireCodec.decode(body).ok()?)
            }
            _ => return None,
        })
    }
}

/// A signed message as evidence would show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// A vote.
    Vote(SignedVote),
    /// A proposal.
    Proposal(SignedProposal),
}

impl Said {
    /// Who signed.
    #[must_use]
    pub const fn signer(&self) -> PublicKey {
        match self {
            Self::Vote(vote) => vote.signer,
            Self::Proposal(proposal) => proposal.signer,
        }
    }
    /// Its place and digest, as a signing history notes them.
    #[must_use]
    pub fn signed(&self, chain: ChainId) -> Signed {
        match self {
            Self::Vote(vote) => Signed::vote(chain, &vote.vote),
            Self::Proposal(proposal) => Signed::proposal(chain, &proposal.proposal),
        }
    }
    /// The proof that one signer said both, if that is one.
    #[must_use]
    pub fn against(&self, other: &Self, chain: ChainId) -> Option<DoubleSign> {
        let proof = match (*self, *other) {
            (Self::Vote(first), Self::Vote(second)) => DoubleSign::Vote { first, second },
            (Self::Proposal(first), Self::Proposal(second)) => {
                DoubleSign::Proposal { first, second }
            }
            _ => return None,
        };
        proof.verify(chain).is_ok().then_some(proof)
    }
}

/// The vote or proposal in a message, if it carries one.
#[must_use]
pub fn said(message: &[u8]) -> Option<Said> {
    match Envelope::decode(message)? {
        Envelope::Consensus(SignedConsensusMsg::Vote(vote))
        | Envelope::Liveness(LivenessMsg::Vote(vote)) => Some(Said::Vote(SignedVote {
            vote: vote.message.to_vote()?,
            signer: vote.message.validator_address().0,
            signature: vote.signature,
        })),
        Envelope::Consensus(SignedConsensusMsg::Proposal(proposal)) => {
            Some(Said::Proposal(SignedProposal {
                proposal: proposal.message.to_proposal()?,
                signer: proposal.message.validator_address().0,
                signature: proposal.signature,
            }))
        }
        _ => None,
    }
}

/// What a liar makes of its own messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contradiction {
    /// The same place, for nothing.
    Nil,
    /// The same place, for another block.
    Block(BlockId),
}

/// Another message of the same place, signed by the liar itself; nothing if it would be the same,
/// or the message is no vote or proposal of this key.
#[must_use]
pub fn contradict(
    chain: ChainId,
    key: &SigningKey,
    message: &[u8],
    how: Contradiction,
) -> Option<Vec<u8>> {
    let Envelope::Consensus(message) = Envelope::decode(message)? else {
        return None;
    };
    let other = match message {
        SignedConsensusMsg::Vote(vote) => {
            SignedConsensusMsg::Vote(other_vote(chain, key, &vote.message, how)?)
        }
        SignedConsensusMsg::Proposal(proposal) => {
            SignedConsensusMsg::Proposal(other_proposal(chain, key, &proposal.message, how)?)
        }
    };
    Some(Envelope::Consensus(other).encode())
}

fn other_vote(
    chain: ChainId,
    key: &SigningKey,
    vote: &EngineVote,
    how: Contradiction,
) -> Option<SignedMessage<CairnContext, EngineVote>> {
    let value = match how {
        Contradiction::Nil => NilOrVal::Nil,
        Contradiction::Block(id) => NilOrVal::Val(id),
    };
    if *vote.value() == value || vote.validator_address().0 != key.address() {
        return None;
    }
    let (height, round, address) = (vote.height(), vote.round(), *vote.validator_address());
    let other = match vote.vote_type() {
        VoteType::Prevote => CairnContext.new_prevote(height, round, value, address),
        VoteType::Precommit => CairnContext.new_precommit(height, round, value, address),
    };
    let signature = key.sign(&other.to_vote()?.signing_bytes(chain));
    Some(SignedMessage::new(other, signature))
}

fn other_proposal(
    chain: ChainId,
    key: &SigningKey,
    proposal: &EngineProposal,
    how: Contradiction,
) -> Option<SignedMessage<CairnContext, EngineProposal>> {
    let Contradiction::Block(id) = how else {
        return None;
    };
    let address = *proposal.validator_address();
    if proposal.value().0 == id || address.0 != key.address() {
        return None;
    }
    let other = CairnContext.new_proposal(
        proposal.height(),
        proposal.round(),
        EngineValue(id),
        proposal.pol_round(),
        address,
    );
    let signature = key.sign(&other.to_proposal()?.signing_bytes(chain));
    Some(SignedMessage::new(other, signature))
}
