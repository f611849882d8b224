//! How asking one provider can end badly.

/// How one peer failed to deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Peer id, or the hint if no peer was reached.
    pub peer: String,
    /// How it ended.
    pub error: AttemptError,
}

/// Why a provider is of no more use to a fetch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttemptError {
    /// The hint is neither a peer id nor an address.
    #[error("hint {hint:?} is neither a peer id nor a multiaddress")]
    Hint {
        /// What was given.
        hint: String,
    },
    /// No connection or no stream.
    #[error("cannot be reached: {reason}")]
    Unreachable {
        /// What the transport said.
        reason: String,
    },
    /// It does not have the blob.
    #[error("does not have the blob")]
    Absent,
    /// It has the blob with another size, so the size asked for is wrong or it lies.
    #[error("has the blob with another size")]
    OtherSize,
    /// It serves too many others.
    #[error("is busy")]
    Busy,
    /// It sent bytes that are not the blob's.
    #[error("sent bytes that do not hash to the blob, at {offset}")]
    Corrupt {
        /// Start of the chunk group or subtree that failed.
        offset: u64,
    },
    /// It answered something that is not a response.
    #[error("sent an unknown status {status}")]
    Status {
        /// The byte.
        status: u8,
    },
    /// It fell silent or was too slow.
    #[error("was too slow: one segment took longer than allowed")]
    Slow,
    /// The stream broke.
    #[error("stream broke: {reason}")]
    Broken {
        /// What the transport said.
        reason: String,
    },
    /// It is banned.
    #[error("is banned")]
    Banned,
}
