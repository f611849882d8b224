//! Our vocabulary in malachite's grammar.
//!
//! Malachite is generic over a `Context`: heights, addresses, values, votes. These are thin
//! newtypes over protocol types (foreign traits need local types), and every proposer, quorum and
//! signed byte is delegated to the pure half of this crate.

use super::parts::Part;
use crate::{HeightParams, Proposal, Timeouts, ValidatorSet, Vote, VoteKind};
use arc_malachitebft_core_types as core;
use arc_malachitebft_core_types::{LinearTimeouts, NilOrVal, Round, SignedExtension, VoteType};
use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{BlockId, Height, PublicKey, Signature, SigningKey};
use std::{fmt, time::Duration};

/// The context itself carries nothing: everything a decision depends on is in the height's
/// parameters.
#[derive(Debug, Clone, Copy)]
pub(super) struct CairnContext;

/// A height the engine can count with.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
)]
pub(super) struct EngineHeight(pub(super) Height);

impl fmt::Display for EngineHeight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl core::Height for EngineHeight {
    const ZERO: Self = Self(Height::ZERO);
    const INITIAL: Self = Self(Height::new(1));

    fn increment_by(&self, n: u64) -> Self {
        Self(self.0.saturating_add(n))
    }
    fn decrement_by(&self, n: u64) -> Option<Self> {
        self.0
            .get()
            .checked_sub(n)
            .map(|height| Self(Height::new(height)))
    }
    fn as_u64(&self) -> u64 {
        self.0.get()
    }
}

/// A validator's name: its key.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub(super) struct EngineAddress(pub(super) PublicKey);

impl fmt::Display for EngineAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.short())
    }
}

impl core::Address for EngineAddress {}

/// A validator as the engine wants to borrow from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EngineValidator {
    address: EngineAddress,
    power: u64,
}

impl core::Validator<CairnContext> for EngineValidator {
    fn address(&self) -> &EngineAddress {
        &self.address
    }
    fn public_key(&self) -> &PublicKey {
        &self.address.0
    }
    fn voting_power(&self) -> u64 {
        self.power
    }
}

/// Our validator set with members the engine can borrow, in the same order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EngineValidatorSet {
    set: ValidatorSet,
    members: Vec<EngineValidator>,
}

impl EngineValidatorSet {
    pub(super) fn new(set: ValidatorSet) -> Self {
        let member = |validator: &crate::Validator| EngineValidator {
            address: EngineAddress(validator.key),
            power: validator.power,
        };
        let members = set.as_slice().iter().map(member).collect();
        Self { set, members }
    }

    fn member(&self, key: &PublicKey) -> Option<&EngineValidator> {
        let index = self
            .members
            .binary_search_by_key(key, |member| member.address.0)
            .ok()?;
        self.members.get(index)
    }
}

impl core::ValidatorSet<CairnContext> for EngineValidatorSet {
    fn count(&self) -> usize {
        self.members.len()
    }
    fn total_voting_power(&self) -> u64 {
        self.set.power_total()
    }
    fn get_by_address(&self, address: &EngineAddress) -> Option<&EngineValidator> {
        self.member(&address.0)
    }
    fn get_by_index(&self, index: usize) -> Option<&EngineValidator> {
        self.members.get(index)
    }
}

/// What is decided: a block's identifier. Its body travels apart, in signed parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub(super) struct EngineValue(pub(super) BlockId);

impl core::Value for EngineValue {
    type Id = BlockId;

    fn id(&self) -> BlockId {
        self.0
    }
}

/// A vote as the engine handles it; signatures cover [`Vote`].
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct EngineVote {
    kind: VoteType,
    height: EngineHeight,
    round: Round,
    value: NilOrVal<BlockId>,
    validator: EngineAddress,
}

impl EngineVote {
    /// The vote whose bytes are signed; nothing for the undefined round, which nobody may sign.
    pub(super) fn to_vote(&self) -> Option<Vote> {
        let kind = match self.kind {
            VoteType::Prevote => VoteKind::Prevote,
            VoteType::Precommit => VoteKind::Precommit,
        };
        let block_id = match self.value {
            NilOrVal::Nil => None,
            NilOrVal::Val(block_id) => Some(block_id),
        };
        Some(Vote {
            kind,
            height: self.height.0,
            round: self.round.as_u32()?,
            block_id,
        })
    }
}

impl core::Vote<CairnContext> for EngineVote {
    fn height(&self) -> EngineHeight {
        self.height
    }
    fn round(&self) -> Round {
        self.round
    }
    fn value(&self) -> &NilOrVal<BlockId> {
        &self.value
    }
    fn take_value(self) -> NilOrVal<BlockId> {
        self.value
    }
    fn vote_type(&self) -> VoteType {
        self.kind
    }
    fn validator_address(&self) -> &EngineAddress {
        &self.validator
    }
    fn extension(&self) -> Option<&SignedExtension<CairnContext>> {
        None
    }
    fn take_extension(&mut self) -> Option<SignedExtension<CairnContext>> {
        None
    }
    fn extend(self, _: SignedExtension<CairnContext>) -> Self {
        self
    }
}

