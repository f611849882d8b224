//! The two gossip topics.

use crate::limits::{ANNOUNCEMENT_BYTES_MAX, TRANSACTION_BYTES_MAX};
use libp2p::gossipsub::{IdentTopic, TopicHash};

/// What a gossip message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topic {
    Transactions,
    Announcements,
}

impl Topic {
    pub(crate) const ALL: [Self; 2] = [Self::Transactions, Self::Announcements];

    pub(crate) const fn bytes_max(self) -> usize {
        match self {
            Self::Transactions => TRANSACTION_BYTES_MAX,
            Self::Announcements => ANNOUNCEMENT_BYTES_MAX,
        }
    }

    /// The topic's name on the wire; each chain has its own.
    pub(crate) fn name(self, chain: &str) -> IdentTopic {
        IdentTopic::new(match self {
            Self::Transactions => format!("/cairn/{chain}/transactions/1"),
            Self::Announcements => format!("/cairn/{chain}/announcements/1"),
        })
    }

    pub(crate) fn of(hash: &TopicHash, chain: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|topic| topic.name(chain).hash() == *hash)
    }
}
