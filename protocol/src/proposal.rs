//! Proposals on the wire: typed actions, split votes, tracks, and what guardians may do.
//!
//! A [`Payload`] is bytes that never change after submission: voters vote on its hash. It holds at
//! most [`ACTIONS_COUNT_MAX`] typed [`Action`]s. No action carries a transaction, a call or another
//! proposal, so nothing can be nested, and none names an account to take from, so confiscation
//! cannot be written down. Spec: governance.

use crate::{
    Address, Amount, Height, Micro, ProposalId, RunId,
    class::Class,
    codec::{BoundedVec, Text},
    identifiers::tagged_hash,
    recipe::Recipe,
};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Most actions in one proposal.
pub const ACTIONS_COUNT_MAX: usize = 10;
/// Most programs that an upgrade names.
pub const ARTIFACTS_COUNT_MAX: usize = 8;
/// Seats of one half of the council; the halves are elected at different times.
pub const COHORT_SEATS_COUNT: usize = 6;

/// How a holder votes.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// For.
    Yes,
    /// Against.
    No,
    /// Counted for support only.
    Abstain,
    /// Against, and the proposal should not have been made: its deposit burns.
    Veto,
}

impl Choice {
    /// All choices, in the order in which a split vote is divided.
    pub const ALL: [Self; 4] = [Self::Yes, Self::No, Self::Abstain, Self::Veto];
    /// The stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Abstain => "abstain",
            Self::Veto => "veto",
        }
    }
}

/// A vote split over the choices, in millionths that sum to one.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(deny_unknown_fields, default)]
pub struct Weights {
    /// For.
    pub yes: Micro,
    /// Against.
    pub no: Micro,
    /// Neither.
    pub abstain: Micro,
    /// Against, strongly.
    pub veto: Micro,
}

impl Weights {
    /// All weight on one choice.
    #[must_use]
    pub fn all(choice: Choice) -> Self {
        let mut weights = Self::default();
        let side = match choice {
            Choice::Yes => &mut weights.yes,
            Choice::No => &mut weights.no,
            Choice::Abstain => &mut weights.abstain,
            Choice::Veto => &mut weights.veto,
        };
        *side = Micro::ONE;
        weights
    }
    /// A choice's weight.
    #[must_use]
    pub const fn of(&self, choice: Choice) -> Micro {
        match choice {
            Choice::Yes => self.yes,
            Choice::No => self.no,
            Choice::Abstain => self.abstain,
            Choice::Veto => self.veto,
        }
    }
    /// The weights together; valid ones give a million.
    #[must_use]
    pub fn sum(&self) -> u64 {
        let weights = Choice::ALL.iter().map(|choice| self.of(*choice).get());
        weights.fold(0, u64::saturating_add)
    }
    /// The choice that has all the weight, if one has.
    #[must_use]
    pub fn whole(&self) -> Option<Choice> {
        Choice::ALL
            .into_iter()
            .find(|choice| self.of(*choice) == Micro::ONE)
    }
}

impl fmt::Display for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(choice) = self.whole() {
            return f.write_str(choice.as_str());
        }
        let parts = Choice::ALL
            .iter()
            .filter(|choice| self.of(**choice) != Micro::ZERO)
            .map(|choice| format!("{} {}", self.of(*choice), choice.as_str()));
        f.write_str(&parts.collect::<Vec<_>>().join(" + "))
    }
}

