//! Every bound of the network in one place.

use std::time::Duration;

/// Largest transaction that is gossiped.
pub const TRANSACTION_BYTES_MAX: usize = 64 * 1024;
/// Largest announcement that is gossiped.
pub const ANNOUNCEMENT_BYTES_MAX: usize = 4 * 1024;
/// Largest blob that is fetched or served.
pub const BLOB_BYTES_MAX: u64 = 64 << 30;
/// Largest range one blob request may name.
pub const SEGMENT_BYTES_MAX: u64 = 1024 * 1024;

/// What a gossip frame may weigh before the transport itself cuts the stream; between the
/// message limit and this, an oversized message is still seen, so that its sender is counted.
pub(crate) const FRAME_BYTES_MAX: usize = 256 * 1024;

/// Events waiting for the node; when full, gossip is dropped (and not forwarded).
pub(crate) const EVENT_COUNT_MAX: usize = 1024;
/// Commands waiting for the driver.
pub(crate) const COMMAND_COUNT_MAX: usize = 1024;
/// Messages kept for a first subscriber.
pub(crate) const OUTBOX_COUNT_MAX: usize = 256;

/// Transactions kept for peers that were away.
pub(crate) const RECENT_COUNT_MAX: usize = 512;
/// What they may weigh together.
pub(crate) const RECENT_BYTES_MAX: usize = 1024 * 1024;
/// How long they are kept: about as long as gossip remembers what it saw.
pub(crate) const RECENT_TIME_MAX: Duration = Duration::from_secs(60);
/// Newly met peers that are asked what we missed, per [`RECENT_TIME_MAX`].
pub(crate) const PULL_COUNT_MAX: usize = 16;

/// Blobs this node names itself a provider of.
pub(crate) const PROVIDED_COUNT_MAX: usize = 4096;
/// Provider queries in flight at once.
pub(crate) const ANNOUNCING_COUNT_MAX: usize = 16;
/// Provider records kept for others.
pub(crate) const RECORD_COUNT_MAX: usize = 64 * 1024;
/// Provider records taken from one peer per half hour, the time after which they are renewed.
pub(crate) const RECORDS_PER_PEER_MAX: u32 = 4096;
/// Provider lookups in flight at once.
pub(crate) const LOOKUP_COUNT_MAX: usize = 64;

/// Connections that this node tries to keep by dialling known addresses.
pub(crate) const PEER_COUNT_TARGET: usize = 16;
/// Connections accepted.
pub(crate) const INCOMING_COUNT_MAX: u32 = 96;
/// Connections made.
pub(crate) const OUTGOING_COUNT_MAX: u32 = 64;
/// Connections with one peer; simultaneous dials make two.
pub(crate) const PER_PEER_COUNT_MAX: u32 = 4;
/// Peers connected from one public network address.
pub(crate) const PER_HOST_COUNT_MAX: usize = 16;
/// Bans from one public network address before the whole address is refused.
pub(crate) const HOST_BAN_COUNT_MAX: u32 = 4;
/// Dials in flight at once.
pub(crate) const PENDING_COUNT_MAX: u32 = 64;
/// Addresses remembered per peer.
pub(crate) const ADDRESS_COUNT_MAX: usize = 8;
/// Peers remembered in the `peers` file.
pub(crate) const BOOK_COUNT_MAX: usize = 1024;
/// Peers whose behaviour is remembered.
pub(crate) const REPUTATION_COUNT_MAX: usize = 4096;

/// Blob streams served at once, to everyone together.
pub(crate) const SERVING_COUNT_MAX: usize = 32;
/// Blob streams served at once to one peer.
pub(crate) const SERVING_PER_PEER_MAX: usize = 16;
/// Hash trees kept in memory for serving.
pub(crate) const OUTBOARD_CACHE_BYTES: usize = 64 * 1024 * 1024;

/// Blobs fetched at once; further fetches wait.
pub(crate) const FETCHING_COUNT_MAX: usize = 16;
/// Fetches that may wait; further ones are refused.
pub(crate) const FETCH_WAITING_MAX: usize = 1024;
/// Peers one fetch talks to at once.
pub(crate) const WORKER_COUNT_MAX: usize = 6;
/// Peers one fetch asks in all, per round.
pub(crate) const CANDIDATE_COUNT_MAX: usize = 64;

/// How long a peer may stay silent inside an exchange.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(10);
/// How long one segment may take.
pub(crate) const SEGMENT_TIME_MAX: Duration = Duration::from_secs(60);
/// How long one segment may take while another provider has nothing to do.
pub(crate) const SEGMENT_TIME_SHARED: Duration = Duration::from_secs(4);
/// How long a fetch waits for the hash table alone before it asks connected peers again.
pub(crate) const LOOKUP_TIME_MAX: Duration = Duration::from_secs(3);
/// How long a served stream may rest between requests.
pub(crate) const STREAM_IDLE_MAX: Duration = Duration::from_secs(30);
/// How long an unused connection is kept.
pub(crate) const IDLE_TIME_MAX: Duration = Duration::from_secs(600);
/// How long a dial may take.
pub(crate) const DIAL_TIME_MAX: Duration = Duration::from_secs(10);
