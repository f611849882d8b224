//! How a history went.

use std::collections::BTreeMap;

/// How a history went that violated nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Of everything that happened.
    pub trace: [u8; 32],
    /// Blocks that were agreed.
    pub blocks: u64,
    /// Transactions in them.
    pub transactions: u64,
    /// Events that happened.
    pub events: u64,
    /// Processes that were started.
    pub starts: u64,
    /// Heights whose validator set was another than the one before.
    pub sets_changed: u64,
    /// States that nodes took of others.
    pub states_taken: u64,
    /// Validators that were started again with another key.
    pub rotated: u64,
    /// Of both, those whose key helped to decide a later block.
    pub signed_again: u64,
    /// Blocks that nodes dropped.
    pub dropped: u64,
    /// How often a process ended before which effect.
    pub ends: BTreeMap<&'static str, u64>,
    /// Virtual milliseconds.
    pub took_ms: u64,
    /// Milliseconds after the faults until all were ahead.
    pub recovered_ms: u64,
    /// Liars that the chain found out.
    pub found_out: usize,
    /// Whether liars came to a third of the power, so that the history was ended early.
    pub is_void: bool,
}
