//! Tracks: what each kind of decision costs, how long it takes and whom it must convince.
//!
//! | track | deposit | vote | support | approval | timelock |
//! |---|---|---|---|---|---|
//! | text | 1 | 7 d | 15 % | > 1/2 | none |
//! | parameter-safe | 1 | 7 d | 20 % | > 1/2 | 2 d |
//! | parameter-critical, offices | 3 | 14 d | 33 % | ≥ 2/3 | 14 d |
//! | treasury-small, -medium, -large | 1, 2, 5 | 7, 14, 21 d | 15, 25, 33 % | > 50, 60, 67 % | 2, 7, 14 d |
//! | run | 2 | 7 d | 20 % | > 1/2 | 1 d |
//! | run-pause | 1 | 1 d | 10 % | > 1/2 | none |
//! | run-stop | 1 | 3 d | 20 % | > 1/2 | 1 d |
//! | upgrade | 5 | 14 d | 33 % | ≥ 2/3 | 14 d |
//! | constitution | 10 | 21 d | 40 % | ≥ 3/4 | 30 d |
//! | cancel | 1 | 3 d | 15 % | > 1/2 | none |
//!
//! The table is also the floor: the constitution may amend a track upwards and back, never below.

use crate::{Refusal, Share, store::records};
use borsh::{BorshDeserialize, BorshSerialize};
use protocol::proposal::{Amendment, Track};
use std::collections::BTreeMap;

/// Proposals of a track that may live at the same time.
pub const TRACK_LIVE_COUNT_MAX: usize = 20;
/// Longest voting period and timelock that a vote may set, in days.
pub const PERIOD_DAYS_MAX: u64 = 60;
/// Largest deposit multiple that a vote may set.
pub const DEPOSIT_MULTIPLE_MAX: u64 = 100;
/// Largest support that a vote may ask for, so that decisions stay possible.
pub const SUPPORT_MAX: Share = Share::new(3, 5);
/// Largest approval that a vote may ask for.
pub const APPROVAL_MAX: Share = Share::new(9, 10);

/// A share to reach, or to exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub enum Line {
    /// The share itself is enough.
    AtLeast(Share),
    /// The share itself is not enough.
    MoreThan(Share),
}

impl Line {
    /// Whether `part` of `whole` is beyond the line.
    #[must_use]
    pub fn is_met_by(self, part: u64, whole: u64) -> bool {
        match self {
            Self::AtLeast(share) => share.is_reached_by(part, whole),
            Self::MoreThan(share) => share.is_exceeded_by(part, whole),
        }
    }
    /// Where the line is.
    #[must_use]
    pub const fn share(self) -> Share {
        match self {
            Self::AtLeast(share) | Self::MoreThan(share) => share,
        }
    }
    /// Order of strictness.
    fn rank(self) -> (Share, bool) {
        (self.share(), matches!(self, Self::MoreThan(_)))
    }
    fn stricter(self, other: Self) -> Self {
        if other.rank() > self.rank() {
            other
        } else {
            self
        }
    }
}

/// What a track asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct Rule {
    /// Deposit, as a multiple of the base deposit.
    pub deposit_multiple: u64,
    /// Voting period in days.
    pub voting_days: u64,
    /// Yes and abstain as a share of eligible stake.
    pub support: Share,
    /// Yes as a share of yes, no and veto.
    pub approval: Line,
    /// Days between passing and taking effect.
    pub timelock_days: u64,
}

const fn rule(
    deposit_multiple: u64,
    voting_days: u64,
    support_percent: u64,
    approval: Line,
    timelock_days: u64,
) -> Rule {
    Rule {
        deposit_multiple,
        voting_days,
        support: Share::new(support_percent, 100),
        approval,
        timelock_days,
    }
}

const MAJORITY: Line = Line::MoreThan(Share::new(1, 2));
const TWO_THIRDS: Line = Line::AtLeast(Share::new(2, 3));

