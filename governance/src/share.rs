//! Shares as exact rationals: no division, no rounding, no overflow.

use borsh::{BorshDeserialize, BorshSerialize};
use std::fmt;

/// `numerator / denominator`; the denominator is never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct Share {
    /// Above the line.
    pub numerator: u64,
    /// Below it.
    pub denominator: u64,
}

impl Share {
    /// A share.
    ///
    /// # Panics
    /// In a constant, if the denominator is zero.
    #[must_use]
    pub const fn new(numerator: u64, denominator: u64) -> Self {
        assert!(denominator != 0, "invariant: a share has a denominator");
        Self {
            numerator,
            denominator,
        }
    }
    /// A share in millionths.
    #[must_use]
    pub const fn millionths(numerator: u64) -> Self {
        Self::new(numerator, 1_000_000)
    }
    /// Whether `part` of `whole` is at least this share. Nothing is no share of nothing.
    #[must_use]
    pub fn is_reached_by(self, part: u64, whole: u64) -> bool {
        whole != 0 && self.scaled(part) >= self.needed(whole)
    }
    /// Whether `part` of `whole` is more than this share. Nothing is no share of nothing.
    #[must_use]
    pub fn is_exceeded_by(self, part: u64, whole: u64) -> bool {
        whole != 0 && self.scaled(part) > self.needed(whole)
    }
    /// This share of a number, rounded down.
    #[must_use]
    pub fn of(self, whole: u64) -> u64 {
        let share = self.needed(whole).checked_div(self.denominator.into());
        share
            .and_then(|share| u64::try_from(share).ok())
            .unwrap_or(u64::MAX)
    }
    /// The smallest part of `whole` that reaches it.
    #[must_use]
    pub fn ceiling_of(self, whole: u64) -> u64 {
        let share = self
            .needed(whole)
            .div_ceil(u128::from(self.denominator.max(1)));
        u64::try_from(share).unwrap_or(u64::MAX)
    }
    fn scaled(self, part: u64) -> u128 {
        u128::from(part).saturating_mul(u128::from(self.denominator))
    }
    fn needed(self, whole: u64) -> u128 {
        u128::from(whole).saturating_mul(u128::from(self.numerator))
    }
}

impl PartialOrd for Share {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// By value; two notations of one value are equal in order though not in bytes.
impl Ord for Share {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let left = other.scaled(self.numerator);
        left.cmp(&self.scaled(other.numerator))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.numerator, self.denominator)
    }
}

/// A part of a whole in millionths, rounded down; zero of nothing.
#[must_use]
pub fn in_millionths(part: u64, whole: u64) -> u64 {
    Share::new(part, whole.max(1)).of(1_000_000)
}
