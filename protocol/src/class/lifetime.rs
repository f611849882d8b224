//! What the units of one miner say together. Spec: tolerant.md §3.

use super::{Class, Level};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// The evidence against one miner over all of its audited units.
///
/// Each unit multiplies by e = q₁(x) / q₀(x), whose mean is at most 1 for honest work, and the
/// deceit may have begun at any unit j: with weights `w_j = 1 / (j (j + 1))`, which add to one,
/// `Σ_j w_j Π_{i ≥ j} e_i` has mean at most 1 as well, so by Ville's inequality honest work ever
/// reaches 1 / α with probability at most α, and a long honest past is no licence. The sum is
/// replaced by its largest term, which is smaller, and logarithms are rounded down.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
pub struct Lifetime {
    /// Units audited.
    pub units_count: u64,
    /// ln of the largest term, in millionths of a nat.
    pub evidence_micro: i64,
}

/// ln 2 in millionths, rounded up.
const LN_2_MICRO: i64 = 693_148;

impl Lifetime {
    /// After one more unit.
    #[must_use]
    pub fn and(self, unit_micro: i64) -> Self {
        let units_count = self.units_count.saturating_add(1);
        let both = u128::from(units_count) * (u128::from(units_count) + 1);
        let bits = i64::from(both.ilog2()) + 1;
        let begins_here = -bits * LN_2_MICRO;
        let before = if self.units_count == 0 {
            begins_here
        } else {
            self.evidence_micro.max(begins_here)
        };
        Self {
            units_count,
            evidence_micro: before.saturating_add(unit_micro),
        }
    }

    /// The evidence as its limits measure it: below zero there is none.
    #[must_use]
    pub fn measured_micro(&self) -> u64 {
        u64::try_from(self.evidence_micro).unwrap_or(0)
    }

    /// What the limits of a class say about it.
    #[must_use]
    pub fn level(&self, class: &Class) -> Level {
        class.lifetime_micro.level(self.measured_micro())
    }
}
