//! Why the network did not start, or did not take a message.

use std::{io, path::PathBuf};

/// Why the network did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Not a multiaddress.
    #[error("{text:?} is not a multiaddress like /ip4/0.0.0.0/tcp/7070: {reason}")]
    Address {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Another program listens there.
    #[error("address {address} is in use")]
    AddressInUse {
        /// The address.
        address: String,
    },
    /// The operating system or the transport refuses to listen there.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: String,
        /// What it said.
        reason: String,
    },
    /// The name cannot be part of a protocol name.
    #[error("chain name {name:?} needs 1 to 64 letters, digits, dots, dashes or underscores")]
    ChainName {
        /// What was given.
        name: String,
    },
    /// The home folder cannot be used.
    #[error("cannot access {}: {source}", path.display())]
    Home {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The libraries below refuse our settings.
    #[error("transport cannot be set up: {reason}")]
    Transport {
        /// What they said.
        reason: String,
    },
}

/// Why a message was not taken for publishing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// Over the topic's limit.
    #[error("message has {bytes} bytes; {limit_bytes} are allowed")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// The network was shut down.
    #[error("the network was shut down")]
    Stopped,
}
