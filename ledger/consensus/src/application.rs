//! The port: what a ledger must offer to be ordered.

use crate::{Certificate, DoubleSign, validators::ValidatorSet};
use protocol::{BlockId, Height};

/// The largest block body any engine accepts, whatever the ledger's parameters say: it bounds
/// memory before the parameters of a height are known.
pub const BLOCK_BYTES_MAX: u32 = 4 * 1024 * 1024;

/// A replicated application: consensus orders opaque blocks, the application gives them meaning.
///
/// Calls come from one thread, one at a time, and may block. Everything but
/// [`propose`](Self::propose) must depend only on the committed blocks, so that honest nodes agree.
pub trait Application: Send + 'static {
    /// Height and identifier of the last committed block; height 0 before the first.
    fn tip(&self) -> (Height, BlockId);

    /// Parameters of a height. Asked for `tip + 1` only.
    fn params(&self, height: Height) -> HeightParams;

    /// Builds a block of at most `bytes_max` bytes on top of the tip, for this round.
    ///
    /// A body may say in which round it was built. Proposed again in a later one it stays what it
    /// is: the same bytes, the same identifier.
    ///
    /// # Errors
    /// When no block can be built now; the round then passes to the next proposer.
    fn propose(
        &mut self,
        height: Height,
        round: u32,
        bytes_max: u32,
        now_ms: u64,
    ) -> Result<Vec<u8>, ApplicationError>;

    /// Judges a block without committing it. Called with hostile bytes.
    ///
    /// `round` is the one in which it was proposed first, or, for a block that a peer says is
    /// decided, the one of its certificate. A body that says it was built in a later round is not
    /// valid.
    fn check(&mut self, height: Height, round: u32, block: &[u8]) -> Check;

    /// Commits a decided block; durable before it returns, and the tip afterwards.
    ///
    /// # Errors
    /// When the block cannot be made durable. The engine then stops: going on without the block
    /// would leave the ledger behind its own votes.
    fn commit(&mut self, block: &[u8], certificate: &Certificate) -> Result<(), ApplicationError>;

    /// A committed block with its certificate, for peers that catch up.
    fn block(&self, height: Height) -> Option<(Vec<u8>, Certificate)>;

    /// The lowest height [`block`](Self::block) still has.
    fn history_min(&self) -> Height;

    /// Receives proof that a validator signed two conflicting messages.
    fn evidence(&mut self, evidence: DoubleSign);
}

/// The application's judgement of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// The block may follow the tip; this is its identifier.
    Valid(BlockId),
    /// No honest proposer would have built it.
    Invalid {
        /// Why, for the log.
        reason: String,
    },
    /// It cannot be judged yet, for example because the tip is behind.
    Later,
}

/// Parameters under which one height is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeightParams {
    /// Who votes, with which power.
    pub validators: ValidatorSet,
    /// How long the steps of a round wait.
    pub timeouts: Timeouts,
    /// Time from the start of this height to the start of the next, also when the chain is idle.
    /// Zero means as fast as possible.
    pub block_interval_ms: u64,
    /// Largest block body; at most [`BLOCK_BYTES_MAX`].
    pub block_bytes_max: u32,
}

impl HeightParams {
    /// Default pace (200 ms, blocks of 1 MiB) with this validator set.
    #[must_use]
    pub fn new(validators: ValidatorSet) -> Self {
        Self {
            validators,
            timeouts: Timeouts::default(),
            block_interval_ms: 200,
            block_bytes_max: 1024 * 1024,
        }
    }
}

/// How long the steps of a round wait; each later round waits `round_extra_ms` more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For the proposal. Short, because an absent proposer costs this much.
    pub propose_ms: u64,
    /// For a decision among prevotes once two thirds have arrived.
    pub prevote_ms: u64,
    /// For a decision among precommits once two thirds have arrived.
    pub precommit_ms: u64,
    /// Before votes are sent again in a round that does not end.
    pub rebroadcast_ms: u64,
    /// Added to the first three per round, so that a slow network still meets.
    pub round_extra_ms: u64,
    /// No wait is longer.
    pub wait_ms_max: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            propose_ms: 1_000,
            prevote_ms: 500,
            precommit_ms: 250,
            rebroadcast_ms: 2_000,
            round_extra_ms: 250,
            wait_ms_max: 10_000,
        }
    }
}

/// Why the application could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplicationError {
    /// It cannot be done now but may work later; nothing is damaged.
    #[error("application cannot do this now: {reason}")]
    Unavailable {
        /// Fact and value.
        reason: String,
    },
    /// Storage failed or an invariant is broken; the node must stop.
    #[error("application failed: {reason}")]
    Failed {
        /// Fact and value.
        reason: String,
    },
}
