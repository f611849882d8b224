//! The node's end of the network: cheap to clone, usable from any task.

use crate::{
    blob::fetch::{FetchError, Fetcher},
    error::PublishError,
    event::{Judgement, MessageToken, PeerStatus},
    reputation::Offence,
    topic::Topic,
};
use libp2p::{Multiaddr, PeerId};
use protocol::BlobId;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio::sync::{mpsc, oneshot};

/// What the driver can be asked to do.
#[derive(Debug)]
pub(crate) enum Command {
    Publish {
        topic: Topic,
        bytes: Vec<u8>,
    },
    Judge {
        token: MessageToken,
        judgement: Judgement,
    },
    Provide {
        id: BlobId,
    },
    StopProviding {
        id: BlobId,
    },
    Connected {
        reply: oneshot::Sender<Vec<PeerId>>,
    },
    Connect {
        peer: Option<PeerId>,
        address: Option<Multiaddr>,
        reply: oneshot::Sender<Result<PeerId, String>>,
    },
    Providers {
        id: BlobId,
        found: mpsc::Sender<PeerId>,
    },
    Peers {
        reply: oneshot::Sender<Vec<PeerStatus>>,
    },
    Missed {
        peer: PeerId,
        bytes: Vec<u8>,
    },
    Offence {
        peer: PeerId,
        offence: Offence,
    },
    Received {
        peer: PeerId,
        bytes: u64,
    },
    Sent {
        peer: PeerId,
        bytes: u64,
    },
    Shutdown {
        reply: oneshot::Sender<()>,
    },
}

/// Blob bytes that went through this node since it started, with all peers together.
#[derive(Debug, Clone, Default)]
pub struct Traffic(Arc<Totals>);

#[derive(Debug, Default)]
struct Totals {
    received_bytes: AtomicU64,
    sent_bytes: AtomicU64,
}

impl Traffic {
    /// Verified blob bytes that peers sent.
    #[must_use]
    pub fn received_bytes(&self) -> u64 {
        self.0.received_bytes.load(Ordering::Relaxed)
    }
    /// Encoded blob bytes that were sent to peers.
    #[must_use]
    pub fn sent_bytes(&self) -> u64 {
        self.0.sent_bytes.load(Ordering::Relaxed)
    }
    fn count(&self, command: &Command) {
        let (total, bytes) = match command {
            Command::Received { bytes, .. } => (&self.0.received_bytes, bytes),
            Command::Sent { bytes, .. } => (&self.0.sent_bytes, bytes),
            _ => return,
        };
        total.fetch_add(*bytes, Ordering::Relaxed);
    }
}

/// The bounded way to the driver.
#[derive(Debug, Clone)]
pub(crate) struct CommandSender {
    pub(crate) queue: mpsc::Sender<Command>,
    traffic: Traffic,
}

impl CommandSender {
    pub(crate) fn new(queue: mpsc::Sender<Command>) -> Self {
        Self {
            queue,
            traffic: Traffic::default(),
        }
    }

    /// Sends without waiting; a full queue loses the message, which only statistics, judgements
    /// and lookups can afford.
    pub(crate) fn tell(&self, command: Command) {
        self.traffic.count(&command);
        if let Err(error) = self.queue.try_send(command) {
            tracing::debug!(%error, "network command dropped");
        }
    }

    /// Sends and waits for the answer; nothing if the driver is gone.
    pub(crate) async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.queue.send(command(reply)).await.ok()?;
        answer.await.ok()
    }
}

/// Speaks to a running network. When the last clone is dropped the network stops.
#[derive(Debug, Clone)]
pub struct NetworkHandle {
    pub(crate) commands: CommandSender,
    pub(crate) fetcher: Arc<Fetcher>,
    pub(crate) local_peer: PeerId,
    pub(crate) listen_addresses: Arc<[Multiaddr]>,
    /// The driver notices when every clone of this is gone.
    pub(crate) _alive: Arc<oneshot::Sender<()>>,
}

