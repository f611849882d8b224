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
        /// Whether it is what the weights give.
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
            } => *claimed == *computed,
            Self::Update { is_right, .. } => *is_right,
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
                write!(f, "block {block} of the update {is} what the weights give")
            }
        }
    }
}
