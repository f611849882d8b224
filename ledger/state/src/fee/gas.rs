//! Gas: what each kind costs the machine that applies it, in about microseconds.
//!
//! `gas = SIGNATURE_GAS + ⌈bytes / BYTES_PER_GAS⌉ + fixed + each · count`. The numbers of
//! [`TABLE`] are fixed here, so that every machine counts the same. They were measured, rules and
//! entries of the state, by `bench-ledger --only gas`, which prints them beside what its machine
//! takes. Spec: fees §2.

use protocol::{
    Address, Amount,
    codec::encode,
    proposal::{Guard, Payload},
    transaction::{Body, Transaction, Verified},
};

/// Strict verification of one signature.
pub const SIGNATURE_GAS: u64 = 45;
/// Bytes that are decoded, hashed, stored and sent on for one gas.
pub const BYTES_PER_GAS: u64 = 64;
/// Bytes of a signature.
const SIGNATURE_BYTES: usize = 64;

/// Bytes of a transfer as it travels.
const TRANSFER_BYTES: usize = 32 + 32 + 8 + 16 + 1 + 32 + 8 + 64;

/// What applying a body of some kind costs besides signature and bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Always.
    pub fixed: u64,
    /// For each of its parts.
    pub each: u64,
}

macro_rules! costs {
    ($($variant:ident $kind:literal = $fixed:literal, $each:literal;)+) => {
        /// Every kind's cost. Parts are units of `attest-blobs`, openings of `open`, states of
        /// `open-states`, actions of `propose` and of a guard's decree, the proof of an
        /// `audit-commit` that has one, and every 64 bytes of a move in a `dispute`.
        pub const TABLE: &[(&str, Cost)] = &[
            $(($kind, Cost { fixed: $fixed, each: $each })),+
        ];

        /// The cost of a body's kind.
        #[must_use]
        pub const fn cost_of(body: &Body) -> Cost {
            match body {
                $(Body::$variant { .. } => Cost { fixed: $fixed, each: $each }),+
            }
        }
    };
}

costs! {
    Transfer "transfer" = 35, 0;
    RegisterMiner "register-miner" = 45, 0;
    Resume "resume" = 35, 0;
    CommitRollouts "commit-rollouts" = 35, 0;
    CommitGradient "commit-gradient" = 35, 0;
    AttestBlobs "attest-blobs" = 10, 20;
    RegisterVerifier "register-verifier" = 45, 0;
    AuditCommit "audit-commit" = 40, 150;
    AuditReveal "audit-reveal" = 60, 0;
    Appeal "appeal" = 45, 0;
    AttestCheckpoint "attest-checkpoint" = 60, 0;
    Propose "propose" = 140, 20;
    Deposit "deposit" = 100, 0;
    Vote "vote" = 60, 0;
    Delegate "delegate" = 60, 0;
    Object "object" = 60, 0;
    AdvanceStage "advance-stage" = 60, 0;
    SignalReadiness "signal-readiness" = 60, 0;
    Guard "guard" = 100, 20;
    Open "open" = 30, 180;
    ReportEquivocation "report-equivocation" = 240, 0;
    OpenStates "open-states" = 30, 40;
    Dispute "dispute" = 100, 2;
    RegisterValidator "register-validator" = 130, 0;
    Stake "stake" = 80, 0;
    Unstake "unstake" = 95, 0;
    Restake "restake" = 100, 0;
    ClaimRewards "claim-rewards" = 60, 0;
    SetCommission "set-commission" = 40, 0;
    Unjail "unjail" = 40, 0;
    ReportDoubleSign "report-double-sign" = 160, 0;
    AddBond "add-bond" = 60, 0;
    Leave "leave" = 60, 0;
    RotateKey "rotate-key" = 130, 0;
}

/// Gas of a transfer.
#[must_use]
pub fn transfer_gas() -> u64 {
    let body = Body::Transfer {
        to: Address::from_bytes([0; 32]),
        amount: Amount::ZERO,
    };
    gas_within(&body, TRANSFER_BYTES)
}

/// Parts that a body's cost counts.
#[must_use]
pub fn parts_count(body: &Body) -> usize {
    let actions = |payload: &Payload| payload.actions.as_slice().len();
    match body {
        Body::AttestBlobs { units } => units.as_slice().len(),
        Body::AuditCommit { sortition, .. } => usize::from(sortition.is_some()),
        Body::Propose { payload, .. } => actions(payload),
        Body::Guard { guard } => match guard {
            Guard::Decree { payload } => actions(payload),
            Guard::Cancel { .. } | Guard::Delay { .. } | Guard::Pause { .. } => 0,
        },
        Body::Open { openings } => openings.as_slice().len(),
        Body::OpenStates { opening } => opening.states.as_slice().len(),
        Body::Dispute { play, .. } => play.as_slice().len().div_ceil(64),
        Body::Transfer { .. }
        | Body::RegisterMiner { .. }
        | Body::Resume
        | Body::CommitRollouts { .. }
        | Body::CommitGradient { .. }
        | Body::RegisterVerifier { .. }
        | Body::AuditReveal { .. }
        | Body::Appeal { .. }
        | Body::AttestCheckpoint { .. }
        | Body::Deposit { .. }
        | Body::Vote { .. }
        | Body::Delegate { .. }
        | Body::Object { .. }
        | Body::AdvanceStage
        | Body::SignalReadiness { .. }
        | Body::ReportEquivocation { .. }
        | Body::RegisterValidator { .. }
        | Body::Stake { .. }
        | Body::Unstake { .. }
        | Body::Restake { .. }
        | Body::ClaimRewards { .. }
        | Body::SetCommission { .. }
        | Body::Unjail { .. }
        | Body::ReportDoubleSign { .. }
        | Body::AddBond { .. }
        | Body::Leave { .. }
        | Body::RotateKey { .. } => 0,
    }
}

/// What applying a body costs besides signature and bytes.
#[must_use]
pub fn body_gas(body: &Body) -> u64 {
    let Cost { fixed, each } = cost_of(body);
    let count = u64::try_from(parts_count(body)).unwrap_or(u64::MAX);
    fixed.saturating_add(each.saturating_mul(count))
}

fn gas_within(body: &Body, bytes_count: usize) -> u64 {
    let bytes_count = u64::try_from(bytes_count).unwrap_or(u64::MAX);
    SIGNATURE_GAS
        .saturating_add(bytes_count.div_ceil(BYTES_PER_GAS))
        .saturating_add(body_gas(body))
}

/// A transaction's gas.
#[must_use]
pub fn gas(transaction: &Verified) -> u64 {
    gas_within(transaction.body(), transaction.bytes_count())
}

/// The gas that a transaction will have when it is signed, whatever it offers.
#[must_use]
pub fn gas_to_sign(transaction: &Transaction) -> u64 {
    let bytes_count = encode(transaction).len().saturating_add(SIGNATURE_BYTES);
    gas_within(&transaction.body, bytes_count)
}
