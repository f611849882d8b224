//! Proposals: their records, their lifecycle and the only edges in it.
//!
//! ```text
//! deposit ─┬─ deposit-expired
//!          └─ voting ─┬─ rejected
//!                     ├─ vetoed
//!                     └─ passed ── timelocked ─┬─ executed
//!                                              ├─ failed
//!                                              └─ expired
//! cancelled: from deposit, voting, passed and timelocked
//! ```
//!
//! A decree of stage 0 begins timelocked. Statuses on the right are final.

use crate::{
    Calendar, Refusal, Tally,
    event::Event,
    mutant::on,
    store::{Records, Store, records},
    track::Rule,
};
use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{
    Address, Amount, Height, ProposalId,
    codec::Text,
    proposal::{Payload, Track},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Where a proposal is.
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
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum Status {
    /// Waits for its deposit.
    Deposit {
        /// Last height at which it may fill.
        until: Height,
    },
    /// Votes count.
    Voting {
        /// Last height at which they do.
        until: Height,
    },
    /// Won the vote.
    Passed,
    /// Waits for its height.
    Timelocked {
        /// First height at which it may be executed.
        ready_at: Height,
    },
    /// The deposit did not fill in time. Final.
    DepositExpired,
    /// Lost the vote. Final.
    Rejected,
    /// Lost the vote to vetoes; its deposit burned. Final.
    Vetoed,
    /// In force. Final.
    Executed {
        /// Since when.
        at: Height,
    },
    /// Could not be executed, changed nothing, is not tried again. Final.
    Failed {
        /// When it was tried.
        at: Height,
    },
    /// Was not executed in time. Final.
    Expired {
        /// When it was given up.
        at: Height,
    },
    /// Stopped before execution. Final.
    Cancelled {
        /// When.
        at: Height,
    },
}

impl Status {
    /// Whether nothing follows.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Deposit { .. } | Self::Voting { .. } | Self::Passed | Self::Timelocked { .. } => {
                false
            }
            Self::DepositExpired
            | Self::Rejected
            | Self::Vetoed
            | Self::Executed { .. }
            | Self::Failed { .. }
            | Self::Expired { .. }
            | Self::Cancelled { .. } => true,
        }
    }
    /// Whether the lifecycle has an edge from here to there. Voting and timelock may be prolonged.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        match self {
            Self::Deposit { .. } => matches!(
                next,
                Self::Voting { .. } | Self::DepositExpired | Self::Cancelled { .. }
            ),
            Self::Voting { until } => match next {
                Self::Voting { until: later } => later.get() > until.get(),
                Self::Rejected | Self::Vetoed | Self::Passed | Self::Cancelled { .. } => true,
                Self::Deposit { .. }
                | Self::Timelocked { .. }
                | Self::DepositExpired
                | Self::Executed { .. }
                | Self::Failed { .. }
                | Self::Expired { .. } => false,
            },
            Self::Passed => matches!(next, Self::Timelocked { .. } | Self::Cancelled { .. }),
            Self::Timelocked { ready_at } => match next {
                Self::Timelocked { ready_at: later } => later.get() > ready_at.get(),
                Self::Executed { .. }
                | Self::Failed { .. }
                | Self::Expired { .. }
                | Self::Cancelled { .. } => true,
                Self::Deposit { .. }
                | Self::Voting { .. }
                | Self::Passed
                | Self::DepositExpired
                | Self::Rejected
                | Self::Vetoed => false,
            },
            Self::DepositExpired
            | Self::Rejected
            | Self::Vetoed
            | Self::Executed { .. }
            | Self::Failed { .. }
            | Self::Expired { .. }
            | Self::Cancelled { .. } => false,
        }
    }
    /// The stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deposit { .. } => "deposit",
            Self::Voting { .. } => "voting",
            Self::Passed => "passed",
            Self::Timelocked { .. } => "timelocked",
            Self::DepositExpired => "deposit-expired",
            Self::Rejected => "rejected",
            Self::Vetoed => "vetoed",
            Self::Executed { .. } => "executed",
            Self::Failed { .. } => "failed",
            Self::Expired { .. } => "expired",
            Self::Cancelled { .. } => "cancelled",
        }
    }
}

/// How a proposal came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub enum Origin {
    /// By deposit and vote.
    Vote,
    /// By the steward, in stage 0.
    Decree,
}

