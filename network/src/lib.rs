//! Carries: gossip, discovery and verified blob transfer over libp2p.
//!
//! # What it is for
//!
//! Transactions are small and everyone needs them: they are gossiped. Blobs (rollouts,
//! pseudo-gradients, checkpoints) are large and few need each: they are fetched by name from
//! whoever has them. The name is the plain BLAKE3 hash of the bytes, so nobody has to be trusted
//! with anything but their own time.
//!
//! # How it flows
//!
//! [`Network::start`] listens and dials, and returns a [`NetworkHandle`] and a bounded queue of
//! [`NetworkEvent`]s. One task, the driver, owns the swarm; it never blocks and never waits for
//! the node.
//!
//! 1. *Gossip.* A received transaction goes to the node with a token. Only after
//!    [`NetworkHandle::judge`] says [`Judgement::Accept`] does it travel on, so what is malformed
//!    dies at its first honest hop. [`Judgement::Reject`] blames the peer that passed it on. A node
//!    that meets a peer also asks it for the transactions of the last minute.
//! 2. *Discovery.* Bootstrap addresses are redialled for ever. Peers say where they listen, go
//!    into the Kademlia table and into `<home>/peers`, and are dialled until there are enough.
//! 3. *Blobs.* [`NetworkHandle::fetch`] asks hinted peers, then connected ones, then those whom the
//!    hash table names, several at once, each for segments of at most one megabyte. Every chunk
//!    group of 16 KiB is verified as it arrives. What was verified survives crashes.
//! 4. *Reputation.* Malformed, oversized, false and slow all cost points; at 100 the peer is
//!    disconnected and banned for a while.
//!
//! Everything has a bound; all of them are in [`limits`].
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use network::{FolderStore, Judgement, Network, NetworkConfig, NetworkEvent};
//! use std::sync::Arc;
//!
//! let store = Arc::new(FolderStore::open("home/blobs")?);
//! let config = NetworkConfig {
//!     signing_seed: [7; 32],
//!     listen: vec!["/ip4/0.0.0.0/tcp/7070".to_owned()],
//!     bootstrap: vec!["/ip4/192.0.2.1/tcp/7070".to_owned()],
//!     home: "home".into(),
//!     chain: "cairn-test".to_owned(),
//! };
//! let (network, mut events) = Network::start(config, store.clone()).await?;
//! let id = store.insert(b"a rollout")?;
//! network.provide(id).await;
//! network.publish_transaction(b"I computed it".to_vec()).await?;
//! while let Some(event) = events.recv().await {
//!     if let NetworkEvent::Transaction { bytes, token } = event {
//!         let judgement = if bytes.len() < 4 { Judgement::Reject } else { Judgement::Accept };
//!         network.judge(token, judgement).await;
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod address_book;
mod behaviour;
mod blob;
mod driver;
mod error;
mod event;
mod handle;
mod host;
pub mod limits;
mod recent;
mod reputation;
mod start;
mod store;
mod topic;

#[doc(hidden)]
pub use blob::hostile;
pub use blob::{
    attempt::{Attempt, AttemptError},
    fetch::FetchError,
};
pub use error::{PublishError, StartError};
pub use event::{Judgement, MessageToken, NetworkEvent, PeerStatus};
pub use handle::{NetworkHandle, Traffic};
pub use libp2p::PeerId;
pub use reputation::Offence;
pub use start::{Network, NetworkConfig};
pub use store::{BlobRead, BlobStore, CHUNK_GROUP_BYTES, FolderStore, PartialBlob, StoreError};
