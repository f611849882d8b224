//! Events: what a block did, for logs, the page and wallets. Not part of the state.

mod words;

use crate::{
    unit::{AuditFault, Kept, Outcome, Tier},
    verdict::dispute::Operation,
};
use protocol::{
    Address, Amount, Height, Micro, PublicKey, RunId, Step, checkpoint::Checkpoint,
    rollout::Correction, staking::Role, task::UnitId, verdict::Finding,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The gradient units of a step: those that were accepted, and who is missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GradientUnits {
    /// Dealt.
    pub assigned_count: u32,
    /// Accepted.
    pub accepted_count: u32,
    /// That must be accepted for the model to move.
    pub minimum_count: u32,
    /// Dealt and not accepted, as far as they are over.
    pub missing: Vec<MissingUnit>,
}

/// A gradient unit that a step closed without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingUnit {
    /// The unit.
    pub unit: UnitId,
    /// Who was to compute it.
    pub miner: Address,
    /// What became of it.
    pub outcome: Outcome,
}

/// Missing units that a sentence names.
const NAMED_COUNT_MAX: usize = 8;

impl fmt::Display for GradientUnits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            assigned_count,
            accepted_count,
            minimum_count,
            missing,
        } = self;
        write!(f, "{accepted_count} of {assigned_count} gradient units")?;
        if accepted_count < minimum_count {
            write!(f, ", below the least of {minimum_count}: the model stays")?;
        }
        for (index, one) in missing.iter().take(NAMED_COUNT_MAX).enumerate() {
            let before = if index == 0 { "; missing: " } else { ", " };
            let why = match one.outcome {
                Outcome::Accepted { .. } => "accepted",
                Outcome::Void { .. } => "void",
                Outcome::Slashed { .. } => "slashed",
                Outcome::Missed => "missed",
            };
            write!(f, "{before}{} of {} ({why})", one.unit, one.miner.short())?;
        }
        match missing.len().saturating_sub(NAMED_COUNT_MAX) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// Something that happened in a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[allow(
    missing_docs,
    reason = "field names repeat the meaning that each variant states"
)]
pub enum Event {
    /// Tokens moved.
    Transferred {
        from: Address,
        to: Address,
        amount: Amount,
    },
    /// A miner locked its bond.
    MinerRegistered { miner: Address, bond: Amount },
    /// A miner that was quiet asks for work again.
    MinerResumed { miner: Address },
    /// A miner let a whole step pass.
    MinerIdle { miner: Address },
    /// A miner was proven wrong.
    MinerSlashed {
        miner: Address,
        unit: UnitId,
        finding: Finding,
        burned: Amount,
        bounty: Amount,
    },
    /// A miner kept something back for longer than it may.
    MinerFined {
        miner: Address,
        unit: UnitId,
        kept: Kept,
        burned: Amount,
    },
    /// A unit was beyond the limits of its class; its miner lost what it had unvested of what is
    /// due for that.
    PayForfeited {
        miner: Address,
        unit: UnitId,
        due: Amount,
        burned: Amount,
    },
    /// A miner opened what is due of a unit.
    UnitOpened {
        unit: UnitId,
        miner: Address,
        correction: Option<Correction>,
    },
    /// A unit's planted fault is known, and what the auditors of that round made of it.
    PlantJudged { unit: UnitId, is_found: bool },
    /// A step's units were dealt.
    StepAssigned {
        run: RunId,
        step: Step,
        units_count: u32,
        miners_count: usize,
    },
    /// A unit's blob was bound.
    UnitCommitted {
        unit: UnitId,
        miner: Address,
        blob_bytes: u64,
    },
    /// A unit is over.
    UnitSettled {
        unit: UnitId,
        miner: Address,
        outcome: Outcome,
    },
    /// All units of a step are over.
    StepClosed {
        run: RunId,
        step: Step,
        accepted_count: u64,
        gradients: GradientUnits,
    },
    /// A verifier locked its bond.
    VerifierRegistered { verifier: Address, bond: Amount },
    /// A gradient unit was drawn for audit; its miner shows the states that auditors need.
    SegmentDrawn { unit: UnitId },
    /// The update of a gradient unit was drawn for a check; its miner shows where it ends.
    UpdateDrawn { unit: UnitId },
    /// A unit was drawn for audit; auditors draw themselves.
    AuditOpened { unit: UnitId },
    /// An auditor that drew itself has bound its verdict.
    AuditorSeated { unit: UnitId, auditor: Address },
    /// A unit was drawn for audit, and this auditor for it.
    AuditDrawn { unit: UnitId, auditor: Address },
    /// A round of judging did not decide, or was appealed: a larger one judges.
    AuditEscalated { unit: UnitId, tier: Tier },
    /// A unit was convicted; its miner may appeal.
    UnitConvicted {
        unit: UnitId,
        miner: Address,
        finding: Finding,
        appeal_by: Height,
    },
    /// A miner contests a conviction.
    UnitAppealed {
        unit: UnitId,
        miner: Address,
        bond: Amount,
    },
    /// The appeals against a unit's convictions are decided; their bonds are burned or returned.
    AppealEnded {
        unit: UnitId,
        miner: Address,
        bonds: Amount,
        is_lost: bool,
    },
    /// A unit was accepted, and auditors that were outvoted may contest it.
    AcceptanceWaits {
        unit: UnitId,
        miner: Address,
        contest_by: Height,
    },
    /// An outvoted auditor contests an acceptance.
    UnitContested {
        unit: UnitId,
        auditor: Address,
        finding: Finding,
        bond: Amount,
    },
    /// A contest is decided; its bond is burned or returned.
    ContestEnded {
        unit: UnitId,
        auditor: Address,
        bond: Amount,
        is_lost: bool,
    },
    /// A miner disputes a conviction, or an auditor an acceptance; both sides move in turns.
    DisputeOpened {
        unit: UnitId,
        miner: Address,
        challenger: Address,
    },
    /// A side of a dispute moved.
    DisputeMoved {
        unit: UnitId,
        by: Address,
        moves_count: u32,
    },
    /// A side of a dispute lost: by what was computed, or by its silence.
    DisputeLost {
        unit: UnitId,
        loser: Address,
        operation: Option<Operation>,
    },
    /// A verdict was opened.
    VerdictRevealed {
        unit: UnitId,
        auditor: Address,
        contradiction: Option<Finding>,
    },
    /// An auditor was wrong or silent.
    AuditorFined {
        auditor: Address,
        unit: UnitId,
        fault: AuditFault,
        burned: Amount,
    },
    /// A validator let its turn to propose pass.
    ProposerSilent {
        proposer: Address,
        round: u32,
        burned: Amount,
    },
    /// A validator registered.
    ValidatorRegistered {
        operator: Address,
        holder: Address,
        stake: Amount,
    },
    /// Tokens were staked with a validator.
    Staked {
        owner: Address,
        operator: Address,
        amount: Amount,
    },
    /// Stake was taken out, and arrives later.
    Unstaked {
        owner: Address,
        operator: Address,
        amount: Amount,
        free_at: Height,
    },
    /// Stake that was taken out has arrived.
    StakeFreed {
        owner: Address,
        operator: Address,
        amount: Amount,
    },
    /// Stake moved to another validator.
    Restaked {
        owner: Address,
        from: Address,
        to: Address,
        amount: Amount,
    },
    /// Rewards of stake were paid.
    RewardsClaimed {
        owner: Address,
        operator: Address,
        amount: Amount,
    },
    /// A validator's holder takes another share.
    CommissionSet {
        operator: Address,
        commission: Micro,
    },
    /// A validator's holder named its next consensus key.
    KeyNamed { operator: Address, key: PublicKey },
    /// A validator's votes are another key's from now on.
    KeyRotated { operator: Address, key: PublicKey },
    /// A validator was absent for too long.
    ValidatorJailed {
        operator: Address,
        until: Height,
        burned: Amount,
    },
    /// A jailed validator has power again from the next epoch on.
    ValidatorReleased { operator: Address },
    /// A validator contradicted itself.
    ValidatorFrozen {
        operator: Address,
        infraction: Height,
        slashed_at: Height,
    },
    /// It paid for that, and is out.
    ValidatorSlashed {
        operator: Address,
        share: Micro,
        burned: Amount,
        bounty: Amount,
    },
    /// Tokens were made for what an epoch earned.
    Minted {
        miners: Amount,
        auditors: Amount,
        validators: Amount,
        treasury: Amount,
    },
    /// A bond is higher.
    BondAdded {
        owner: Address,
        role: Role,
        bond: Amount,
    },
    /// A miner or verifier asked for its bond.
    LeaveNoticed {
        owner: Address,
        role: Role,
        free_at: Height,
    },
    /// It has it.
    Left {
        owner: Address,
        role: Role,
        bond: Amount,
    },
    /// Validators agree on a checkpoint.
    CheckpointAgreed { checkpoint: Checkpoint },
    /// Governance did something.
    Governed { what: governance::Event },
}