/// The rule that is compiled in; nothing goes below it.
#[must_use]
pub const fn floor(track: Track) -> Rule {
    match track {
        Track::Text => rule(1, 7, 15, MAJORITY, 0),
        Track::ParameterSafe => rule(1, 7, 20, MAJORITY, 2),
        Track::ParameterCritical | Track::Offices => rule(3, 14, 33, TWO_THIRDS, 14),
        Track::TreasurySmall => rule(1, 7, 15, MAJORITY, 2),
        Track::TreasuryMedium => rule(2, 14, 25, Line::MoreThan(Share::new(3, 5)), 7),
        Track::TreasuryLarge => rule(5, 21, 33, Line::MoreThan(Share::new(67, 100)), 14),
        Track::Run => rule(2, 7, 20, MAJORITY, 1),
        Track::RunPause => rule(1, 1, 10, MAJORITY, 0),
        Track::RunStop => rule(1, 3, 20, MAJORITY, 1),
        Track::Upgrade => rule(5, 14, 33, TWO_THIRDS, 14),
        Track::Constitution => rule(10, 21, 40, Line::AtLeast(Share::new(3, 4)), 30),
        Track::Cancel => rule(1, 3, 15, MAJORITY, 0),
    }
}

/// Whether a vote on this track binds its Yes voters' stake until it is executed.
#[must_use]
pub const fn is_critical(track: Track) -> bool {
    match track {
        Track::ParameterCritical
        | Track::Offices
        | Track::TreasuryLarge
        | Track::Upgrade
        | Track::Constitution => true,
        Track::Text
        | Track::ParameterSafe
        | Track::TreasurySmall
        | Track::TreasuryMedium
        | Track::Run
        | Track::RunPause
        | Track::RunStop
        | Track::Cancel => false,
    }
}

impl Rule {
    /// The stricter of two rules in every respect.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        Self {
            deposit_multiple: self.deposit_multiple.max(other.deposit_multiple),
            voting_days: self.voting_days.max(other.voting_days),
            support: self.support.max(other.support),
            approval: self.approval.stricter(other.approval),
            timelock_days: self.timelock_days.max(other.timelock_days),
        }
    }
    /// Order of strictness between tracks: whom it must convince first, then how long it takes.
    fn rank(self) -> impl Ord {
        let Self {
            deposit_multiple,
            voting_days,
            support,
            approval,
            timelock_days,
        } = self;
        (
            approval.rank(),
            support,
            timelock_days,
            voting_days,
            deposit_multiple,
        )
    }
}

/// The rules in force: the table, and what the constitution amended.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Rulebook {
    amended: BTreeMap<Track, Rule>,
}

records! { 1 Rulebook: (); }

impl Rulebook {
    /// A track's rule.
    #[must_use]
    pub fn rule(&self, track: Track) -> Rule {
        self.amended
            .get(&track)
            .copied()
            .unwrap_or_else(|| floor(track))
    }
    /// The track that decides when several are concerned, and a rule as strict as each of theirs.
    #[must_use]
    pub fn strictest(&self, tracks: &[Track]) -> Option<(Track, Rule)> {
        let ruled = tracks.iter().map(|track| (*track, self.rule(*track)));
        let (track, _) = ruled
            .clone()
            .max_by_key(|(track, rule)| (rule.rank(), *track))?;
        let rule = ruled.map(|(_, rule)| rule).reduce(Rule::stricter)?;
        Some((track, rule))
    }
    /// Amends a track.
    ///
    /// # Errors
    /// When the rule would be laxer than the table, or so strict that nothing could be decided.
    pub fn amend(&mut self, track: Track, amendment: &Amendment) -> Result<(), Refusal> {
        let Amendment {
            deposit_multiple,
            voting_days,
            timelock_days,
            support,
            approval,
        } = *amendment;
        let low = floor(track);
        let (support, approval) = (
            Share::millionths(support.get()),
            Share::millionths(approval.get()),
        );
        let too_low = match low.approval {
            Line::AtLeast(share) => approval < share,
            Line::MoreThan(share) => approval <= share,
        };
        let checks = [
            (
                "deposit",
                deposit_multiple < low.deposit_multiple,
                deposit_multiple > DEPOSIT_MULTIPLE_MAX,
            ),
            (
                "voting period",
                voting_days < low.voting_days,
                voting_days > PERIOD_DAYS_MAX,
            ),
            (
                "timelock",
                timelock_days < low.timelock_days,
                timelock_days > PERIOD_DAYS_MAX,
            ),
            ("support", support < low.support, support > SUPPORT_MAX),
            ("approval", too_low, approval > APPROVAL_MAX),
        ];
        for (what, is_below, is_above) in checks {
            if is_below {
                return Err(Refusal::BelowFloor { track, what });
            }
            if is_above {
                return Err(Refusal::AboveCeiling { track, what });
            }
        }
        let rule = Rule {
            deposit_multiple,
            voting_days,
            support,
            approval: Line::AtLeast(approval),
            timelock_days,
        };
        self.amended.insert(track, rule);
        Ok(())
    }
}
