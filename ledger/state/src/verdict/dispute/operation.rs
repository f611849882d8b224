//! What a dispute comes down to, for people.

use borsh::{BorshDeserialize, BorshSerialize};
use engine_trace::Tensor;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a dispute came down to, computed by the chain.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(tag = "operation", rename_all = "kebab-case")]
pub enum Operation {
    /// A number of a step's trace.
    Number {
        /// The inner step.
        inner_step: u32,
        /// Its tensor.
        tensor: Tensor,
        /// Index in it.
        index: u64,
        /// Bits that the miner gave.
        claimed: u64,
        /// Bits that they must be.
        computed: u64,
    },
    /// A block of the update.
    Update {
        /// Its index.
        block: u32,
        /// Whether it is what the weights give, or the sum.
        is_right: bool,
    },
    /// The square of a value of a reinforcement unit's sum, taken into its lane.
    Square {
        /// The value's index.
        index: u64,
        /// Bits of what its miner says that the lane has come to.
        claimed: u64,
        /// Bits of what it comes to.
        computed: u64,
    },
    /// A chunk of a sparse update by itself: whether it sends the values that its miner says.
    Chunk {
        /// Its index.
        chunk: u32,
        /// Whether it does.
        is_right: bool,
    },
    /// A value of a sparse update: whether what is sent leaves room for it.
    Value {
        /// Its index.
        index: u64,
        /// Bits of what the weights and earlier losses give.
        computed: u32,
        /// Whether it does.
        is_right: bool,
    },
    /// A value of what a sparse update lost.
    Lost {
        /// Its index.
        index: u64,
        /// Bits that the miner bound.
        claimed: u32,
        /// Bits that they must be.
        computed: u32,
    },
    /// An entry of a plan: whether it follows from the one before it and from its group.
    Entry {
        /// Its place.
        place: u64,
        /// Whether it does.
        is_right: bool,
    },
}

impl Operation {
    /// Whether the miner had it right.
    #[must_use]
    pub const fn is_right(&self) -> bool {
        match self {
            Self::Number {
                claimed, computed, ..
            }
            | Self::Square {
                claimed, computed, ..
            } => *claimed == *computed,
            Self::Lost {
                claimed, computed, ..
            } => *claimed == *computed,
            Self::Update { is_right, .. }
            | Self::Chunk { is_right, .. }
            | Self::Value { is_right, .. }
            | Self::Entry { is_right, .. } => *is_right,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number {
                inner_step,
                tensor,
                index,
                claimed,
                computed,
            } => {
                let number = |bits| tensor.kind.encoding().show(bits);
                let (claimed, computed) = (number(*claimed), number(*computed));
                let is = if self.is_right() {
                    format!("is {computed}, as its miner says")
                } else {
                    format!("is {computed}; its miner says {claimed}")
                };
                write!(
                    f,
                    "number {index} of {tensor} in inner step {inner_step} {is}"
                )
            }
            Self::Update { block, is_right } => {
                let is = if *is_right { "is" } else { "is not" };
                write!(
                    f,
                    "block {block} of the update {is} what the unit's last state gives"
                )
            }
            Self::Chunk { chunk, is_right } => {
                let is = if *is_right { "sends" } else { "does not send" };
                write!(
                    f,
                    "chunk {chunk} of the update {is} the values that its miner says"
                )
            }
            Self::Value {
                index,
                computed,
                is_right,
            } => {
                let is = if *is_right { "is" } else { "is not" };
                let computed = f32::from_bits(*computed);
                write!(
                    f,
                    "value {index} of the update is {computed}, which its chunk {is} right about"
                )
            }
            Self::Entry { place, is_right } => {
                let is = if *is_right { "is" } else { "is not" };
                write!(f, "entry {place} of the plan {is} what its group gives")
            }
            Self::Square {
                index,
                claimed,
                computed,
            } => {
                let bits = [*claimed, *computed].map(f64::from_bits);
                let is = as_said(self.is_right(), bits);
                write!(f, "with value {index} its lane of squares comes to {is}")
            }
            Self::Lost {
                index,
                claimed,
                computed,
            } => {
                let bits = [*claimed, *computed].map(f32::from_bits);
                let is = as_said(self.is_right(), bits);
                write!(f, "of value {index} the update lost {is}")
            }
        }
    }
}

/// What a miner said of a number, beside what it is.
fn as_said(is_right: bool, [claimed, computed]: [impl fmt::Display; 2]) -> String {
    if is_right {
        format!("{computed}, as its miner says")
    } else {
        format!("{computed}; its miner says {claimed}")
    }
}
