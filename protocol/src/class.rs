//! Classes of miners: how much an engine that is not the exact one may differ. Spec: tolerant.md.
//!
//! The exact engine has no noise, so its class has no table: every difference is proof. A miner on
//! another engine or in another precision draws from logits that are slightly off, and once in a
//! few hundred tokens draws another one. Its class says, in integers, how far honest work of that
//! engine was ever seen to differ, and at which distance work is void (no pay, no slash) and at
//! which it is proof of deceit. `cairn calibrate` measures a class; the genesis lists it; a miner
//! names its class when it registers, and an unlisted one is refused.
//!
//! Auditors always run the exact engine, so that all of them measure the same integers about one
//! payload, whoever computed it.

mod lifetime;

pub use lifetime::Lifetime;

use crate::{
    codec::{BoundedVec, Text},
    proof::toploc::Thresholds,
};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// Names a class; zero is the exact one.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(transparent)]
pub struct ClassId(u16);

impl ClassId {
    /// The engine of this software, bit for bit.
    pub const EXACT: Self = Self(0);

    /// The class with this number.
    #[must_use]
    pub const fn new(number: u16) -> Self {
        Self(number)
    }
    /// Its number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl std::fmt::Display for ClassId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A class as a unit is judged by it: a vote that changes the class does not change what was
/// assigned before.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Listed {
    /// Its number.
    pub id: ClassId,
    /// The version of the table in which its limits were set.
    pub version: u32,
}

/// What a measure says about the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Honest work of the class has it.
    Holds,
    /// Honest work was never seen to have it: no pay, and no accusation.
    Void,
    /// Far beyond what honest work has.
    Slash,
}

/// The most that holds, and the most that is not proof.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Above this the work is void.
    pub void: u64,
    /// Above this it is slashed; at least `void`.
    pub slash: u64,
}

impl Limits {
    /// What `measured` says.
    #[must_use]
    pub const fn level(&self, measured: u64) -> Level {
        if measured > self.slash {
            Level::Slash
        } else if measured > self.void {
            Level::Void
        } else {
            Level::Holds
        }
    }
}

/// Mean entropies of this many millionths of a nat share a cell.
pub const ENTROPY_BIN_MICRO: u64 = 250_000;
/// The last bin of entropies, which has no upper end.
pub const ENTROPY_BIN_MAX: u8 = 31;
/// Scores of a unit that the e-process tells apart: bit lengths of the mean clipped margin, which
/// is at most half a nat.
pub const SCORE_BINS_COUNT: usize = 20;

/// Most classes besides the exact one.
pub const CLASSES_COUNT_MAX: usize = 64;

/// Most cells of a class, so that it fits a transaction.
pub const CELLS_COUNT_MAX: usize = 128;

/// Units alike in length and entropy, and how far honest ones differ.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// Base-two logarithm of the unit's response tokens, rounded down.
    pub tokens_log2: u8,
    /// The unit's mean entropy in steps of [`ENTROPY_BIN_MICRO`].
    pub entropy_bin: u8,
    /// Honest units, and beginnings of longer ones, that were measured.
    pub units_count: u64,
    /// Σ min(Δ, C) over the unit's tokens, in millionths of a nat.
    pub clipped_sum_micro: Limits,
    /// Tokens that are not the exact engine's draw.
    pub mismatches_count: Limits,
}

/// One engine in one precision.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// Its number; not zero.
    pub id: ClassId,
    /// For people: engine, version, precision, processor.
    pub name: Text<64>,
    /// Honest units measured.
    pub units_count: u64,
    /// Honest response tokens measured.
    pub tokens_count: u64,
    /// The largest margin of any token, in millionths of a nat.
    pub margin_micro: Limits,
    /// C: what a single token adds to the sum at most, in millionths of a nat.
    pub clip_micro: u64,
    /// In ascending order of length and entropy.
    pub cells: BoundedVec<Cell, CELLS_COUNT_MAX>,
    /// What a unit of each score adds to the evidence against its miner, in millionths of a nat.
    pub evidence_micro: BoundedVec<i64, SCORE_BINS_COUNT>,
    /// The evidence of a miner's lifetime, in millionths of a nat: −ln of the error allowed.
    pub lifetime_micro: Limits,
    /// Distance of each proof's activations above which a unit is void.
    pub toploc: Thresholds,
    /// Distance of its projections above which a unit is void.
    pub projections: ProjectionLimits,
}

/// How far the projections of a unit may be from the exact ones. The distance of a token is the
/// sum of the squared differences of its eight bytes.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct ProjectionLimits {
    /// The most for any token.
    pub largest_max: u64,
    /// The most for all but a twentieth of the tokens.
    pub bulk_max: u64,
}

impl Class {
    /// The limits of units of that many tokens and that mean entropy. A unit unlike all that were
    /// measured has the widest of the class, and cannot be slashed by them.
    #[must_use]
    pub fn cell(&self, tokens_count: u64, entropy_micro: u64) -> Cell {
        let tokens_log2 = tokens_log2(tokens_count);
        let entropy_bin = entropy_bin(entropy_micro);
        let cells = self.cells.as_slice();
        let alike =
            |cell: &&Cell| (cell.tokens_log2, cell.entropy_bin) == (tokens_log2, entropy_bin);
        if let Some(cell) = cells.iter().find(alike) {
            return *cell;
        }
        let widest = |limits: fn(&Cell) -> Limits| Limits {
            void: cells
                .iter()
                .map(|cell| limits(cell).void)
                .max()
                .unwrap_or(0),
            slash: u64::MAX,
        };
        Cell {
            tokens_log2,
            entropy_bin,
            units_count: 0,
            clipped_sum_micro: widest(|cell| cell.clipped_sum_micro),
            mismatches_count: widest(|cell| cell.mismatches_count),
        }
    }