macro_rules! tracks {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)+) => {
        /// The kinds of decision; each has its own deposit, periods and majorities.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
            BorshSerialize, BorshDeserialize, Serialize, Deserialize,
        )]
        #[serde(rename_all = "kebab-case")]
        pub enum Track { $($(#[$doc])* $variant,)+ }

        impl Track {
            /// All tracks.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// The stable text.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

tracks! {
    /// Words only.
    Text = "text";
    /// Parameters within their safe range.
    ParameterSafe = "parameter-safe";
    /// Parameters that slash, or that leave their safe range.
    ParameterCritical = "parameter-critical";
    /// Up to a thousandth of the treasury.
    TreasurySmall = "treasury-small";
    /// Up to a hundredth.
    TreasuryMedium = "treasury-medium";
    /// Up to a twentieth.
    TreasuryLarge = "treasury-large";
    /// Creating and funding training runs.
    Run = "run";
    /// Pausing and resuming them.
    RunPause = "run-pause";
    /// Stopping them for good.
    RunStop = "run-stop";
    /// Who guards: council seats, the steward's one extension.
    Offices = "offices";
    /// A new version of the protocol.
    Upgrade = "upgrade";
    /// The rules of this table.
    Constitution = "constitution";
    /// Cancelling what is not executed yet.
    Cancel = "cancel";
}

impl fmt::Display for Track {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that no track has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no track {name:?}")]
pub struct UnknownTrack {
    /// What was given.
    pub name: String,
}

impl FromStr for Track {
    type Err = UnknownTrack;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().find(|track| track.as_str() == text);
        found.copied().ok_or_else(|| UnknownTrack {
            name: text.to_owned(),
        })
    }
}

/// One program of an upgrade.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// What it runs on, such as `x86_64-linux`.
    pub target: Text<64>,
    /// Plain BLAKE3 hash of the file.
    pub hash: crate::BlobId,
}

/// A track's rule as the constitution may set it.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct Amendment {
    /// Deposit, as a multiple of the base deposit.
    pub deposit_multiple: u64,
    /// Voting period in days.
    pub voting_days: u64,
    /// Days between passing and taking effect.
    pub timelock_days: u64,
    /// Yes and abstain as a share of eligible stake, at least.
    pub support: Micro,
    /// Yes as a share of yes, no and veto, at least; always more than half.
    pub approval: Micro,
}

/// Which half of the council.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Cohort {
    /// One half.
    First,
    /// The other.
    Second,
}

/// What a proposal does when it is executed.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Action {
    /// Nothing; the vote is the statement.
    Signal,
    /// Set one parameter.
    SetParameter {
        /// Its name, as in `governance::parameters`.
        parameter: Text<64>,
        /// Its new value.
        value: u64,
    },
    /// Pay from the treasury.
    Spend {
        /// Receiver.
        to: Address,
        /// How much.
        amount: Amount,
    },
    /// Start a training run, paid from the treasury.
    CreateRun {
        /// Model, environment, corpus, schedule and pay.
        recipe: Box<Recipe>,
        /// What it may pay in all.
        budget: Amount,
        /// First height at which its first step may open.
        start_at: Height,
    },
    /// Add to a run's budget from the treasury.
    FundRun {
        /// The run.
        run: RunId,
        /// How much.
        amount: Amount,
    },
    /// Open no further step of a run for three days.
    PauseRun {
        /// The run.
        run: RunId,
    },
    /// End a pause early.
    ResumeRun {
        /// The run.
        run: RunId,
    },
    /// End a run; what it has not paid returns to the treasury.
    StopRun {
        /// The run.
        run: RunId,
    },
    /// Fill one half of the council.
    ElectCouncil {
        /// Which half.
        cohort: Cohort,
        /// Its members, all different.
        members: BoundedVec<Address, COHORT_SEATS_COUNT>,
    },
    /// Postpone the dates at which the steward's powers shrink by six months, once ever.
    ExtendSteward,
    /// Schedule a new version of the protocol.
    Upgrade {
        /// The version; higher than the active one.
        version: u32,
        /// The programs.
        artifacts: BoundedVec<Artifact, ARTIFACTS_COUNT_MAX>,
        /// When it takes effect, if enough validators are ready.
        height: Height,
    },
    /// Change a track's rule, never below what is compiled in.
    AmendTrack {
        /// The track.
        track: Track,
        /// Its new rule.
        rule: Amendment,
    },
    /// Stop another proposal before it is executed, or the upgrade that it scheduled.
    Cancel {
        /// Which.
        proposal: ProposalId,
    },
    /// List a class of miners, or give a listed one other limits.
    SetClass {
        /// Its number, name and limits.
        class: Box<Class>,
    },
    /// Take back the slash that a validator awaits for contradicting itself.
    CancelSlash {
        /// The validator.
        operator: Address,
    },
}

/// All that voters decide on.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    /// What it is for, in a line.
    pub title: Text<200>,
    /// Why.
    #[serde(default)]
    pub summary: Text<2000>,
    /// What it does, in order; all of it or nothing.
    pub actions: BoundedVec<Action, ACTIONS_COUNT_MAX>,
    /// Not executed before this height, even if its timelock is over.
    #[serde(default)]
    pub not_before: Height,
}

impl Payload {
    /// The identifier; it binds the proposer, so that nobody can copy a proposal ahead of its
    /// author, and the height, so that the same words may be proposed again.
    #[must_use]
    pub fn id(&self, proposer: Address, at: Height) -> ProposalId {
        ProposalId::from_bytes(tagged_hash("cairn/proposal/v1", &(proposer, self, at)))
    }
}

/// What an emergency pause stops. Transfers and exits are not among them.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Module {
    /// Steps that would open.
    Runs,
    /// Money that would leave the treasury by vote.
    Treasury,
    /// Upgrades that would activate.
    Upgrades,
}

impl Module {
    /// All modules.
    pub const ALL: [Self; 3] = [Self::Runs, Self::Treasury, Self::Upgrades];
    /// The stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::Treasury => "treasury",
            Self::Upgrades => "upgrades",
        }
    }
}

/// What the steward, later the council, may do.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Guard {
    /// Schedule a change without a vote, seven days ahead; stage 0 only.
    Decree {
        /// What.
        payload: Payload,
    },
    /// Cancel a proposal that is not executed.
    Cancel {
        /// Which.
        proposal: ProposalId,
    },
    /// Put a scheduled proposal off by 14 days, once.
    Delay {
        /// Which.
        proposal: ProposalId,
    },
    /// Pause a module for three days.
    Pause {
        /// Which.
        module: Module,
    },
}