impl NetworkHandle {
    /// This node's peer id, made from its signing key.
    #[must_use]
    pub const fn local_peer(&self) -> PeerId {
        self.local_peer
    }

    /// Where this node listens, with real ports and its peer id: what others bootstrap from.
    #[must_use]
    pub fn listen_addresses(&self) -> Vec<String> {
        let peer = libp2p::multiaddr::Protocol::P2p(self.local_peer);
        self.listen_addresses
            .iter()
            .map(|a| a.clone().with(peer.clone()).to_string())
            .collect()
    }

    /// Gossips a transaction. It is not delivered back to this node. With no peer connected yet
    /// it is kept (up to a bound) and sent when the first one subscribes.
    ///
    /// # Errors
    /// When it is over [`TRANSACTION_BYTES_MAX`](crate::limits::TRANSACTION_BYTES_MAX) or the
    /// network was shut down.
    pub async fn publish_transaction(&self, bytes: Vec<u8>) -> Result<(), PublishError> {
        self.publish(Topic::Transactions, bytes).await
    }

    /// Gossips an announcement, as [`NetworkHandle::publish_transaction`] does.
    ///
    /// # Errors
    /// When it is over [`ANNOUNCEMENT_BYTES_MAX`](crate::limits::ANNOUNCEMENT_BYTES_MAX) or the
    /// network was shut down.
    pub async fn publish_announcement(&self, bytes: Vec<u8>) -> Result<(), PublishError> {
        self.publish(Topic::Announcements, bytes).await
    }

    async fn publish(&self, topic: Topic, bytes: Vec<u8>) -> Result<(), PublishError> {
        let limit_bytes = topic.bytes_max();
        if bytes.len() > limit_bytes {
            return Err(PublishError::TooLarge {
                bytes: bytes.len(),
                limit_bytes,
            });
        }
        let sent = self
            .commands
            .queue
            .send(Command::Publish { topic, bytes })
            .await;
        sent.map_err(|_| PublishError::Stopped)
    }

    /// Says what a received message is worth. Only accepted ones travel on; do it within seconds,
    /// since the gossip cache forgets.
    pub async fn judge(&self, token: MessageToken, judgement: Judgement) {
        // A stopped network has nothing left to forward.
        drop(
            self.commands
                .queue
                .send(Command::Judge { token, judgement })
                .await,
        );
    }

    /// Tells the hash table that this node has a blob. Blobs in the store when the network
    /// starts are provided without asking.
    pub async fn provide(&self, id: BlobId) {
        // A stopped network provides nothing.
        drop(self.commands.queue.send(Command::Provide { id }).await);
    }

    /// Stops renewing the claim to have a blob.
    pub async fn stop_providing(&self, id: BlobId) {
        // A stopped network provides nothing.
        drop(
            self.commands
                .queue
                .send(Command::StopProviding { id })
                .await,
        );
    }

    /// Brings a blob of a known size into the store; ready when it is whole and verified.
    ///
    /// Hints are peer ids or multiaddresses; they are asked first, then connected peers and those
    /// the hash table names. Several callers may wait for the same blob. Dropping the future
    /// stops the transfer and keeps what was verified.
    ///
    /// # Errors
    /// Says who was asked and how each failed, or what the store refused.
    pub async fn fetch(
        &self,
        id: BlobId,
        bytes: u64,
        hints: Vec<String>,
    ) -> Result<(), FetchError> {
        self.fetcher.fetch(id, bytes, hints).await
    }

    /// Blob bytes that went through this node, as they are counted.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.commands.traffic.clone()
    }

    /// Connected peers, ascending by peer id; empty after shutdown.
    pub async fn peers(&self) -> Vec<PeerStatus> {
        self.commands
            .ask(|reply| Command::Peers { reply })
            .await
            .unwrap_or_default()
    }

    /// Closes every connection and remembers the peers. Returns when it is done.
    pub async fn shutdown(&self) {
        // No answer means that the network had stopped already.
        self.commands
            .ask(|reply| Command::Shutdown { reply })
            .await
            .unwrap_or_default();
    }
}