/// A proposal as the engine handles it; signatures cover [`Proposal`].
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct EngineProposal {
    height: EngineHeight,
    round: Round,
    value: EngineValue,
    valid_round: Round,
    proposer: EngineAddress,
}

impl EngineProposal {
    /// The proposal whose bytes are signed; nothing for the undefined round.
    pub(super) fn to_proposal(&self) -> Option<Proposal> {
        Some(Proposal {
            height: self.height.0,
            round: self.round.as_u32()?,
            block_id: self.value.0,
            valid_round: self.valid_round.as_u32(),
        })
    }
}

impl core::Proposal<CairnContext> for EngineProposal {
    fn height(&self) -> EngineHeight {
        self.height
    }
    fn round(&self) -> Round {
        self.round
    }
    fn value(&self) -> &EngineValue {
        &self.value
    }
    fn take_value(self) -> EngineValue {
        self.value
    }
    fn pol_round(&self) -> Round {
        self.valid_round
    }
    fn validator_address(&self) -> &EngineAddress {
        &self.proposer
    }
}

impl core::ProposalPart<CairnContext> for Part {
    fn is_first(&self) -> bool {
        matches!(self, Self::Head(_))
    }
    /// Which part is last is in the head; the engine does not ask.
    fn is_last(&self) -> bool {
        false
    }
}

/// ed25519 as [`protocol::keys`] does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ed25519;

impl core::SigningScheme for Ed25519 {
    type DecodingError = std::array::TryFromSliceError;
    type Signature = Signature;
    type PublicKey = PublicKey;
    type PrivateKey = SigningKey;

    fn decode_signature(bytes: &[u8]) -> Result<Signature, Self::DecodingError> {
        Ok(Signature::from_bytes(bytes.try_into()?))
    }
    fn encode_signature(signature: &Signature) -> Vec<u8> {
        signature.as_bytes().to_vec()
    }
    fn decode_public_key(bytes: &[u8]) -> Result<PublicKey, Self::DecodingError> {
        Ok(PublicKey::from_bytes(bytes.try_into()?))
    }
    fn encode_public_key(public_key: &PublicKey) -> Vec<u8> {
        public_key.as_bytes().to_vec()
    }
}

impl core::Context for CairnContext {
    type Address = EngineAddress;
    type Height = EngineHeight;
    type ProposalPart = Part;
    type Proposal = EngineProposal;
    type Validator = EngineValidator;
    type ValidatorSet = EngineValidatorSet;
    type Timeouts = LinearTimeouts;
    type Value = EngineValue;
    type Vote = EngineVote;
    type Extension = ();
    type SigningScheme = Ed25519;

    fn select_proposer<'a>(
        &self,
        validator_set: &'a EngineValidatorSet,
        height: EngineHeight,
        round: Round,
    ) -> &'a EngineValidator {
        let round = round.as_u32().unwrap_or(0);
        let proposer = validator_set.set.proposer(height.0, round);
        validator_set
            .member(&proposer.key)
            .expect("invariant: members mirror the set")
    }

    fn new_proposal(
        &self,
        height: EngineHeight,
        round: Round,
        value: EngineValue,
        pol_round: Round,
        address: EngineAddress,
    ) -> EngineProposal {
        EngineProposal {
            height,
            round,
            value,
            valid_round: pol_round,
            proposer: address,
        }
    }

    fn new_prevote(
        &self,
        height: EngineHeight,
        round: Round,
        value_id: NilOrVal<BlockId>,
        address: EngineAddress,
    ) -> EngineVote {
        EngineVote {
            kind: VoteType::Prevote,
            height,
            round,
            value: value_id,
            validator: address,
        }
    }

    fn new_precommit(
        &self,
        height: EngineHeight,
        round: Round,
        value_id: NilOrVal<BlockId>,
        address: EngineAddress,
    ) -> EngineVote {
        EngineVote {
            kind: VoteType::Precommit,
            height,
            round,
            value: value_id,
            validator: address,
        }
    }
}

/// A height's parameters for the engine.
pub(super) fn engine_params(params: &HeightParams) -> core::HeightParams<CairnContext> {
    let interval = Duration::from_millis(params.block_interval_ms);
    core::HeightParams::new(
        EngineValidatorSet::new(params.validators.clone()),
        engine_timeouts(&params.timeouts),
        (!interval.is_zero()).then_some(interval),
    )
}

fn engine_timeouts(timeouts: &Timeouts) -> LinearTimeouts {
    let Timeouts {
        propose_ms,
        prevote_ms,
        precommit_ms,
        rebroadcast_ms,
        round_extra_ms,
        wait_ms_max,
    } = *timeouts;
    let extra = Duration::from_millis(round_extra_ms);
    LinearTimeouts {
        propose: Duration::from_millis(propose_ms),
        propose_delta: extra,
        prevote: Duration::from_millis(prevote_ms),
        prevote_delta: extra,
        precommit: Duration::from_millis(precommit_ms),
        precommit_delta: extra,
        rebroadcast: Duration::from_millis(rebroadcast_ms),
        max_timeout: Duration::from_millis(wait_ms_max),
    }
}
