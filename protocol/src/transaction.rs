//! Transactions: the signed envelope and its kinds. Spec: 04-transaction.
//!
//! An [`Unverified`] transaction is what a socket or a block delivers; [`Unverified::verify`]
//! checks chain and signature and gives a [`Verified`] one, the only kind the rules accept.

mod fee;

pub use fee::{Fee, Lane};

use crate::{
    Address, Amount, BlobId, ChainId, Micro, Nonce, ProposalId, Signature, SigningKey,
    TransactionId,
    checkpoint::Checkpoint,
    class::ClassId,
    codec::{BoundedVec, Bytes, DecodeError, decode, encode},
    gradient::StateOpening,
    identifiers::tagged_hash,
    keys::SignatureError,
    proposal::{Guard, Payload, Track, Weights},
    rollout::{Equivocation, OPENINGS_COUNT_MAX, Opening, Root, Sketch, Totals},
    staking::{Consent, Role, Succession},
    task::UnitId,
    verdict::Verdict,
    vote::DoubleSign,
    vrf,
};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// Largest encoded transaction in bytes that makes no move in a dispute.
pub const TRANSACTION_BYTES_MAX: usize = 8 << 10;
/// Largest encoded transaction in bytes that makes a move in a dispute, and so the largest of all.
/// A move shows up to sixteen pieces of 1 KiB with what lies beside their way up.
pub const MOVE_TRANSACTION_BYTES_MAX: usize = 32 << 10;
/// Largest move in a dispute.
pub const MOVE_BYTES_MAX: usize = MOVE_TRANSACTION_BYTES_MAX - 256;
/// Most units in one availability attestation.
pub const ATTESTED_UNITS_COUNT_MAX: usize = 64;

