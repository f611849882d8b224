//! Answers to `cairn query`: blocks, accounts, miners, runs, units, proposals.

use super::overview::MinerRow;
use super::overview_build::miner_row;
use crate::chain::Chain;
use ledger_state::{
    account,
    auditor::Verifier,
    bond, class,
    event::GradientUnits,
    run::{self, Closed, Run},
    task,
    unit::{
        Appeal, Audit, Challenge, Commitment, Contest, Conviction, Draw, Opening, Opinion, Outcome,
        Stage, Unit,
    },
    verdict::dispute::{self, Dispute, Place},
};
use protocol::{
    Address, Amount, BlobId, BlockId, Height, Micro, Nonce, RunId, StateRoot, Step, TransactionId,
    block::{Block, Header},
    checkpoint::Checkpoint,
    class::{Class, Level, Listed},
    recipe::Recipe,
    task::UnitId,
    transaction::{Transaction, Unverified},
};
use serde::{Deserialize, Serialize};

/// A block with what it holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BlockAnswer {
    /// Its id.
    pub id: BlockId,
    /// Its header.
    pub header: Header,
    /// State after it.
    pub state_root_after: StateRoot,
    /// Validators that signed it, in the stored certificate.
    pub signatures_count: usize,
    /// Its transactions.
    pub transactions: Vec<TransactionAnswer>,
}

/// A transaction in a block.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TransactionAnswer {
    /// Its id.
    pub id: TransactionId,
    /// What was signed.
    #[serde(flatten)]
    pub transaction: Transaction,
}

/// An account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccountAnswer {
    /// Its key.
    pub address: Address,
    /// Tokens free to spend.
    pub balance: Amount,
    /// Transactions applied.
    pub nonce: Nonce,
    /// The nonce to use next, transactions waiting included.
    pub next_nonce: Nonce,
    /// Its stake with validators.
    pub stake: Amount,
    /// What it has locked to audit as a verifier.
    pub verifier_bond: Amount,
}

/// A run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunAnswer {
    /// Its number.
    pub run: RunId,
    /// The current step.
    pub step: Step,
    /// What is left to pay.
    pub escrow: Amount,
    /// The last agreed checkpoint.
    pub checkpoint: Option<Checkpoint>,
    /// What it computes.
    pub recipe: Recipe,
    /// Steps closed.
    pub closed_steps_count: usize,
}

/// A step: who was to do what, and what became of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StepAnswer {
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: Step,
    /// When its last unit settled.
    pub closed_at: Option<Height>,
    /// The checkpoint that it led to.
    pub checkpoint: Option<Checkpoint>,
    /// Its gradient units, and who is missing.
    pub gradients: GradientUnits,
    /// That in a sentence.
    pub summary: String,
    /// All its units.
    pub units: Vec<StepUnit>,
}

/// A unit of a step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StepUnit {
    /// The unit.
    pub unit: UnitId,
    /// Whose it is.
    pub miner: Address,
    /// Where it is, in a sentence.
    pub summary: String,
}

/// Engines besides the exact one that miners may draw rollouts with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClassesAnswer {
    /// Counts the changes of the table.
    pub version: u32,
    /// What is listed.
    pub classes: Vec<ClassRow>,
}

/// One listed class.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClassRow {
    /// The version of the table in which its limits were set.
    pub version: u32,
    /// Its limits.
    pub class: Class,
}

/// Why a unit was paid, or not.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UnitAnswer {
    /// The unit.
    pub unit: UnitId,
    /// Whose it is.
    pub miner: Address,
    /// Last height for its commitment.
    pub deadline: Height,
    /// Where it is.
    pub stage: Stage,
    /// What was bound.
    pub commitment: Option<Commitment>,
    /// Who judged, with every check's measured value and limit.
    pub audits: Vec<Audit>,
    /// The conviction that may still be appealed against.
    pub conviction: Option<Conviction>,
    /// Convictions that were appealed against.
    pub appeals: Vec<Appeal>,
    /// Auditors that were outvoted and contest that it is accepted.
    pub contest: Option<Contest>,
    /// The dispute about it, with what it came down to.
    pub dispute: Option<Dispute>,
    /// What its miner opened: the sketch, and whether a fault was planted.
    pub opening: Opening,
    /// Of a drawn gradient unit: the segment that is judged, and the states shown.
    pub challenge: Option<Challenge>,
    /// What its miner's updates had lost before.
    pub feedback: Option<BlobId>,
    /// The answer in a sentence.
    pub summary: String,
}

