//! Events: what a block did, for logs, the page and wallets. Not part of the state.

use crate::{
    unit::{AuditFault, Outcome, Tier, VoidReason},
    verdict::dispute::Operation,
};
use protocol::{
    Address, Amount, Height, RunId, Step, checkpoint::Checkpoint, rollout::Correction,
    task::UnitId, verdict::Finding,
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
    /// A miner did not open a unit in time.
    MinerFined {
        miner: Address,
        unit: UnitId,
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
    /// A miner disputes a conviction; it and the challenger move in turns.
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
    /// Validators agree on a checkpoint.
    CheckpointAgreed { checkpoint: Checkpoint },
    /// Governance did something.
    Governed { what: governance::Event },
}

#[expect(
    clippy::too_many_lines,
    reason = "one sentence per variant; a table reads best whole"
)]
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transferred { from, to, amount } => {
                write!(f, "{} sent {amount} to {}", from.short(), to.short())
            }
            Self::MinerRegistered { miner, bond } => {
                write!(f, "miner {} locked a bond of {bond}", miner.short())
            }
            Self::MinerResumed { miner } => write!(f, "miner {} is back", miner.short()),
            Self::MinerIdle { miner } => {
                write!(f, "miner {} missed a whole step and rests", miner.short())
            }
            Self::MinerSlashed {
                miner,
                unit,
                finding,
                burned,
                bounty,
            } => {
                write!(f, "miner {} slashed for unit {unit}: ", miner.short())?;
                write!(f, "{finding}")?;
                write!(f, "; {burned} burned, {bounty} to its auditors")
            }
            Self::MinerFined {
                miner,
                unit,
                burned,
            } => {
                let miner = miner.short();
                write!(f, "miner {miner} did not open unit {unit}; {burned} burned")
            }
            Self::UnitOpened {
                unit,
                miner,
                correction,
            } => {
                let miner = miner.short();
                match correction {
                    Some(_) => write!(f, "{miner} opened unit {unit}: a fault was planted"),
                    None => write!(f, "{miner} opened unit {unit}"),
                }
            }
            Self::PlantJudged { unit, is_found } => {
                let found = if *is_found { "found" } else { "missed" };
                write!(f, "the fault planted in unit {unit} was {found}")
            }
            Self::StepAssigned {
                step,
                units_count,
                miners_count,
                ..
            } => {
                write!(
                    f,
                    "step {step}: {units_count} units dealt to {miners_count} miners"
                )
            }
            Self::UnitCommitted {
                unit,
                miner,
                blob_bytes,
            } => {
                write!(
                    f,
                    "unit {unit} bound by {}, {blob_bytes} bytes",
                    miner.short()
                )
            }
            Self::UnitSettled {
                unit,
                miner,
                outcome,
            } => {
                write!(f, "unit {unit} of {}: ", miner.short())?;
                write_outcome(f, outcome)
            }
            Self::StepClosed {
                step,
                accepted_count,
                gradients,
                ..
            } => {
                write!(
                    f,
                    "step {step} closed with {accepted_count} units accepted; {gradients}"
                )
            }
            Self::VerifierRegistered { verifier, bond } => {
                write!(f, "verifier {} locked a bond of {bond}", verifier.short())
            }
            Self::SegmentDrawn { unit } => write!(f, "a segment of unit {unit} is drawn for audit"),
            Self::AuditOpened { unit } => write!(f, "unit {unit} is drawn for audit"),
            Self::AuditorSeated { unit, auditor } => {
                write!(f, "unit {unit} is judged by {}", auditor.short())
            }
            Self::AuditDrawn { unit, auditor } => {
                write!(f, "unit {unit} is audited by {}", auditor.short())
            }
            Self::AuditEscalated { unit, tier } => {
                let judges = match tier {
                    Tier::One => "one auditor",
                    Tier::Three => "three auditors",
                    Tier::Committee => "a committee",
                    Tier::Everyone { .. } => "every validator",
                };
                write!(f, "unit {unit} is re-executed by {judges}")
            }
            Self::UnitConvicted {
                unit,
                miner,
                finding,
                appeal_by,
            } => {
                write!(f, "unit {unit} of {} convicted: ", miner.short())?;
                write!(f, "{finding}")?;
                write!(f, "; appeals until height {appeal_by}")
            }
            Self::UnitAppealed { unit, miner, bond } => {
                let miner = miner.short();
                write!(
                    f,
                    "miner {miner} appeals for unit {unit} with a bond of {bond}"
                )
            }
            Self::AppealEnded {
                unit,
                miner,
                bonds,
                is_lost,
            } => {
                let miner = miner.short();
                if *is_lost {
                    write!(
                        f,
                        "miner {miner} lost its appeal for unit {unit}; {bonds} burned"
                    )
                } else {
                    write!(
                        f,
                        "miner {miner} has {bonds} back from its appeal for unit {unit}"
                    )
                }
            }
            Self::DisputeOpened {
                unit,
                miner,
                challenger,
            } => {
                let (miner, challenger) = (miner.short(), challenger.short());
                write!(
                    f,
                    "miner {miner} and auditor {challenger} dispute unit {unit}"
                )
            }
            Self::DisputeMoved {
                unit,
                by,
                moves_count,
            } => {
                let by = by.short();
                write!(f, "{by} makes move {moves_count} about unit {unit}")
            }
            Self::DisputeLost {
                unit,
                loser,
                operation,
            } => {
                write!(f, "{} lost the dispute about unit {unit}: ", loser.short())?;
                match operation {
                    Some(operation) => write!(f, "{operation}"),
                    None => f.write_str("it was silent"),
                }
            }
            Self::VerdictRevealed {
                unit,
                auditor,
                contradiction,
            } => {
                write!(f, "{} judged unit {unit}: ", auditor.short())?;
                match contradiction {
                    Some(finding) => write!(f, "{finding}"),
                    None => f.write_str("every check holds"),
                }
            }
            Self::AuditorFined {
                auditor,
                unit,
                fault,
                burned,
            } => {
                let auditor = auditor.short();
                let fault = match fault {
                    AuditFault::Overturned => "overturned",
                    AuditFault::MissedPlant => "taken in by a planted fault",
                    AuditFault::Silent => "silent",
                };
                write!(
                    f,
                    "auditor {auditor} was {fault} on unit {unit}; {burned} burned"
                )
            }
            Self::ProposerSilent {
                proposer,
                round,
                burned,
            } => {
                let proposer = proposer.short();
                write!(
                    f,
                    "{proposer} proposed nothing in round {round}; {burned} burned"
                )
            }
            Self::CheckpointAgreed { checkpoint } => {
                write!(
                    f,
                    "checkpoint {} for step {}",
                    checkpoint.model.short(),
                    checkpoint.step
                )
            }
            Self::Governed { what } => write!(f, "{what}"),
        }
    }
}

fn write_outcome(f: &mut fmt::Formatter<'_>, outcome: &Outcome) -> fmt::Result {
    match outcome {
        Outcome::Accepted { paid } => write!(f, "accepted, {paid} paid"),
        Outcome::Void {
            finding: Some(finding),
            ..
        } => {
            f.write_str("void, ")?;
            write!(f, "{finding}")
        }
        Outcome::Void {
            reason,
            finding: None,
        } => f.write_str(match reason {
            VoidReason::Unavailable => "void, its blob is unavailable",
            VoidReason::Lost => "void, nobody has its blob any more",
            VoidReason::NoQuorum => "void, re-execution found no quorum",
            VoidReason::MinerSlashed => "void, its miner was slashed",
            VoidReason::Withheld => "void, its miner did not open it",
            VoidReason::Differs => "void, it differs too much",
            VoidReason::Evidence => "void, its miner's units differ too much",
        }),
        Outcome::Slashed { finding } => {
            f.write_str("slashed, ")?;
            write!(f, "{finding}")
        }
        Outcome::Missed => f.write_str("missed"),
    }
}
