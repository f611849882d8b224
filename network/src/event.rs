//! What the network tells the node, and what the node tells it back.

use crate::reputation::Offence;
use libp2p::{PeerId, gossipsub::MessageId};
use std::sync::Arc;

/// Something the node should know. The queue is bounded: a node that does not read it loses
/// gossip, never memory.
#[derive(Debug)]
#[non_exhaustive]
pub enum NetworkEvent {
    /// A transaction arrived. It goes no further until the node judges it.
    Transaction {
        /// Its bytes, within the size limit and otherwise unchecked.
        bytes: Vec<u8>,
        /// What [`NetworkHandle::judge`](crate::NetworkHandle::judge) wants back.
        token: MessageToken,
    },
    /// An announcement arrived. It goes no further until the node judges it.
    Announcement {
        /// Its bytes, within the size limit and otherwise unchecked.
        bytes: Vec<u8>,
        /// What [`NetworkHandle::judge`](crate::NetworkHandle::judge) wants back.
        token: MessageToken,
    },
    /// A first connection with this peer stands.
    PeerConnected {
        /// The peer.
        peer: PeerId,
        /// Where it is.
        address: String,
    },
    /// The last connection with this peer ended.
    PeerDisconnected {
        /// The peer.
        peer: PeerId,
    },
    /// This peer's offences added up; it is disconnected and refused for a while.
    PeerBanned {
        /// The peer.
        peer: PeerId,
        /// The last of them.
        offence: Offence,
    },
}

/// Names one received gossip message until it is judged.
#[derive(Debug, Clone)]
pub struct MessageToken {
    pub(crate) origin: Origin,
    pub(crate) source: PeerId,
    /// The message, if those who missed it should get it from us.
    pub(crate) transaction: Option<Arc<[u8]>>,
}

/// How a message came.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// By gossip, which holds it back until it is judged.
    Gossip(MessageId),
    /// By asking a peer what we missed.
    Pulled,
}

impl MessageToken {
    /// The peer that handed us the message, not necessarily its author.
    #[must_use]
    pub const fn source(&self) -> PeerId {
        self.source
    }
}

/// What the node found a gossip message to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// Good: pass it on.
    Accept,
    /// No honest peer would have passed this on: drop it and blame the peer that did.
    Reject,
    /// Useless here and now, but not the peer's fault (old, known, or ahead of our state).
    Ignore,
}

/// One connected peer.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerStatus {
    /// Who.
    pub peer: PeerId,
    /// Where; for a peer that dialled us, the address it came from.
    pub address: String,
    /// Gossip score, our penalty points included: 0 is neutral, negative is suspect.
    pub score: f64,
    /// How many of our gossip topics it takes part in.
    pub topic_count: usize,
    /// Malformed or false things it sent, ever.
    pub malformed_count: u64,
    /// Verified blob bytes it sent us.
    pub received_bytes: u64,
    /// Encoded blob bytes we sent it.
    pub sent_bytes: u64,
}
