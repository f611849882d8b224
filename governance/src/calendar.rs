//! Time in blocks. Every period of governance is a number of days, and a genesis says how many
//! blocks make a day: tens of thousands on a main network, a handful on a devnet. Heights, unlike
//! the times that proposers write into headers, cannot be moved by anyone.

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::Height;

/// Days that a proposal may wait for its deposit.
pub const DEPOSIT_DAYS: u64 = 7;
/// A first quorum or a changed outcome in this last part of voting, or in its last half if that is
/// shorter, extends it …
pub const LATE_DAYS: u64 = 1;
/// … by this much, once.
pub const EXTENSION_DAYS: u64 = 2;
/// Days after which an execution that never found room is void.
pub const EXPIRY_DAYS: u64 = 14;
/// Days that stake must have been bonded to vote.
pub const AGE_DAYS: u64 = 7;
/// Days that contributors, or the steward in its last year, may put an execution off.
pub const DELAY_DAYS: u64 = 14;
/// Days before an upgrade during which validators signal that they are ready.
pub const READINESS_DAYS: u64 = 7;
/// Days between a decree and its execution.
pub const DECREE_DAYS: u64 = 7;
/// Days that a pause lasts.
pub const PAUSE_DAYS: u64 = 3;
/// Days that the gates of a stage must hold without interruption.
pub const GATE_DAYS: u64 = 90;
/// Most days between submission and the height that a payload asks for.
pub const NOT_BEFORE_DAYS_MAX: u64 = 365;
/// Days of a year, for what is counted by the year.
pub const YEAR_DAYS: u64 = 365;

/// Converts days to blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct Calendar {
    /// Blocks in a day.
    pub day_blocks: u64,
}

impl Calendar {
    /// The height so many days later.
    #[must_use]
    pub const fn after(self, at: Height, days: u64) -> Height {
        at.saturating_add(self.blocks(days))
    }
    /// The height so many days earlier, or zero.
    #[must_use]
    pub const fn before(self, at: Height, days: u64) -> Height {
        at.saturating_sub(self.blocks(days))
    }
    /// Days in blocks.
    #[must_use]
    pub const fn blocks(self, days: u64) -> u64 {
        days.saturating_mul(self.day_blocks)
    }
    /// Whole days since genesis.
    #[must_use]
    pub fn day(self, at: Height) -> u64 {
        at.get().checked_div(self.day_blocks).unwrap_or(0)
    }
    /// Whether a day begins with this block.
    #[must_use]
    pub fn is_daybreak(self, at: Height) -> bool {
        at.get().checked_rem(self.day_blocks) == Some(0)
    }
}
