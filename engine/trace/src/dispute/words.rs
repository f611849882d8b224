//! What is said in a dispute: the claim, the moves, and where it stands.

use crate::program::{Encoding, GIVEN_COUNT, RESULTS_COUNT};
use crate::trace::Trace;
use crate::tree::{Name, Opening, Span};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// Most values of a fold that are shown at a time.
pub const VALUES_COUNT_MAX: u64 = 127;

/// What the step started from, and what the defendant says about its end.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Claim {
    /// What both know before; nothing for zeros, which nobody named. Of a step: weights, first and
    /// second moments. Of a reinforcement part: weights of the model that learns and of the one
    /// that drew the responses, and the sum of the parts before.
    pub given: [Option<Name>; GIVEN_COUNT],
    /// What it ended with, nothing for what nobody claims. Of a step: loss in millionths of a nat
    /// (an f64), first moments, second moments, weights. Of a reinforcement part: loss, sum.
    pub results: [Option<Name>; RESULTS_COUNT],
}

impl Claim {
    /// What who has this trace says.
    #[must_use]
    pub fn of(trace: &Trace) -> Self {
        let names = trace.names();
        let end = trace.program().table().end;
        Self {
            given: std::array::from_fn(|index| names.get(index).copied()),
            results: std::array::from_fn(|index| names.get(end + index).copied()),
        }
    }
}

/// The name of a loss of so many millionths of a nat, as a step's result.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "losses are far below 2^53; a lie that is not stays one"
)]
pub fn loss_name(micro: i64) -> Name {
    let bytes = Encoding::Double.encode(micro as f64);
    *blake3::hash(&bytes).as_bytes()
}

/// Which file is walked through.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum File {
    /// The names of all tensors between start and end.
    Table,
    /// The tensor at this place of the program.
    Tensor(u32),
}

/// One number: a tensor's place in the program, and an index.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Number {
    /// Place of the tensor.
    pub place: u32,
    /// Index in it.
    pub index: u64,
}

/// A stretch of a fold: what it came to before and after some of its steps.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Stretch {
    /// Steps before it.
    pub from: u64,
    /// Steps until its end.
    pub to: u64,
    /// Bits of the value before; nothing at the fold's start, which is itself defined.
    pub before: Option<u64>,
    /// Bits of the value at the end.
    pub after: u64,
}

/// What the referee is to compute.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// A map that the defendant says gives these bits.
    Map(u64),
    /// A fold without steps.
    Start(u64),
    /// One step of a fold.
    Step(Stretch),
}

/// Where a dispute is.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The defendant owes the table's name.
    Table,
    /// The challenger owes: the table, or a result.
    Which,
    /// The defendant owes the names below a span, or the bytes of a piece.
    Below {
        /// Of what.
        file: File,
        /// Which part.
        span: Span,
        /// Its name.
        name: Name,
    },
    /// The challenger owes the first wrong one.
    Choose {
        /// Of what.
        file: File,
        /// Which part.
        span: Span,
        /// Names of the spans below it.
        names: Vec<Name>,
    },
    /// The challenger owes the first wrong entry of a piece.
    Pick {
        /// Of what.
        file: File,
        /// Which piece.
        span: Span,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// The defendant owes values of a fold.
    Fold {
        /// Which number.
        number: Number,
        /// Between what.
        stretch: Stretch,
    },
    /// The challenger owes the first wrong one.
    Cut {
        /// Which number.
        number: Number,
        /// Between what.
        stretch: Stretch,
        /// Bits of the values at [`Stretch::cuts`].
        values: Vec<u64>,
    },
    /// The challenger owes the places of the tensors that are read.
    Ask {
        /// Which number.
        number: Number,
        /// What is computed.
        operation: Operation,
    },
    /// The defendant owes their names, shown in its table.
    Entries {
        /// Which number.
        number: Number,
        /// What is computed.
        operation: Operation,
        /// Which tensors.
        places: Vec<u32>,
    },
    /// The challenger owes what is read.
    Show {
        /// Which number.
        number: Number,
        /// What is computed.
        operation: Operation,
        /// Names of the tensors that it asked for.
        names: Vec<(u32, Name)>,
    },
    /// Nobody owes anything.
    Over(Outcome),
}