/// What a transaction does.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Body {
    /// Move tokens.
    Transfer {
        /// Receiver.
        to: Address,
        /// How much.
        amount: Amount,
    },
    /// Become a miner by locking a bond.
    RegisterMiner {
        /// How much is locked.
        bond: Amount,
        /// Its key of verifiable randomness.
        vrf: vrf::Public,
        /// The engine that draws its rollouts; zero for the exact one.
        class: ClassId,
    },
    /// A miner that had gone quiet asks for work again.
    Resume,
    /// Bind a rollout unit's blob.
    CommitRollouts {
        /// The unit.
        unit: UnitId,
        /// Binds everything about the unit, what is sealed included.
        root: Root,
        /// Its blob.
        blob: BlobId,
        /// The blob's size.
        blob_bytes: u64,
        /// Sums over its samples.
        totals: Totals,
    },
    /// Bind a gradient unit's blob.
    CommitGradient {
        /// The unit.
        unit: UnitId,
        /// Binds the states between its segments.
        root: Root,
        /// Its blob.
        blob: BlobId,
        /// The blob's size.
        blob_bytes: u64,
        /// Tokens that carried loss.
        tokens_count: u32,
        /// Mean inner loss in millionths of a nat.
        loss_micro: i64,
        /// What the update lost, as a file of f32; present exactly where the recipe has feedback.
        feedback: Option<BlobId>,
    },
    /// A validator holds these units' blobs, and they are canonical.
    AttestBlobs {
        /// The units.
        units: BoundedVec<UnitId, ATTESTED_UNITS_COUNT_MAX>,
    },
    /// Become a verifier, who audits for pay, by locking a bond.
    RegisterVerifier {
        /// How much is locked.
        bond: Amount,
        /// Its key of verifiable randomness.
        vrf: vrf::Public,
    },
    /// An auditor binds its verdict.
    AuditCommit {
        /// The unit.
        unit: UnitId,
        /// Shows that it drew itself, where auditors do; see [`crate::sample::sortition_input`].
        sortition: Option<vrf::Proof>,
        /// See [`crate::verdict::commitment`].
        commitment: Commitment,
    },
    /// An auditor opens its verdict.
    AuditReveal {
        /// The unit.
        unit: UnitId,
        /// The verdict.
        verdict: Verdict,
        /// The auditor's own sketch of a rollout unit; nothing if it could not make one.
        sketch: Option<Sketch>,
        /// The commitment's salt.
        salt: Commitment,
    },
    /// A miner contests the conviction of its unit before a larger round, and stakes a bond on it.
    Appeal {
        /// The unit.
        unit: UnitId,
    },
    /// A validator computed this checkpoint.
    AttestCheckpoint {
        /// The checkpoint.
        checkpoint: Checkpoint,
    },
    /// Put a proposal to the vote.
    Propose {
        /// What it does, and why.
        payload: Payload,
        /// What the proposer puts down at once.
        deposit: Amount,
    },
    /// Add to a proposal's deposit.
    Deposit {
        /// The proposal.
        proposal: ProposalId,
        /// How much.
        amount: Amount,
    },
    /// Vote with all power held, and all that is delegated.
    Vote {
        /// The proposal.
        proposal: ProposalId,
        /// How the power is split.
        weights: Weights,
    },
    /// Let another account vote on a track's proposals wherever the sender does not.
    Delegate {
        /// The track.
        track: Track,
        /// To whom; nobody to end it.
        to: Option<Address>,
    },
    /// A contributor asks for more time before a proposal takes effect.
    Object {
        /// The proposal.
        proposal: ProposalId,
    },
    /// Enter the next stage of the hand-over; anyone may, once its gates have held.
    AdvanceStage,
    /// A validator runs a scheduled upgrade's version and is ready for it.
    SignalReadiness {
        /// The version.
        version: u32,
    },
    /// The steward or a member of the council acts.
    Guard {
        /// What it does.
        guard: Guard,
    },
    /// A miner opens what it sealed, as it becomes due.
    Open {
        /// One for each unit.
        openings: BoundedVec<Opening, OPENINGS_COUNT_MAX>,
    },
    /// Show that a miner signed two different commitments to one unit.
    ReportEquivocation {
        /// The two commitments.
        proof: Box<Equivocation>,
    },
    /// A miner shows states of a gradient unit that it sealed, as they become due.
    OpenStates {
        /// The states.
        opening: StateOpening,
    },
    /// A miner, or an auditor that convicted it, makes a move in the dispute about a gradient unit.
    Dispute {
        /// The unit.
        unit: UnitId,
        /// The move, in the encoding of the rules.
        play: Bytes<MOVE_BYTES_MAX>,
    },
    /// Become a validator: the sender's stake, and whose key signs for it.
    RegisterValidator {
        /// The operator's word.
        consent: Consent,
        /// How much the sender stakes.
        stake: Amount,
        /// The holder's share of what others' stake earns, in millionths.
        commission: Micro,
    },
    /// Stake with a validator.
    Stake {
        /// Its operator.
        operator: Address,
        /// How much.
        amount: Amount,
    },
    /// Take stake out; it is free once nothing that was signed while it was there can be punished
    /// any more.
    Unstake {
        /// The validator's operator.
        operator: Address,
        /// How much.
        amount: Amount,
    },
    /// Move stake from one validator to another without waiting.
    Restake {
        /// The operator that loses it.
        from: Address,
        /// The operator that gets it.
        to: Address,
        /// How much.
        amount: Amount,
    },
    /// Take what stake with a validator has earned.
    ClaimRewards {
        /// Its operator.
        operator: Address,
    },
    /// A validator's holder changes its commission.
    SetCommission {
        /// The operator.
        operator: Address,
        /// The new commission in millionths.
        commission: Micro,
    },
    /// A jailed validator comes back.
    Unjail {
        /// Its operator; this key or the holder's sends it.
        operator: Address,
    },
    /// Show that a validator signed two messages that contradict each other.
    ReportDoubleSign {
        /// The two messages.
        evidence: Box<DoubleSign>,
    },
    /// A miner or verifier adds to its bond.
    AddBond {
        /// Which of the sender's bonds.
        role: Role,
        /// How much.
        amount: Amount,
    },
    /// A miner or verifier stops, and gets its bond once nothing of its work can be punished.
    Leave {
        /// Which of the sender's bonds it is about.
        role: Role,
    },
    /// A validator's holder names the key that signs votes and proposals from the next epoch on.
    RotateKey {
        /// The new key's word.
        succession: Succession,
    },
}

impl Body {
    /// The stable name, as in JSON.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Transfer { .. } => "transfer",
            Self::RegisterMiner { .. } => "register-miner",
            Self::Resume => "resume",
            Self::CommitRollouts { .. } => "commit-rollouts",
            Self::CommitGradient { .. } => "commit-gradient",
            Self::AttestBlobs { .. } => "attest-blobs",
            Self::RegisterVerifier { .. } => "register-verifier",
            Self::AuditCommit { .. } => "audit-commit",
            Self::AuditReveal { .. } => "audit-reveal",
            Self::Appeal { .. } => "appeal",
            Self::AttestCheckpoint { .. } => "attest-checkpoint",
            Self::Propose { .. } => "propose",
            Self::Deposit { .. } => "deposit",
            Self::Vote { .. } => "vote",
            Self::Open { .. } => "open",
            Self::OpenStates { .. } => "open-states",
            Self::ReportEquivocation { .. } => "report-equivocation",
            Self::Delegate { .. } => "delegate",
            Self::Object { .. } => "object",
            Self::AdvanceStage => "advance-stage",
            Self::SignalReadiness { .. } => "signal-readiness",
            Self::Guard { .. } => "guard",
            Self::Dispute { .. } => "dispute",
            Self::RegisterValidator { .. } => "register-validator",
            Self::Stake { .. } => "stake",
            Self::Unstake { .. } => "unstake",
            Self::Restake { .. } => "restake",
            Self::ClaimRewards { .. } => "claim-rewards",
            Self::SetCommission { .. } => "set-commission",
            Self::Unjail { .. } => "unjail",
            Self::ReportDoubleSign { .. } => "report-double-sign",
            Self::AddBond { .. } => "add-bond",
            Self::Leave { .. } => "leave",
            Self::RotateKey { .. } => "rotate-key",
        }
    }
}