/// A block, if there is one at this height.
///
/// # Errors
/// When the store fails.
pub fn block(
    chain: &Chain,
    height: Height,
) -> Result<Option<BlockAnswer>, ledger_store::StoreError> {
    let Some(stored) = chain.store().block(height)? else {
        return Ok(None);
    };
    let Ok(block) = Block::decode(&stored.block) else {
        return Ok(None);
    };
    let certificate: Option<ledger_consensus::Certificate> =
        protocol::codec::decode("certificate", &stored.certificate, 1 << 20).ok();
    let answer = |unverified: &Unverified| TransactionAnswer {
        id: unverified.id(),
        transaction: unverified.claimed().clone(),
    };
    Ok(Some(BlockAnswer {
        id: stored.block_id,
        header: block.header.clone(),
        state_root_after: stored.state_root,
        signatures_count: certificate.map_or(0, |c| c.signatures.as_slice().len()),
        transactions: block.transactions.as_slice().iter().map(answer).collect(),
    }))
}

/// An account; one never used is empty.
#[must_use]
pub fn account(chain: &Chain, address: Address) -> AccountAnswer {
    let next_nonce = chain.next_nonce(address);
    chain.view(|view| {
        let own = account::account(view, address);
        let verifier: Option<Verifier> = view.get(&address);
        AccountAnswer {
            address,
            balance: own.balance,
            nonce: own.nonce,
            next_nonce,
            stake: super::staking::total(view, address),
            verifier_bond: verifier.map_or(Amount::ZERO, |verifier| verifier.bond),
        }
    })
}

/// A miner.
#[must_use]
pub fn miner(chain: &Chain, address: Address) -> Option<MinerRow> {
    chain.view(|view| {
        let miner: bond::Miner = view.get(&address)?;
        Some(miner_row(view, address, &miner))
    })
}

/// The classes in force.
#[must_use]
pub fn classes(chain: &Chain) -> ClassesAnswer {
    let (version, classes) = chain.view(class::table);
    let row = |(listed, class): (Listed, Class)| ClassRow {
        version: listed.version,
        class,
    };
    ClassesAnswer {
        version,
        classes: classes.into_iter().map(row).collect(),
    }
}

/// A run.
#[must_use]
pub fn run(chain: &Chain, id: RunId) -> Option<RunAnswer> {
    chain.view(|view| {
        let run: Run = view.get(&id)?;
        Some(RunAnswer {
            run: id,
            step: run.step,
            escrow: run.escrow,
            checkpoint: run::agreed(view, id, run.step).map(|agreed| agreed.checkpoint),
            recipe: run::recipe(view, id)?,
            closed_steps_count: view.scan::<Closed>(&id).len(),
        })
    })
}

/// A step of a run that has begun.
#[must_use]
pub fn step(chain: &Chain, id: RunId, step: Step) -> Option<StepAnswer> {
    chain.view(|view| {
        let run: Run = view.get(&id)?;
        if step > run.step {
            return None;
        }
        let units = task::units(view, id, step);
        let gradients = task::gradients(view, id, &units);
        Some(StepAnswer {
            run: id,
            step,
            closed_at: view.get::<Closed>(&(id, step)).map(|closed| closed.at),
            checkpoint: run::agreed(view, id, step.next()).map(|agreed| agreed.checkpoint),
            summary: gradients.to_string(),
            gradients,
            units: units
                .iter()
                .map(|(unit, record)| StepUnit {
                    unit: *unit,
                    miner: record.miner,
                    summary: summary(record),
                })
                .collect(),
        })
    })
}

/// A unit, with the answer to *why was I paid, or not*.
#[must_use]
pub fn unit(chain: &Chain, id: UnitId) -> Option<UnitAnswer> {
    let (unit, dispute) = chain.view(|view| {
        let unit: Unit = view.get(&id)?;
        let dispute = dispute::of(view, id, &unit);
        Some((unit, dispute))
    })?;
    let disputed = dispute.as_ref().map(|dispute| disputed(&unit, dispute));
    let summary = [Some(summary(&unit)), disputed].into_iter().flatten();
    let summary = summary.collect::<Vec<_>>().join("; ");
    let Unit {
        miner,
        deadline,
        stage,
        commitment,
        audits,
        waiting: _,
        conviction,
        appeals,
        contest,
        plant_rate: _,
        class: _,
        opening,
        feedback,
        challenge,
    } = unit;
    Some(UnitAnswer {
        unit: id,
        miner,
        deadline,
        stage,
        commitment,
        audits,
        conviction,
        appeals,
        contest,
        dispute,
        opening,
        challenge,
        feedback,
        summary,
    })
}

