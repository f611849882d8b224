//! Events in words, one sentence each.

use super::Event;
use crate::unit::{AuditFault, Kept, Outcome, Tier, VoidReason};
use std::fmt;

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
                kept,
                burned,
            } => {
                let miner = miner.short();
                let what = match kept {
                    Kept::Opening => "did not open",
                    Kept::Blob => "let nobody fetch the blob of",
                };
                write!(f, "miner {miner} {what} unit {unit}; {burned} burned")
            }
            Self::PayForfeited {
                miner,
                unit,
                due,
                burned,
            } => {
                let miner = miner.short();
                write!(
                    f,
                    "miner {miner} forfeits unvested pay for unit {unit}: {burned} burned of {due} \
                     due"
                )
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
            Self::UpdateDrawn { unit } => {
                write!(f, "the update of unit {unit} is drawn for a check")
            }
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
            Self::AcceptanceWaits {
                unit,
                miner,
                contest_by,
            } => {
                let miner = miner.short();
                write!(
                    f,
                    "unit {unit} of {miner} is accepted unless an outvoted auditor contests it \
                     until height {contest_by}"
                )
            }
            Self::UnitContested {
                unit,
                auditor,
                finding,
                bond,
            } => {
                let auditor = auditor.short();
                write!(
                    f,
                    "auditor {auditor} contests the acceptance of unit {unit} with a bond of \
                     {bond}: {finding}"
                )
            }
            Self::ContestEnded {
                unit,
                auditor,
                bond,
                is_lost,
            } => {
                let auditor = auditor.short();
                if *is_lost {
                    write!(
                        f,
                        "auditor {auditor} contested unit {unit} wrongly; {bond} burned"
                    )
                } else {
                    write!(
                        f,
                        "auditor {auditor} has {bond} back from contesting unit {unit}"
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
            Self::ValidatorRegistered {
                operator,
                holder,
                stake,
            } => {
                let (operator, holder) = (operator.short(), holder.short());
                write!(
                    f,
                    "validator {operator} registered by {holder} with {stake}"
                )
            }
            Self::Staked {
                owner,
                operator,
                amount,
            } => {
                let (owner, operator) = (owner.short(), operator.short());
                write!(f, "{owner} staked {amount} with {operator}")
            }
            Self::Unstaked {
                owner,
                operator,
                amount,
                free_at,
            } => {
                let (owner, operator) = (owner.short(), operator.short());
                write!(
                    f,
                    "{owner} takes {amount} from {operator}; free at {free_at}"
                )
            }
            Self::StakeFreed {
                owner,
                operator,
                amount,
            } => {
                let (owner, operator) = (owner.short(), operator.short());
                write!(f, "{owner} has {amount} back from {operator}")
            }
            Self::Restaked {
                owner,
                from,
                to,
                amount,
            } => {
                let (owner, from, to) = (owner.short(), from.short(), to.short());
                write!(f, "{owner} moved {amount} from {from} to {to}")
            }
            Self::RewardsClaimed {
                owner,
                operator,
                amount,
            } => {
                let (owner, operator) = (owner.short(), operator.short());
                write!(f, "{owner} claimed {amount} from {operator}")
            }
            Self::CommissionSet {
                operator,
                commission,
            } => {
                let operator = operator.short();
                write!(
                    f,
                    "{operator} takes a commission of {commission} millionths"
                )
            }
            Self::KeyNamed { operator, key } => {
                let (operator, key) = (operator.short(), key.short());
                write!(
                    f,
                    "{operator} signs blocks with key {key} from the next epoch on"
                )
            }
            Self::KeyRotated { operator, key } => {
                let (operator, key) = (operator.short(), key.short());
                write!(
                    f,
                    "{operator} signs blocks with key {key} from the second next height on"
                )
            }
            Self::ValidatorJailed {
                operator,
                until,
                burned,
            } => {
                let operator = operator.short();
                write!(
                    f,
                    "validator {operator} was absent: jailed until {until}, {burned} burned"
                )
            }
            Self::ValidatorReleased { operator } => {
                write!(f, "validator {} is back", operator.short())
            }
            Self::ValidatorFrozen {
                operator,
                infraction,
                slashed_at,
            } => {
                let operator = operator.short();
                write!(
                    f,
                    "validator {operator} signed twice at height {infraction}: frozen, slashed at \
                     {slashed_at}"
                )
            }
            Self::ValidatorSlashed {
                operator,
                share,
                burned,
                bounty,
            } => {
                let operator = operator.short();
                write!(
                    f,
                    "validator {operator} slashed by {share} millionths: {burned} burned, {bounty} \
                     to who showed it"
                )
            }
            Self::Minted {
                miners,
                auditors,
                validators,
                treasury,
            } => write!(
                f,
                "made {miners} for miners, {auditors} for auditors, {validators} for validators, \
                 {treasury} for the treasury"
            ),
            Self::BondAdded { owner, role, bond } => {
                write!(f, "{role} {} has a bond of {bond}", owner.short())
            }
            Self::LeaveNoticed {
                owner,
                role,
                free_at,
            } => write!(
                f,
                "{role} {} leaves; its bond is free at {free_at}",
                owner.short()
            ),
            Self::Left { owner, role, bond } => {
                write!(f, "{role} {} has its bond of {bond} back", owner.short())
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
