//! The whole network at a glance: what the terminal and the page draw.
//!
//! Served as `GET /v1/overview`, and again on every block by the event stream `GET /v1/events`.

use governance::describe::Change;
use protocol::{
    Address, Amount, ChainId, CheckpointId, Height, Micro, ProposalId, Step, task::UnitId,
    verdict::Check,
};
use serde::{Deserialize, Serialize};

/// Everything the terminal and the page draw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview {
    /// The chain's identity.
    pub chain: ChainId,
    /// The chain's name.
    pub name: String,
    /// Last committed height.
    pub height: Height,
    /// Time of the last block in milliseconds since 1970.
    pub time_ms: u64,
    /// Mean distance of recent blocks in milliseconds.
    pub block_interval_ms: u64,
    /// Transactions waiting.
    pub mempool_count: usize,
    /// What is burned for a transfer in the next block.
    pub transfer_fee: Amount,
    /// Peers of the blob and gossip network.
    pub peers_count: usize,
    /// The first run.
    pub run: Option<RunOverview>,
    /// Units so far.
    pub units: UnitCounts,
    /// Miners by address.
    pub miners: Vec<MinerRow>,
    /// Validators by address.
    pub validators: Vec<ValidatorRow>,
    /// Proposals, newest first.
    pub proposals: Vec<ProposalRow>,
    /// What happened lately, newest first, at most 40 lines.
    pub events: Vec<EventRow>,
}

/// A run's progress and curves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunOverview {
    /// `pretrain`, `reinforce` or `finished`.
    pub phase: String,
    /// `opening`, `working`, `settling`, `attesting` or `finished`.
    pub stage: String,
    /// The current step.
    pub step: Step,
    /// Steps in all.
    pub steps_count: u64,
    /// Steps of pre-training.
    pub pretrain_steps_count: u64,
    /// The checkpoint of this step; none at step 0, which starts from the seed.
    pub checkpoint: Option<CheckpointId>,
    /// Parameters of the model.
    pub parameters_count: u64,
    /// Environment's name.
    pub environment: String,
    /// Units of the current step: all, committed, accepted.
    pub step_units: StepUnits,
    /// One point a closed step, in order.
    pub points: Vec<StepPoint>,
    /// What is left to pay.
    pub escrow: Amount,
}

/// How far the current step is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepUnits {
    /// Assigned.
    pub assigned: u32,
    /// Committed.
    pub committed: u32,
    /// Settled, whatever the outcome.
    pub settled: u32,
}

/// What a closed step measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepPoint {
    /// The step.
    pub step: Step,
    /// Height at which it closed.
    pub height: Height,
    /// Mean loss of accepted pre-training units, in millionths of a nat.
    pub loss_micro: Option<i64>,
    /// Mean reward of accepted rollouts, in millionths.
    pub reward_micro: Option<u64>,
    /// Share of accepted rollouts with full reward, in millionths.
    pub exact_micro: Option<u64>,
    /// Held-out greedy exact matches of the checkpoint that started the step, in millionths.
    pub evaluation_micro: Option<u64>,
    /// Units accepted, void or slashed, and missed.
    pub units: UnitCounts,
}

/// Units by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitCounts {
    /// Paid and used.
    pub accepted: u64,
    /// Not paid, nobody punished.
    pub void: u64,
    /// Proven wrong.
    pub slashed: u64,
    /// Never committed.
    pub missed: u64,
}

/// A miner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MinerRow {
    /// Its account.
    pub address: Address,
    /// `active`, `accused`, `idle` or `slashed`.
    pub status: String,
    /// What is locked.
    pub bond: Amount,
    /// Paid in all, vested or not.
    pub earned: Amount,
    /// Of that, not yet vested.
    pub vesting: Amount,
    /// Its units.
    pub units: UnitCounts,
    /// What refusals and gaps have left of its claim to work, in millionths.
    pub quota_micro: u64,
    /// Probability in millionths that a gradient unit of its would be audited now.
    pub audit_rate_micro: u64,
    /// The engine that draws its rollouts: `exact`, or a class's name.
    pub class: String,
    /// What its audited units say together, if its class is tolerant.
    pub evidence: Option<EvidenceRow>,
    /// Why it was slashed.
    pub slash: Option<SlashRow>,
}

/// What the audited units of a tolerant miner say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceRow {
    /// Units audited.
    pub units_count: u64,
    /// Evidence against it in millionths of a nat.
    pub micro: i64,
    /// Above this its units are void.
    pub limit_micro: u64,
}

/// Why a miner was slashed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlashRow {
    /// The unit that proved it.
    pub unit: UnitId,
    /// When.
    pub height: Height,
    /// The check that failed.
    pub check: Check,
    /// What was measured.
    pub measured: u64,
    /// What was allowed.
    pub limit: u64,
    /// Check, measured value, limit and rule in words.
    pub reason: String,
    /// Bond and vesting that were burned.
    pub burned: Amount,
    /// The part of them that went to the auditors who found it.
    pub bounty: Amount,
}

/// A validator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidatorRow {
    /// Its hot key.
    pub operator: Address,
    /// Its stake.
    pub stake: Amount,
    /// Its weight since the epoch began.
    pub power: u64,
    /// Bonded, jailed, frozen or removed, in words.
    pub standing: String,
    /// Audits done.
    pub audits: u64,
    /// Paid for audits and found frauds.
    pub earned: Amount,
    /// Fined for silence and wrong verdicts.
    pub fined: Amount,
}

/// A proposal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposalRow {
    /// Its id.
    pub id: ProposalId,
    /// Its title.
    pub title: String,
    /// The track that rules it.
    pub track: String,
    /// What it would change, decoded.
    pub changes: Vec<Change>,
    /// Stake for.
    pub yes: Amount,
    /// Stake against.
    pub no: Amount,
    /// Stake abstaining.
    pub abstain: Amount,
    /// Stake against that also burns the deposit.
    pub veto: Amount,
    /// Yes and abstain as a share of all that may vote: at least this, in millionths.
    pub support_needed: Micro,
    /// Yes as a share of yes, no and veto: at least or more than this, in millionths.
    pub approval_needed: Micro,
    /// Stake that may vote.
    pub total: Amount,
    /// A status of the lifecycle: `deposit`, `voting`, `timelocked`, `executed`, `rejected`, …
    pub status: String,
    /// Last height at which votes count.
    pub voting_ends: Height,
    /// Height at which it takes effect.
    pub enact_at: Height,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRow {
    /// When.
    pub height: Height,
    /// `info`, `good` or `bad`, for colour.
    pub tone: String,
    /// What, in words.
    pub text: String,
}
