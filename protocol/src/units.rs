//! Quantities as newtypes: explicit construction, checked arithmetic, no mixing.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash,
            BorshSerialize, BorshDeserialize, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(u64);

        impl $name {
            /// Zero.
            pub const ZERO: Self = Self(0);
            /// Wraps a number.
            #[must_use]
            pub const fn new(value: u64) -> Self {
                Self(value)
            }
            /// The number.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }
            /// Sum, or nothing on overflow.
            #[must_use]
            pub const fn checked_add(self, other: u64) -> Option<Self> {
                match self.0.checked_add(other) {
                    Some(value) => Some(Self(value)),
                    None => None,
                }
            }
            /// Sum that stops at the largest value; for counters and heights.
            #[must_use]
            pub const fn saturating_add(self, other: u64) -> Self {
                Self(self.0.saturating_add(other))
            }
            /// Difference that stops at zero.
            #[must_use]
            pub const fn saturating_sub(self, other: u64) -> Self {
                Self(self.0.saturating_sub(other))
            }
            /// The next value.
            #[must_use]
            pub const fn next(self) -> Self {
                self.saturating_add(1)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

quantity!(
    /// Counts blocks; genesis is height 0, the first block height 1.
    Height
);
quantity!(
    /// Advances the model; step `s` starts from checkpoint `s`.
    Step
);
quantity!(
    /// Transactions already applied from an account.
    Nonce
);
quantity!(
    /// Names a run within its chain.
    RunId
);
quantity!(
    /// Tokens of value in their smallest unit.
    Amount
);
quantity!(
    /// A real number in millionths.
    Micro
);

impl Amount {
    /// Sum, or nothing on overflow.
    #[must_use]
    pub const fn plus(self, other: Self) -> Option<Self> {
        self.checked_add(other.0)
    }
    /// Difference, or nothing when `other` is larger.
    #[must_use]
    pub const fn minus(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }
}

impl Micro {
    /// One.
    pub const ONE: Self = Self(1_000_000);
}
