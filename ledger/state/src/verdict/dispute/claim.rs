//! What is said in a dispute about a unit, before and besides the game about one step.

use super::rollouts::{Response, Token};
use borsh::{BorshDeserialize, BorshSerialize};
use engine_trace::{
    dispute::{self, Answer, Question},
    tree::{Name, Opening},
};
use protocol::{
    codec::{Bytes, TooMany, encode},
    gradient::State,
    transaction::MOVE_BYTES_MAX,
};
use serde::{Deserialize, Serialize};

/// A move in a dispute.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Move {
    /// The miner shows where the inner steps of the segment led.
    Steps(Steps),
    /// The miner answers in the game about one step, or shows more of the file of what the update
    /// lost.
    Answer(Answer),
    /// The challenger says that this step of the segment, by its index, is the first that is
    /// wrong: its loss, or where it led.
    Wrong(u32),
    /// The challenger shows that a block of the update is not what the weights give.
    Update(Box<Proof>),
    /// The challenger asks in the game about one step, or points into the file of what the update
    /// lost.
    Question(Question),
    /// The challenger says that a chunk of a sparse update is not what it follows from.
    Chunk(Box<Claimed>),
    /// The miner says which values the chunk sends, as bits, in order.
    Values(Vec<u32>),
    /// The challenger shows a value: of the chunk, one that cannot be where it is; of the piece of
    /// what the update lost, one that it did not lose.
    Value(Box<Shown>),
    /// The challenger says that what the miner bound is not what the update lost.
    Feedback,
    /// Of a part of a reinforcement unit, the miner names its plan and its table.
    Plan(Box<Planned>),
    /// The challenger says that the plan is wrong.
    WrongPlan,
    /// The miner shows the bytes of a piece of its plan.
    Entries(Box<Entries>),
    /// The challenger shows responses of the group of the first wrong entry, from the first that
    /// was not shown yet.
    Responses(Vec<Response>),
    /// The challenger asks in the game about a part, with what of the plan tells what it asks.
    Asked(Box<Asked>),
    /// The challenger shows the token of the row to which it pointed.
    Token(Box<Token>),
    /// The challenger shows a block of a reinforcement unit's update that its sum does not give.
    Block(Box<Block>),
    /// The miner says sums of squares of its sum, as bits: the lanes, or values of a lane's fold.
    Sums(Vec<u64>),
    /// The challenger shows the piece of the sum with the value whose square is taken in.
    Square(Box<Opening>),
}

/// Where the inner steps of a segment led.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Steps {
    /// The states after each step but the last, after which the segment's end is known.
    pub states: Vec<State>,
    /// Pieces of the blob that hold the losses of the steps.
    pub losses: Vec<Opening>,
}

/// What shows that a block of the update is wrong.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Proof {
    /// Index of the block.
    pub block: u32,
    /// Pieces of the blob that hold its bytes.
    pub blob: Vec<Opening>,
    /// The piece of the checkpoint's weights that it comes from.
    pub before: Opening,
    /// The piece of the unit's last weights.
    pub after: Opening,
}

/// A block of a reinforcement unit's update, and what it comes from.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Block {
    /// Index of the block.
    pub block: u32,
    /// Pieces of the blob that hold its bytes.
    pub blob: Vec<Opening>,
    /// The piece of the sum that the unit ends with.
    pub sum: Opening,
}

/// A chunk of a sparse update, as it is in the blob.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Claimed {
    /// Index of the chunk.
    pub chunk: u32,
    /// Pieces of the blob that hold its bytes.
    pub blob: Vec<Opening>,
}

/// What shows a value that a sparse update follows from.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Shown {
    /// Its index in the chunk or piece that is disputed.
    pub index: u16,
    /// The piece of the checkpoint's weights that it comes from.
    pub before: Opening,
    /// The piece of the unit's last weights.
    pub after: Opening,
    /// The piece of what updates lost before; nothing where that is zeros.
    pub lost: Option<Opening>,
    /// Where the file of what the update lost is disputed, pieces of the blob that hold the bytes
    /// of the value's chunk.
    pub blob: Vec<Opening>,
}

/// What the miner says of its plan, and of the table that follows from it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Planned {
    /// The plan's name.
    pub plan: Name,
    /// Where in it the part begins and where it ends.
    pub ends: [u32; 2],
    /// Pieces of it with these entries and the last.
    pub entries: Vec<Opening>,
    /// The names below that of the table of the part's numbers.
    pub table: Vec<Name>,
}

/// A piece of a plan, on the way down to its first wrong entry.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Entries {
    /// The piece's bytes.
    pub bytes: Vec<u8>,
    /// The piece before it, where there is one: its last entry comes before the first of this.
    pub before: Option<Opening>,
}

/// A question in the game about a part.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Asked {
    /// The question.
    pub question: Question,
    /// Pieces of the plan, with entries of the sequences that it is about.
    pub entries: Vec<Opening>,
}

/// What the miner says of one inner step.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Taken {
    /// The state after it.
    pub state: State,
    /// Its loss in millionths of a nat, as in the blob.
    pub loss_micro: i64,
}

impl Move {
    /// The bytes that a transaction carries.
    ///
    /// # Errors
    /// When they are too many, which those of a lawful move never are.
    pub fn encode(&self) -> Result<Bytes<MOVE_BYTES_MAX>, TooMany> {
        Bytes::new(encode(self))
    }
    /// Reads a move; nothing where the bytes are none.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        Self::try_from_slice(bytes).ok()
    }
}

/// Why a move is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not the encoding of a move.
    #[error("bytes are no move")]
    Encoding,
    /// Another kind of move.
    #[error("another kind of move is due")]
    NotDue,
    /// Another number of states.
    #[error("{found} states are shown; the segment has {needed} between its steps")]
    States {
        /// In the move.
        found: usize,
        /// Between the steps.
        needed: u32,
    },
    /// A state that is not after its step, or shows no moments.
    #[error("state {index} is not one after {steps_count} inner steps with moments")]
    State {
        /// Its index.
        index: usize,
        /// Inner steps that it must be after.
        steps_count: u32,
    },
    /// Pieces that are not of the files that they should be of, or do not hold what they must.
    #[error("a piece is missing, or is not of its file")]
    Piece,
    /// A step or block beyond the last.
    #[error("index {index} is beyond the last of {count}")]
    Index {
        /// In the move.
        index: u64,
        /// How many there are.
        count: u64,
    },
    /// Another number of values than are due.
    #[error("{found} values are stated; {needed} are due")]
    Values {
        /// In the move.
        found: usize,
        /// As many as a chunk sends, or as there are lanes or cuts.
        needed: usize,
    },
    /// A response that is not of its rollout unit, or not whole.
    #[error("a response is missing, or is not of its rollout unit")]
    Response,
    /// By the rules of the game about one step.
    #[error(transparent)]
    Game(#[from] dispute::Refused),
}