    /// What a unit adds to the evidence against its miner. A score that the table does not have
    /// counts as its last.
    #[must_use]
    pub fn evidence_micro(&self, clipped_sum_micro: u64, tokens_count: u64) -> i64 {
        let table = self.evidence_micro.as_slice();
        let bin = score_bin(clipped_sum_micro, tokens_count).min(table.len().saturating_sub(1));
        table.get(bin).copied().unwrap_or(0)
    }
}

/// The length of a unit as a cell has it.
#[must_use]
pub fn tokens_log2(tokens_count: u64) -> u8 {
    tokens_count
        .checked_ilog2()
        .map_or(0, |log| u8::try_from(log).unwrap_or(u8::MAX))
}

/// The mean entropy of a unit as a cell has it.
#[must_use]
pub fn entropy_bin(entropy_micro: u64) -> u8 {
    let bin = u8::try_from(entropy_micro / ENTROPY_BIN_MICRO).unwrap_or(u8::MAX);
    bin.min(ENTROPY_BIN_MAX)
}

/// The score of a unit: the bit length of its mean clipped margin in millionths of a nat.
#[must_use]
pub fn score_bin(clipped_sum_micro: u64, tokens_count: u64) -> usize {
    let mean = clipped_sum_micro.checked_div(tokens_count).unwrap_or(0);
    let bits = mean.checked_ilog2().map_or(0, |log| log as usize + 1);
    bits.min(SCORE_BINS_COUNT - 1)
}

/// All classes but the exact one, which is always there.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct ClassTable {
    /// Counts its changes.
    pub version: u32,
    /// In ascending order of their numbers.
    pub classes: BoundedVec<Class, CLASSES_COUNT_MAX>,
}

/// Why a table is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClassTableError {
    /// Numbers that repeat, fall, or name the exact class.
    #[error("class {} stands at position {index}; numbers ascend from 1", .id.get())]
    Order {
        /// Position in the table.
        index: usize,
        /// The number found there.
        id: ClassId,
    },
    /// A limit for slashing below that for voiding.
    #[error("class {} slashes for {what} above {slash} and voids above {void}", .id.get())]
    Limits {
        /// The class.
        id: ClassId,
        /// What is limited.
        what: &'static str,
        /// Its limit for voiding.
        void: u64,
        /// Its limit for slashing.
        slash: u64,
    },
    /// Cells that repeat or fall.
    #[error("cell {index} of class {} is not above the one before", .id.get())]
    Cells {
        /// The class.
        id: ClassId,
        /// Position of the cell.
        index: usize,
    },
    /// A table without room.
    #[error("{CLASSES_COUNT_MAX} classes are listed; at most {CLASSES_COUNT_MAX} can be")]
    Full,
    /// Too little measured to say anything.
    #[error("class {} was measured on {tokens_count} tokens; {TOKENS_COUNT_MIN} are needed", .id.get())]
    Tokens {
        /// The class.
        id: ClassId,
        /// Tokens measured.
        tokens_count: u64,
    },
}

/// Honest tokens without which a class says nothing.
pub const TOKENS_COUNT_MIN: u64 = 1_000_000;

impl ClassTable {
    /// Checks that the table means something.
    ///
    /// # Errors
    /// The first class that does not.
    pub fn check(&self) -> Result<(), ClassTableError> {
        let mut before = ClassId::EXACT;
        for (index, class) in self.classes.as_slice().iter().enumerate() {
            let id = class.id;
            if id <= before {
                return Err(ClassTableError::Order { index, id });
            }
            before = id;
            class.check()?;
        }
        Ok(())
    }

    /// The class with this number; nothing for the exact one and for those not listed.
    #[must_use]
    pub fn class(&self, id: ClassId) -> Option<&Class> {
        self.classes.as_slice().iter().find(|class| class.id == id)
    }

    /// Whether miners may register with this class.
    #[must_use]
    pub fn lists(&self, id: ClassId) -> bool {
        id == ClassId::EXACT || self.class(id).is_some()
    }
}

impl Class {
    /// Checks that its limits mean something, and that it is not the exact one.
    ///
    /// # Errors
    /// What does not.
    pub fn check(&self) -> Result<(), ClassTableError> {
        let id = self.id;
        if id == ClassId::EXACT {
            return Err(ClassTableError::Order { index: 0, id });
        }
        check_class(self)
    }
}

fn check_class(class: &Class) -> Result<(), ClassTableError> {
    let id = class.id;
    let tokens_count = class.tokens_count;
    if tokens_count < TOKENS_COUNT_MIN {
        return Err(ClassTableError::Tokens { id, tokens_count });
    }
    let whole = [
        ("margins", class.margin_micro),
        ("evidence", class.lifetime_micro),
    ];
    let cells = class.cells.as_slice();
    let sums = cells.iter().map(|cell| ("sums", cell.clipped_sum_micro));
    let counts = cells
        .iter()
        .map(|cell| ("mismatches", cell.mismatches_count));
    for (what, Limits { void, slash }) in whole.into_iter().chain(sums).chain(counts) {
        if slash < void {
            return Err(ClassTableError::Limits {
                id,
                what,
                void,
                slash,
            });
        }
    }
    let place = |cell: &Cell| (cell.tokens_log2, cell.entropy_bin);
    let pairs = cells.iter().zip(cells.iter().skip(1));
    match pairs.enumerate().find(|(_, (a, b))| place(a) >= place(b)) {
        Some((index, _)) => Err(ClassTableError::Cells {
            id,
            index: index + 1,
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
