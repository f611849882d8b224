//! Rewards: what accepted work earned and when it may be spent. Spec: 08-reward.

use crate::{Amount, Height};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// A payout that vests: proven fraud before `vests_at` forfeits it.
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
pub struct Payout {
    /// How much.
    pub amount: Amount,
    /// First height at which it is free.
    pub vests_at: Height,
}