/// How a dispute ended.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The operation gives something else than the defendant said.
    DefendantLied {
        /// Which number.
        number: Number,
        /// Bits that the defendant gave.
        claimed: u64,
        /// Bits that the operation gives.
        computed: u64,
    },
    /// The operation gives what the defendant said.
    ChallengerLied {
        /// Which number.
        number: Number,
        /// Its bits.
        claimed: u64,
    },
    /// They disagree about the batch, which is for those to say who know the task.
    Batch {
        /// Which number.
        number: Number,
        /// Bits that the defendant gave.
        claimed: u64,
    },
}

/// Who owes a move.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// Who took the step first.
    Defendant,
    /// Who took it again.
    Challenger,
}

/// A move of the defendant.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The table's name.
    Table(Name),
    /// The names below a span.
    Names(Vec<Name>),
    /// The bytes of a piece.
    Piece(Vec<u8>),
    /// Values of a fold at the cuts of a stretch, as their tensor's numbers are written.
    Values(Vec<u8>),
    /// Pieces of the table with the names of the tensors that were asked for.
    Entries(Vec<Opening>),
}

/// A move of the challenger.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// Something in the table is wrong.
    Table,
    /// The table is right, and this result is not.
    Result(u8),
    /// This span is the first that is wrong, this entry of a piece, or this stretch of a fold.
    First(u16),
    /// The tensors that the operation reads, ascending; of the table only, for all know the
    /// names of the others.
    Ask(Vec<u32>),
    /// What the operation reads: pieces of tensors, by their places.
    Show(Vec<(u32, Opening)>),
}

/// Why a move is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The other side's turn, or another kind of move.
    #[error("another move is due")]
    NotDue,
    /// Another number of names, bytes or values.
    #[error("the move has {found} entries; {needed} are due")]
    Count {
        /// In the move.
        found: u64,
        /// Due.
        needed: u64,
    },
    /// Names or bytes that do not give the name above.
    #[error("what is shown has another name than what was shown above it")]
    Name,
    /// An index beyond the last.
    #[error("index {index} is beyond the last of {count}")]
    Index {
        /// In the move.
        index: u64,
        /// How many there are.
        count: u64,
    },
    /// A result that nobody claims.
    #[error("result {index} is not claimed")]
    Unclaimed {
        /// Which.
        index: u8,
    },
    /// Something that is read is not shown, or not what the table names.
    #[error("what the operation reads is not all shown, or is not what was named")]
    NotShown,
}

impl Stretch {
    /// The numbers of steps after which the defendant is to show its value: all between, or
    /// evenly spaced ones.
    #[must_use]
    pub fn cuts(&self) -> Vec<u64> {
        let length = self.to - self.from;
        let count = (length - 1).min(VALUES_COUNT_MAX);
        let cut = |i: u64| {
            let offset = u128::from(length) * u128::from(i) / u128::from(count + 1);
            self.from + u64::try_from(offset).unwrap_or(length)
        };
        (1..=count).map(cut).collect()
    }
    /// The stretch that ends at cut `index`, or the last.
    pub(super) fn part(&self, index: usize, values: &[u64]) -> Self {
        let cuts = self.cuts();
        let (from, before) = match index.checked_sub(1) {
            None => (self.from, self.before),
            Some(last) => (cuts[last], Some(values[last])),
        };
        let end = cuts.get(index).zip(values.get(index));
        let (to, after) = end.map_or((self.to, self.after), |(cut, value)| (*cut, *value));
        Self {
            from,
            to,
            before,
            after,
        }
    }
}

impl Operation {
    /// Bits that the defendant gave.
    pub(super) const fn claimed(&self) -> u64 {
        match self {
            Self::Map(bits) | Self::Start(bits) => *bits,
            Self::Step(stretch) => stretch.after,
        }
    }
}
