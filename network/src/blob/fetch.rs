//! Fetching blobs: one transfer per blob however many ask for it, a bounded number at once.

use super::{attempt::Attempt, job::Job};
use crate::{
    handle::CommandSender,
    limits::{BLOB_BYTES_MAX, FETCH_WAITING_MAX, FETCHING_COUNT_MAX},
    store::{BlobStore, PartialBlob, StoreError},
};
use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared, WeakShared},
};
use libp2p::StreamProtocol;
use protocol::BlobId;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{sync::Semaphore, task::spawn_blocking};

/// Why a blob did not arrive.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The size asked for is over the limit.
    #[error("blob {id} has {bytes} bytes; at most {BLOB_BYTES_MAX} are fetched")]
    TooLarge {
        /// The blob.
        id: BlobId,
        /// The size asked for.
        bytes: u64,
    },
    /// Too many fetches are waiting already.
    #[error("{FETCH_WAITING_MAX} fetches are waiting already")]
    TooMany,
    /// Nobody delivered the rest.
    #[error("blob {id} was not delivered by any of {} peers{}", attempts.len(), Attempts(attempts))]
    Exhausted {
        /// The blob.
        id: BlobId,
        /// Who was asked, and how each ended.
        attempts: Vec<Attempt>,
    },
    /// The local store failed.
    #[error("blob {id} could not be stored: {source}")]
    Store {
        /// The blob.
        id: BlobId,
        /// What failed.
        source: Arc<StoreError>,
    },
    /// The network was shut down.
    #[error("the network was shut down")]
    Stopped,
}

struct Attempts<'a>(&'a [Attempt]);

impl fmt::Display for Attempts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Attempt { peer, error }) in self.0.iter().enumerate() {
            write!(f, "{} {peer} {error}", if index == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

type Running = Shared<BoxFuture<'static, Result<(), FetchError>>>;
type RunningWeak = WeakShared<BoxFuture<'static, Result<(), FetchError>>>;

/// Runs fetches: one per blob however many ask for it, a bounded number at once.
pub(crate) struct Fetcher {
    store: Arc<dyn BlobStore>,
    pub(super) commands: CommandSender,
    pub(super) control: libp2p_stream::Control,
    pub(super) protocol: StreamProtocol,
    slots: Semaphore,
    waiting: Semaphore,
    running: Mutex<BTreeMap<(BlobId, u64), RunningWeak>>,
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher")
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}

impl Fetcher {
    pub(crate) fn new(
        store: Arc<dyn BlobStore>,
        commands: CommandSender,
        control: libp2p_stream::Control,
        protocol: StreamProtocol,
    ) -> Self {
        Self {
            store,
            commands,
            control,
            protocol,
            slots: Semaphore::new(FETCHING_COUNT_MAX),
            waiting: Semaphore::new(FETCH_WAITING_MAX),
            running: Mutex::default(),
        }
    }

    /// Joins the running fetch of this blob or starts one. Dropping every such future stops the
    /// fetch; what was verified stays on disk.
    pub(crate) async fn fetch(
        self: &Arc<Self>,
        id: BlobId,
        bytes: u64,
        hints: Vec<String>,
    ) -> Result<(), FetchError> {
        let running = self.join(id, bytes, hints);
        let outcome = running.await;
        let mut all = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, weak| {
            weak.upgrade()
                .is_some_and(|running| running.peek().is_none())
        });
        outcome
    }

    fn join(self: &Arc<Self>, id: BlobId, bytes: u64, hints: Vec<String>) -> Running {
        let mut all = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = all.get(&(id, bytes)).and_then(WeakShared::upgrade) {
            return running;
        }
        let fetcher = Arc::clone(self);
        let running = async move { fetcher.run(id, bytes, hints).await }
            .boxed()
            .shared();
        all.extend(running.downgrade().map(|weak| ((id, bytes), weak)));
        running
    }

    async fn run(
        self: Arc<Self>,
        id: BlobId,
        bytes: u64,
        hints: Vec<String>,
    ) -> Result<(), FetchError> {
        if bytes > BLOB_BYTES_MAX {
            return Err(FetchError::TooLarge { id, bytes });
        }
        let _waiting = self
            .waiting
            .try_acquire()
            .map_err(|_| FetchError::TooMany)?;
        let _slot = self
            .slots
            .acquire()
            .await
            .map_err(|_| FetchError::Stopped)?;
        let store = Arc::clone(&self.store);
        let Some(partial) = blocking(id, move || begin(store.as_ref(), &id, bytes)).await? else {
            return Ok(());
        };
        Job::new(&self, id, bytes, hints, Arc::clone(&partial))
            .rounds()
            .await?;
        blocking(id, move || partial.commit()).await
    }
}

/// The partial blob to fill, or nothing when the blob is already here.
fn begin(
    store: &dyn BlobStore,
    id: &BlobId,
    bytes: u64,
) -> Result<Option<Arc<dyn PartialBlob>>, StoreError> {
    match store.open(id)? {
        Some(_) => Ok(None),
        None => store.begin(id, bytes).map(Some),
    }
}

/// Runs disk work off the async threads.
async fn blocking<T, F>(id: BlobId, work: F) -> Result<T, FetchError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, StoreError> + Send + 'static,
{
    match spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| store_error(id, error)),
        Err(_) => Err(FetchError::Stopped),
    }
}

pub(super) fn store_error(id: BlobId, error: StoreError) -> FetchError {
    FetchError::Store {
        id,
        source: Arc::new(error),
    }
}
