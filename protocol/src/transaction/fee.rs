//! Fees: what a transaction offers for its place in a block, and which kinds need none.
//!
//! Two lanes lead into a block. **Duties** are what the protocol assigned to their sender or what
//! protects the chain: each is bounded by an assignment, a stake or a bond, so it costs nothing.
//! Everything else is of someone's free will and **pays**: the base fee, which is burned, and a
//! tip to the block's proposer. Spec: fees.

use super::Body;
use crate::Amount;
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// What a sender offers.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
pub struct Fee {
    /// The most that the transaction may cost its sender, tip included.
    pub max: Amount,
    /// To the proposer of the block that holds it, whatever the base fee is.
    pub tip: Amount,
}

impl Fee {
    /// That of duties.
    pub const NONE: Self = Self {
        max: Amount::ZERO,
        tip: Amount::ZERO,
    };
}

/// On which terms a transaction gets into a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lane {
    /// Free, and before all others.
    Duty,
    /// For a fee, in a limited part of the block.
    Paid,
}

impl Body {
    /// Its lane.
    #[must_use]
    pub const fn lane(&self) -> Lane {
        match self {
            Self::Resume
            | Self::CommitRollouts { .. }
            | Self::CommitGradient { .. }
            | Self::AttestBlobs { .. }
            | Self::AuditCommit { .. }
            | Self::AuditReveal { .. }
            | Self::Appeal { .. }
            | Self::AttestCheckpoint { .. }
            | Self::SignalReadiness { .. }
            | Self::Guard { .. }
            | Self::Open { .. }
            | Self::OpenStates { .. }
            | Self::ReportEquivocation { .. }
            | Self::Dispute { .. }
            | Self::Unjail { .. }
            | Self::ReportDoubleSign { .. } => Lane::Duty,
            Self::Transfer { .. }
            | Self::RegisterMiner { .. }
            | Self::RegisterVerifier { .. }
            | Self::Propose { .. }
            | Self::Deposit { .. }
            | Self::Vote { .. }
            | Self::Delegate { .. }
            | Self::Object { .. }
            | Self::AdvanceStage
            | Self::RegisterValidator { .. }
            | Self::Stake { .. }
            | Self::Unstake { .. }
            | Self::Restake { .. }
            | Self::ClaimRewards { .. }
            | Self::SetCommission { .. }
            | Self::AddBond { .. }
            | Self::Leave { .. }
            | Self::RotateKey { .. } => Lane::Paid,
        }
    }
}