crate::identifiers::identifier!(
    /// 32 bytes that hide or open something.
    Commitment
);

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Transaction {
    /// The chain it is for.
    pub chain: ChainId,
    /// Who signs.
    pub sender: Address,
    /// The sender's transactions before this one.
    pub nonce: Nonce,
    /// What it offers for its place in a block.
    pub fee: Fee,
    /// What it does.
    pub body: Body,
}

impl Transaction {
    /// Builds the content to sign, without a fee.
    #[must_use]
    pub const fn new(chain: ChainId, sender: Address, nonce: Nonce, body: Body) -> Self {
        Self {
            chain,
            sender,
            nonce,
            fee: Fee::NONE,
            body,
        }
    }
    /// The same for a fee.
    #[must_use]
    pub fn with_fee(self, fee: Fee) -> Self {
        Self { fee, ..self }
    }
    /// The bytes that are signed: a hash of domain tag and canonical encoding.
    #[must_use]
    pub fn signing_bytes(&self) -> [u8; 32] {
        tagged_hash("cairn/transaction/v1", self)
    }
    /// Signs.
    #[must_use]
    pub fn sign(self, key: &SigningKey) -> Unverified {
        let signature = key.sign(&self.signing_bytes());
        self.signed(signature)
    }
    /// With what its sender signed elsewhere, over [`Self::signing_bytes`].
    #[must_use]
    pub const fn signed(self, signature: Signature) -> Unverified {
        Unverified {
            transaction: self,
            signature,
        }
    }
}

/// A transaction whose signature nobody here has checked.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Unverified {
    transaction: Transaction,
    signature: Signature,
}

/// Why a transaction is not valid on its own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// For another chain.
    #[error("transaction is for chain {found}; this chain is {expected}")]
    Chain {
        /// The transaction's chain.
        found: ChainId,
        /// Ours.
        expected: ChainId,
    },
    /// Signature refused.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

impl Unverified {
    /// Reads a transaction.
    ///
    /// # Errors
    /// When the bytes are not one canonical transaction.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let decoded: Self = decode("transaction", bytes, MOVE_TRANSACTION_BYTES_MAX)?;
        let is_move = matches!(decoded.transaction.body, Body::Dispute { .. });
        if is_move || bytes.len() <= TRANSACTION_BYTES_MAX {
            return Ok(decoded);
        }
        decode("transaction", bytes, TRANSACTION_BYTES_MAX)
    }
    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }
    /// The claimed content; trust it only after [`Self::verify`].
    #[must_use]
    pub const fn claimed(&self) -> &Transaction {
        &self.transaction
    }
    /// The claimed signature.
    #[must_use]
    pub const fn signature(&self) -> Signature {
        self.signature
    }
    /// The identifier, signature included.
    #[must_use]
    pub fn id(&self) -> TransactionId {
        TransactionId::from_bytes(tagged_hash("cairn/transaction-id/v1", self))
    }
    /// Checks chain and signature.
    ///
    /// # Errors
    /// When it is for another chain or the signature does not match.
    pub fn verify(self, chain: ChainId) -> Result<Verified, VerifyError> {
        let id = self.id();
        self.verify_as(id, chain)
    }
    /// The same where the identifier was computed already.
    pub(crate) fn verify_as(
        self,
        id: TransactionId,
        chain: ChainId,
    ) -> Result<Verified, VerifyError> {
        let found = self.transaction.chain;
        if found != chain {
            return Err(VerifyError::Chain {
                found,
                expected: chain,
            });
        }
        self.transaction
            .sender
            .verify(&self.transaction.signing_bytes(), &self.signature)?;
        Ok(Verified {
            id,
            bytes_count: self.encode().len(),
            unverified: self,
        })
    }
}

/// A transaction for this chain, signed by its sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    id: TransactionId,
    bytes_count: usize,
    unverified: Unverified,
}

impl Verified {
    /// The identifier.
    #[must_use]
    pub const fn id(&self) -> TransactionId {
        self.id
    }
    /// Who signed.
    #[must_use]
    pub const fn sender(&self) -> Address {
        self.unverified.transaction.sender
    }
    /// The sender's transactions before this one.
    #[must_use]
    pub const fn nonce(&self) -> Nonce {
        self.unverified.transaction.nonce
    }
    /// What it offers for its place in a block.
    #[must_use]
    pub const fn fee(&self) -> Fee {
        self.unverified.transaction.fee
    }
    /// Its length as it travels.
    #[must_use]
    pub const fn bytes_count(&self) -> usize {
        self.bytes_count
    }
    /// What it does.
    #[must_use]
    pub const fn body(&self) -> &Body {
        &self.unverified.transaction.body
    }
    /// Back to the wire form.
    #[must_use]
    pub const fn as_unverified(&self) -> &Unverified {
        &self.unverified
    }
}
