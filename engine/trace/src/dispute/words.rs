//! What is said in a dispute: the claim, the moves, and where it stands.

use crate::program::{Encoding, GIVEN_COUNT, RESULTS_COUNT};
use crate::trace::Trace;
use crate::tree::{Name, Opening, Span};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// Most values of a fold that are shown at a time.
pub const VALUES_COUNT_MAX: u64 = 127;
/// Most numbers that an operation is said to read: more than any of a model that is disputed.
pub const OPERANDS_COUNT_MAX: usize = 3072;

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
    /// The challenger owes the first wrong part of the table, or a result.
    Which {
        /// Names of the spans below the table's.
        names: Vec<Name>,
    },
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
    /// The defendant owes the numbers that are read.
    Read {
        /// Which number.
        number: Number,
        /// What is computed.
        operation: Operation,
    },
    /// The challenger owes one of them that is not what its tensor has, or else that they do not
    /// give what the defendant said.
    Show {
        /// Which number.
        number: Number,
        /// What is computed.
        operation: Operation,
        /// Bits of what is read, in the order in which it is, as f64; zeros where none are left.
        operands: Vec<u64>,
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
    /// The operation gives something else than the defendant said; or a number that it reads is
    /// another in the tensor that the defendant had named.
    DefendantLied {
        /// Which number: what the operation gives, or what it reads.
        number: Number,
        /// Bits that the defendant gave.
        claimed: u64,
        /// Bits that the operation gives, or that the tensor has.
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
    /// The names below the table's, which give its own.
    Table(Vec<Name>),
    /// The names below a span.
    Names(Vec<Name>),
    /// The bytes of a piece.
    Piece(Vec<u8>),
    /// Values of a fold at the cuts of a stretch, as their tensor's numbers are written.
    Values(Vec<u8>),
    /// What an operation reads, as bits of f64, in the order in which it is read.
    Operands(Vec<u64>),
}

/// A move of the challenger.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// The table is right, and this result is not.
    Result(u8),
    /// This span is the first that is wrong, this entry of a piece, or this stretch of a fold.
    First(u16),
    /// A number that the operation reads is another; or, with nothing, what the defendant says
    /// that it reads does not give what it says that it gives.
    Show(Option<Box<Shown>>),
}

/// A number that an operation reads, as it is in its tensor.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Shown {
    /// Which of them, in the order in which they are read.
    pub index: u16,
    /// The piece of the table with its tensor's name, below a span that both agree about; nothing
    /// where everybody knows the name.
    pub entry: Option<Opening>,
    /// The piece of the tensor.
    pub piece: Opening,
}

/// What of the table both agree about: everything before the first wrong entry.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Agreed {
    /// Spans of it with their names.
    pub spans: Vec<(Span, Name)>,
    /// Places of tensors with their names.
    pub entries: Vec<(u32, Name)>,
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
    /// The stretch that ends at cut `index`, or the last, by the values at the cuts; the stretch
    /// itself where there are other numbers of those.
    #[must_use]
    pub fn part(&self, index: usize, values: &[u64]) -> Self {
        let cuts = self.cuts();
        let (from, before) = match index.checked_sub(1) {
            None => (self.from, self.before),
            Some(last) => match cuts.get(last).zip(values.get(last)) {
                Some((cut, value)) => (*cut, Some(*value)),
                None => return *self,
            },
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
