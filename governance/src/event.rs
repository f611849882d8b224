//! Events: what governance did, for logs, pages and wallets. Not part of the state.

use crate::{proposal::Status, stage::Stage};
use protocol::{
    Address, Amount, Height, ProposalId, RunId,
    proposal::{Module, Track, Weights},
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Something that governance did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[allow(
    missing_docs,
    reason = "field names repeat the meaning that each variant states"
)]
pub enum Event {
    /// A proposal was made, or decreed.
    Submitted { id: ProposalId, track: Track },
    /// A deposit was added.
    Deposited {
        id: ProposalId,
        from: Address,
        amount: Amount,
    },
    /// All of a deposit went back.
    DepositReturned { id: ProposalId, amount: Amount },
    /// All of a deposit burned.
    DepositBurned { id: ProposalId, amount: Amount },
    /// A proposal moved on.
    StatusChanged { id: ProposalId, status: Status },
    /// Somebody voted, for itself and for those who entrust it.
    Voted {
        id: ProposalId,
        voter: Address,
        weights: Weights,
        power: u64,
    },
    /// A delegation began or ended.
    Delegated {
        holder: Address,
        track: Track,
        to: Option<Address>,
    },
    /// Contributors object; the sum is in millionths of all recent work.
    Objected {
        id: ProposalId,
        by: Address,
        objections_micro: u64,
    },
    /// A parameter changed.
    ParameterSet { name: String, old: u64, new: u64 },
    /// The treasury paid.
    TreasuryPaid { to: Address, amount: Amount },
    /// A class of miners was listed, or has other limits.
    ClassSet { name: String, version: u32 },
    /// A run was created.
    RunCreated { run: RunId, budget: Amount },
    /// A run was funded.
    RunFunded { run: RunId, amount: Amount },
    /// A run opens no step until the height.
    RunPaused { run: RunId, until: Height },
    /// A pause ended early.
    RunResumed { run: RunId },
    /// A run ended; the rest of its budget went back.
    RunStopped { run: RunId, returned: Amount },
    /// A half of the council was elected.
    CouncilElected,
    /// The steward's dates moved by six months.
    StewardExtended,
    /// A track's rule changed.
    TrackAmended { track: Track },
    /// An upgrade is planned.
    UpgradeScheduled { version: u32, height: Height },
    /// A plan was cancelled.
    UpgradeCancelled { version: u32 },
    /// A validator is not slashed for what it signed.
    SlashCancelled { operator: Address },
    /// A validator is ready.
    ReadinessSignalled { version: u32, operator: Address },
    /// A version is active.
    UpgradeActivated { version: u32 },
    /// Too few were ready; the chain goes on as it is.
    UpgradeLapsed { version: u32 },
    /// The next stage of the hand-over began.
    StageAdvanced { stage: Stage },
    /// A module stands still until the height.
    Paused { module: Module, until: Height },
    /// A member of the council approved an act that still needs others.
    CouncilApproved {
        member: Address,
        approvals_count: usize,
    },
}

impl fmt::Display for Event {
    #[expect(
        clippy::too_many_lines,
        reason = "one sentence per variant; a table reads best whole"
    )]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Submitted { id, track } => {
                write!(f, "proposal {} on track {track}", id.short())
            }
            Self::Deposited { id, from, amount } => {
                write!(f, "{} put {amount} down for {}", from.short(), id.short())
            }
            Self::DepositReturned { id, amount } => {
                write!(f, "deposit of {} returned: {amount}", id.short())
            }
            Self::DepositBurned { id, amount } => {
                write!(f, "deposit of {} burned: {amount}", id.short())
            }
            Self::StatusChanged { id, status } => match status {
                Status::Deposit { .. } => write!(f, "proposal {} takes deposits", id.short()),
                Status::Voting { until } => {
                    write!(f, "proposal {} is open for votes until {until}", id.short())
                }
                Status::Timelocked { ready_at } => {
                    write!(f, "proposal {} waits for height {ready_at}", id.short())
                }
                Status::Executed { .. } => write!(f, "proposal {} is in force", id.short()),
                Status::Passed
                | Status::DepositExpired
                | Status::Rejected
                | Status::Vetoed
                | Status::Failed { .. }
                | Status::Expired { .. }
                | Status::Cancelled { .. } => {
                    write!(f, "proposal {}: {}", id.short(), status.as_str())
                }
            },
            Self::Voted {
                id,
                voter,
                weights,
                power,
            } => {
                write!(
                    f,
                    "{} votes {weights} on {} with {power}",
                    voter.short(),
                    id.short()
                )
            }
            Self::Delegated { holder, track, to } => match to {
                Some(to) => write!(f, "{} lets {} vote on {track}", holder.short(), to.short()),
                None => write!(f, "{} votes on {track} itself", holder.short()),
            },
            Self::Objected {
                id,
                by,
                objections_micro,
            } => {
                let (id, by) = (id.short(), by.short());
                write!(
                    f,
                    "{by} objects to {id}; {objections_micro} millionths of all work do"
                )
            }
            Self::ParameterSet { name, old, new } => write!(f, "{name} is {new}, was {old}"),
            Self::TreasuryPaid { to, amount } => {
                write!(f, "treasury paid {amount} to {}", to.short())
            }
            Self::ClassSet { name, version } => {
                write!(f, "class {name} has the limits of version {version}")
            }
            Self::RunCreated { run, budget } => write!(f, "run {run} created with {budget}"),
            Self::RunFunded { run, amount } => write!(f, "run {run} received {amount}"),
            Self::RunPaused { run, until } => write!(f, "run {run} is paused until {until}"),
            Self::RunResumed { run } => write!(f, "run {run} goes on"),
            Self::RunStopped { run, returned } => {
                write!(f, "run {run} stopped; {returned} returned")
            }
            Self::CouncilElected => f.write_str("half of the council is elected"),
            Self::StewardExtended => f.write_str("the steward's dates move by six months"),
            Self::TrackAmended { track } => write!(f, "track {track} has a new rule"),
            Self::UpgradeScheduled { version, height } => {
                write!(f, "version {version} is planned for height {height}")
            }
            Self::UpgradeCancelled { version } => write!(f, "version {version} is cancelled"),
            Self::SlashCancelled { operator } => {
                write!(
                    f,
                    "the slash of validator {} is cancelled",
                    operator.short()
                )
            }
            Self::ReadinessSignalled { version, operator } => {
                write!(f, "{} is ready for version {version}", operator.short())
            }
            Self::UpgradeActivated { version } => write!(f, "version {version} is active"),
            Self::UpgradeLapsed { version } => {
                write!(f, "version {version} lapsed: too few were ready")
            }
            Self::StageAdvanced { stage } => write!(f, "{stage} begins"),
            Self::Paused { module, until } => {
                write!(f, "{} paused until height {until}", module.as_str())
            }
            Self::CouncilApproved {
                member,
                approvals_count,
            } => {
                write!(f, "{} approves; {approvals_count} do", member.short())
            }
        }
    }
}
