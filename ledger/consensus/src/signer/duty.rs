//! Which transactions a validator's node sends by itself. A signer signs no others, so whoever
//! takes over the node moves no tokens, votes for nobody and changes no stake.

use protocol::transaction::Body;

/// Whether a validator owes this, or reports it.
#[must_use]
pub const fn is_duty(body: &Body) -> bool {
    match body {
        Body::AttestBlobs { .. }
        | Body::AuditCommit { .. }
        | Body::AuditReveal { .. }
        | Body::Appeal { .. }
        | Body::AttestCheckpoint { .. }
        | Body::SignalReadiness { .. }
        | Body::ReportEquivocation { .. }
        | Body::Dispute { .. }
        | Body::Unjail { .. }
        | Body::ReportDoubleSign { .. } => true,
        Body::Transfer { .. }
        | Body::RegisterMiner { .. }
        | Body::Resume
        | Body::CommitRollouts { .. }
        | Body::CommitGradient { .. }
        | Body::RegisterVerifier { .. }
        | Body::Propose { .. }
        | Body::Deposit { .. }
        | Body::Vote { .. }
        | Body::Delegate { .. }
        | Body::Object { .. }
        | Body::AdvanceStage
        | Body::Guard { .. }
        | Body::Open { .. }
        | Body::OpenStates { .. }
        | Body::RegisterValidator { .. }
        | Body::Stake { .. }
        | Body::Unstake { .. }
        | Body::Restake { .. }
        | Body::ClaimRewards { .. }
        | Body::SetCommission { .. }
        | Body::AddBond { .. }
        | Body::Leave { .. }
        | Body::RotateKey { .. } => false,
    }
}