/// How a unit stands, and why, in a sentence: the words of `cairn query unit` and of its miner.
#[must_use]
pub fn summary(unit: &Unit) -> String {
    let audit = audited(unit);
    match unit.stage {
        Stage::Assigned => format!("waits for its miner until height {}", unit.deadline),
        Stage::Committed => match (unit.conviction, unit.waiting) {
            (Some(Conviction { finding, appeal_by }), _) => {
                let end = match finding.level() {
                    Level::Slash => "slashed",
                    Level::Void | Level::Holds => "void",
                };
                format!(
                    "convicted: {finding}; {end} after height {appeal_by} unless its miner \
                     appeals; {audit}"
                )
            }
            (None, Some(waiting)) => {
                let draw_at = waiting.draw_at;
                format!("committed, more auditors are drawn at height {draw_at}; {audit}")
            }
            (None, None) => format!("{}; {audit}", waits(unit)),
        },
        Stage::Settled {
            outcome: Outcome::Accepted { paid },
            at,
        } => {
            format!("accepted at height {at} and paid {paid}; {audit}")
        }
        Stage::Settled {
            outcome: Outcome::Missed,
            at,
        } => {
            format!("not paid: nothing was committed by the deadline; settled at height {at}")
        }
        Stage::Settled {
            outcome: Outcome::Void { reason, finding },
            at,
        } => {
            let reason = match reason {
                ledger_state::unit::VoidReason::Unavailable => {
                    "validators with two thirds of stake could not fetch a canonical blob, for which \
                     its miner is fined once a step"
                }
                ledger_state::unit::VoidReason::Lost => "nobody has its blob any more",
                ledger_state::unit::VoidReason::NoQuorum => "re-execution found no quorum",
                ledger_state::unit::VoidReason::Withheld => {
                    "its miner did not open what it sealed, and is fined"
                }
                ledger_state::unit::VoidReason::Differs => {
                    "it differs more than honest work of its class was seen to, for which its miner \
                     forfeits unvested pay"
                }
                ledger_state::unit::VoidReason::Evidence => {
                    "its miner's units together differ more than honest ones do, for which it \
                     forfeits unvested pay"
                }
                ledger_state::unit::VoidReason::MinerSlashed => {
                    "its miner was slashed for another unit"
                }
            };
            let finding = finding.map_or(String::new(), |finding| format!(": {finding}"));
            format!("not paid, not slashed at height {at}: {reason}{finding}; {audit}")
        }
        Stage::Settled {
            outcome: Outcome::Slashed { finding },
            at,
        } => format!("slashed at height {at}: {finding}; {audit}"),
    }
}

/// What a committed unit waits for.
fn waits(unit: &Unit) -> String {
    let Some(contest) = &unit.contest else {
        return "committed, not settled yet".to_owned();
    };
    let contest_by = contest.contest_by;
    let contestants = contest.contestants.iter().chain(&contest.lost);
    match contestants.count() {
        0 => format!(
            "accepted by a majority; auditors that found it wrong may contest that until height \
             {contest_by}"
        ),
        1 => "accepted by a majority; 1 auditor contests that".to_owned(),
        count => format!("accepted by a majority; {count} auditors contest that"),
    }
}

/// How a dispute stands, or what it came down to, in half a sentence.
fn disputed(unit: &Unit, dispute: &Dispute) -> String {
    let Dispute {
        place,
        move_by,
        moves_count,
        ..
    } = dispute;
    match (place, dispute.turn(unit.miner)) {
        (
            Place::Over {
                is_right,
                operation,
            },
            _,
        ) => {
            let winner = if *is_right { "its miner" } else { "an auditor" };
            let shown = operation.map_or("the other side was silent".to_owned(), |operation| {
                operation.to_string()
            });
            format!("{winner} won the dispute after {moves_count} moves: {shown}")
        }
        (_, Some(turn)) => {
            let turn = turn.short();
            format!("disputed, {moves_count} moves so far; {turn} moves by height {move_by}")
        }
        (_, None) => format!("disputed, {moves_count} moves so far"),
    }
}

/// How a unit was audited so far, in half a sentence.
fn audited(unit: &Unit) -> String {
    let verdicts = unit.audits.iter().flat_map(|audit| &audit.seats);
    let judged = verdicts
        .filter(|seat| matches!(seat.opinion, Opinion::Revealed { .. }))
        .count();
    let draw = unit.commitment.as_ref().map(|commitment| commitment.draw);
    match (draw, judged) {
        (None | Some(Draw::Pending), _) => "it has not come to the draw for audit".to_owned(),
        (Some(Draw::Spared { rate }), _) => {
            format!("it was not drawn for audit, at a rate of {}", percent(rate))
        }
        (Some(Draw::Update { update_rate, .. }), judged) => {
            let rate = percent(update_rate);
            format!("its update was drawn for a check at a rate of {rate}, {judged} verdicts")
        }
        (Some(Draw::Drawn { rate }), 1) => {
            format!(
                "1 auditor gave a verdict, drawn at a rate of {}",
                percent(rate)
            )
        }
        (Some(Draw::Drawn { rate }), judged) => {
            let rate = percent(rate);
            format!("{judged} auditors gave a verdict, drawn at a rate of {rate}")
        }
    }
}

/// Millionths as a percentage with two digits.
fn percent(micro: Micro) -> String {
    let hundredths = micro.get() / 100;
    format!("{}.{:02} %", hundredths / 100, hundredths % 100)
}
