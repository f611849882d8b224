//! Staking: whose tokens answer for a validator, and how they become power. Spec: staking.
//!
//! ```text
//!            Stake                         epoch
//! balance ──────────► stake with a ─────────────► power in consensus,
//!    ▲               validator │  ▲               attestations, audits
//!    │                 Unstake │  │ Restake
//!    └── 21 days ── unbonding ◄┘  └── another validator's
//! ```
//!
//! Every token is some account's: there are no shares of a pool whose price could be moved. A
//! slash goes through all accounts that had stake with the validator, wherever that stake is now;
//! therefore their number is bounded ([`STAKERS_COUNT_MAX`]). Rewards are the other way round: one
//! number grows, and whoever touches its stake collects ([`reward`]).
//!
//! * [`register`]: validators begin, and change their commission;
//! * [`stake`]: stake comes, goes and moves;
//! * [`epoch`]: stake becomes power;
//! * [`jail`]: absence costs power, and little stake;
//! * [`contradiction`]: two signed messages that contradict each other cost much.

pub mod contradiction;
pub mod epoch;
pub mod jail;
#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]
mod model;
pub mod register;
pub mod reward;
pub mod rotation;
pub mod stake;

use protocol::{Amount, Micro};

/// Accounts that may have stake with one validator, its holder included.
pub const STAKERS_COUNT_MAX: u32 = 1_024;

/// A share of an amount, rounded down.
#[must_use]
pub(crate) fn share(amount: Amount, share: Micro) -> Amount {
    let product = u128::from(amount.get()).saturating_mul(u128::from(share.get()));
    let share = product.checked_div(1_000_000).unwrap_or_default();
    Amount::new(u64::try_from(share).unwrap_or(u64::MAX)).min(amount)
}

/// The same, rounded up: who is slashed never gains by small parts.
#[must_use]
pub(crate) fn share_up(amount: Amount, share: Micro) -> Amount {
    let product = u128::from(amount.get()).saturating_mul(u128::from(share.get()));
    let share = product.div_ceil(1_000_000);
    Amount::new(u64::try_from(share).unwrap_or(u64::MAX)).min(amount)
}