/// A proposal, without its payload.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each tells that something that may happen once has happened"
)]
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Proposal {
    /// Who proposed.
    pub proposer: Address,
    /// What it is for.
    pub title: Text<200>,
    /// How it came to be.
    pub origin: Origin,
    /// The strictest track of its actions.
    pub track: Track,
    /// The rule it is judged by; later amendments do not touch it.
    pub rule: Rule,
    /// Tokens that its actions would take from the treasury.
    pub outflow: Amount,
    /// Values, when it was submitted, of the parameters that its actions set, in their order.
    pub before: Vec<u64>,
    /// When it was submitted.
    pub submitted_at: Height,
    /// Not executed before.
    pub not_before: Height,
    /// Deposit to fill.
    pub price: Amount,
    /// Deposit so far.
    pub deposited: Amount,
    /// Last height at which votes count or counted; zero before voting.
    pub voting_ends: Height,
    /// Height whose powers count; voting began in the next block.
    pub snapshot: Height,
    /// Where it is.
    pub status: Status,
    /// The count.
    pub tally: Tally,
    /// Whether support was ever reached.
    pub was_supported: bool,
    /// Whether voting was extended.
    pub was_extended: bool,
    /// Contributors' objections, as millionths of all their work.
    pub objections_micro: u64,
    /// Whether contributors put its execution off.
    pub was_delayed: bool,
    /// Whether the steward put its execution off.
    pub was_held: bool,
}

/// What voters decide on, byte for byte as submitted.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Content(pub Payload);

/// A note that a proposal changes at a height, so that a block reads only what is due in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Due;

/// The one proposal that a proposer may have alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Busy(pub ProposalId);

/// All proposals that are not final, by track, and how many have each voting snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Live {
    /// By track.
    pub tracks: BTreeMap<Track, BTreeSet<ProposalId>>,
    /// Heights whose powers votes still need.
    pub snapshots: BTreeMap<Height, u64>,
}

impl Live {
    /// All of them.
    #[must_use]
    pub fn count(&self) -> usize {
        let counts = self.tracks.values().map(BTreeSet::len);
        counts.fold(0, usize::saturating_add)
    }
    /// A track's.
    #[must_use]
    pub fn on(&self, track: Track) -> usize {
        self.tracks.get(&track).map_or(0, BTreeSet::len)
    }
}

records! {
    2 Proposal: ProposalId;
    3 Content: ProposalId;
    // Heights compare by their bytes only for equality here.
    4 Due: (Height, ProposalId);
    5 Busy: Address;
    6 Live: ();
}

/// A proposal by its identifier.
///
/// # Errors
/// When there is none.
pub fn find(store: &impl Store, id: ProposalId) -> Result<Proposal, Refusal> {
    store.get(&id).ok_or(Refusal::ProposalUnknown { id })
}

/// All proposals that are not final.
#[must_use]
pub fn live(store: &impl Store) -> Live {
    store.get(&()).unwrap_or_default()
}

impl Proposal {
    /// Whether votes count at this height.
    #[must_use]
    pub fn accepts_votes(&self, at: Height) -> bool {
        matches!(self.status, Status::Voting { until } if at <= until)
    }
    /// When it takes effect, or would if voting ended as planned and went well.
    #[must_use]
    pub fn due_at(&self, calendar: Calendar) -> Height {
        let vote = |from| {
            let closes = calendar.after(from, self.rule.voting_days).next();
            calendar.after(closes, self.rule.timelock_days)
        };
        match self.status {
            Status::Timelocked { ready_at } => ready_at,
            Status::Executed { at } | Status::Failed { at } => at,
            Status::Voting { until } => calendar.after(until.next(), self.rule.timelock_days),
            Status::Deposit { .. }
            | Status::Passed
            | Status::DepositExpired
            | Status::Rejected
            | Status::Vetoed
            | Status::Expired { .. }
            | Status::Cancelled { .. } => vote(self.submitted_at),
        }
        .max(self.not_before)
    }
    /// Moves along an edge.
    ///
    /// # Panics
    /// When the lifecycle has no such edge, which would be a fault of these rules.
    pub(crate) fn become_status(&mut self, id: ProposalId, next: Status) -> Event {
        assert!(
            self.status.may_become(next) || on("a failure is retried"),
            "invariant: {:?} may become {next:?}",
            self.status
        );
        if let Status::Voting { until } = next {
            self.voting_ends = until;
        }
        self.status = next;
        Event::StatusChanged { id, status: next }
    }
}
