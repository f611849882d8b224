//! The command line of `cairn gov`.

use crate::rpc::fees::Limits;
use clap::{Args, Subcommand, ValueEnum};
use protocol::{Address, ChainId, ProposalId, proposal::Module};
use std::path::PathBuf;

/// What to do.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    pub(super) what: What,
    /// The node to ask.
    #[arg(long, global = true, default_value = "http://127.0.0.1:8420")]
    pub(super) node: String,
    /// Print JSON.
    #[arg(long, global = true)]
    pub(super) json: bool,
}

/// How something is signed; for every command that signs.
#[derive(Clone, Debug, Args)]
pub(super) struct Signing {
    /// Folder with the key: `holder.key`, or `operator.key` for `signal`.
    #[arg(long)]
    pub(super) home: PathBuf,
    /// Say what would be signed and what it would do, and sign nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Sign without asking; for scripts.
    #[arg(long)]
    pub(super) yes: bool,
    /// Write the signed transaction to this file instead of submitting it.
    #[arg(long)]
    pub(super) out: Option<PathBuf>,
    /// The chain; with --nonce and --out, no node is asked.
    #[arg(long, requires = "nonce", requires = "out")]
    pub(super) chain: Option<ChainId>,
    /// The account's transactions so far.
    #[arg(long, requires = "chain")]
    pub(super) nonce: Option<u64>,
    #[command(flatten)]
    pub(super) limits: Limits,
}

#[derive(Debug, Subcommand)]
pub(super) enum What {
    /// Propose what a file says: a title, a summary, and actions.
    Propose {
        /// The proposal, in TOML; a recipe may be the path of a file beside it.
        file: PathBuf,
        /// Tokens to put down now; the whole price if left out.
        #[arg(long)]
        deposit: Option<u64>,
        #[command(flatten)]
        signing: Signing,
    },
    /// Add to a proposal's deposit.
    Deposit {
        /// The proposal.
        id: ProposalId,
        /// Tokens.
        amount: u64,
        #[command(flatten)]
        signing: Signing,
    },
    /// Vote with all power held and entrusted.
    Vote {
        /// The proposal.
        id: ProposalId,
        /// `yes`, `no`, `abstain` or `veto`; or millionths, as in `yes=600000,abstain=400000`.
        weights: String,
        #[command(flatten)]
        signing: Signing,
    },
    /// Let another account vote on a track wherever you do not.
    Delegate {
        /// The track.
        track: String,
        /// To whom.
        to: Option<Address>,
        /// End the delegation.
        #[arg(long)]
        end: bool,
        #[command(flatten)]
        signing: Signing,
    },
    /// As a contributor, ask for more time before a proposal takes effect.
    Object {
        /// The proposal.
        id: ProposalId,
        #[command(flatten)]
        signing: Signing,
    },
    /// As a validator, say that this version runs here.
    Signal {
        /// The version.
        version: u32,
        #[command(flatten)]
        signing: Signing,
    },
    /// As steward or member of the council: decree, cancel, delay, pause.
    #[command(subcommand)]
    Guard(Guard),
    /// Enter the next stage of the hand-over; anyone may, once its gates have held.
    AdvanceStage {
        #[command(flatten)]
        signing: Signing,
    },
    /// Submit a transaction that was signed into a file.
    Submit {
        /// The file.
        file: PathBuf,
        /// Submit without asking.
        #[arg(long)]
        yes: bool,
        /// Say what it is and would do, and submit nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// A proposal in full: what changes, votes, deposit, fate.
    Show {
        /// The proposal.
        id: ProposalId,
    },
    /// All proposals, newest first.
    List {
        /// Pass over so many.
        #[arg(long, default_value_t = 0)]
        from: usize,
    },
    /// How a vote stands against its lines.
    Tally {
        /// The proposal.
        id: ProposalId,
    },
    /// Replay the past under the verification parameters that a proposal sets.
    Preview {
        /// The proposal.
        id: ProposalId,
    },
    /// The stage of the hand-over, its gates, the treasury, the planned upgrade.
    Stage,
    /// All parameters with their bounds, and all tracks with their rules.
    Parameters,
}

#[derive(Debug, Subcommand)]
pub(super) enum Guard {
    /// Schedule a change without a vote; the steward, in stage 0.
    Decree {
        /// The change, in TOML as for `propose`.
        file: PathBuf,
        #[command(flatten)]
        signing: Signing,
    },
    /// Cancel a proposal that is not executed.
    Cancel {
        /// The proposal.
        id: ProposalId,
        #[command(flatten)]
        signing: Signing,
    },
    /// Put a scheduled proposal off by 14 days, once.
    Delay {
        /// The proposal.
        id: ProposalId,
        #[command(flatten)]
        signing: Signing,
    },
    /// Pause a module for three days.
    Pause {
        /// The module.
        #[arg(value_enum)]
        module: ModuleArgument,
        #[command(flatten)]
        signing: Signing,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum ModuleArgument {
    Runs,
    Treasury,
    Upgrades,
}

impl From<ModuleArgument> for Module {
    fn from(module: ModuleArgument) -> Self {
        match module {
            ModuleArgument::Runs => Self::Runs,
            ModuleArgument::Treasury => Self::Treasury,
            ModuleArgument::Upgrades => Self::Upgrades,
        }
    }
}
