//! Fetching a blob: who is asked, in which order, and what happens when they fail.
//!
//! A round asks the hinted peers first, then every connected peer, best reputation first, and
//! those whom the hash table names as they are found. Up to
//! [`WORKER_COUNT_MAX`](crate::limits::WORKER_COUNT_MAX) of them work segments off one queue. A
//! peer that fails returns its segment and is not asked again in the round; one that sent false
//! bytes is not asked again at all. When nobody is left, a new round starts after a pause, since
//! a provider may only just be connecting.

use super::worker::{AttemptError, Segments, Worker, WorkerError};
use crate::{
    handle::{Command, CommandSender},
    limits::{
        BLOB_BYTES_MAX, CANDIDATE_COUNT_MAX, DIAL_TIME_MAX, FETCH_WAITING_MAX, FETCHING_COUNT_MAX,
        LOOKUP_TIME_MAX, WORKER_COUNT_MAX,
    },
    reputation::Offence,
    store::{BlobStore, PartialBlob, StoreError},
};
use futures::{
    FutureExt as _, StreamExt as _,
    future::{BoxFuture, Shared, WeakShared},
    stream::FuturesUnordered,
};
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol, multiaddr::Protocol};
use protocol::BlobId;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Semaphore, mpsc},
    task::spawn_blocking,
    time::{sleep, timeout},
};

/// Pauses between rounds, by how many failed in a row.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(3),
];
/// Rounds that may fail only because providers were busy.
const BUSY_COUNT_MAX: u32 = 600;

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

/// How one peer failed to deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Peer id, or the hint if no peer was reached.
    pub peer: String,
    /// How it ended.
    pub error: AttemptError,
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
    commands: CommandSender,
    control: libp2p_stream::Control,
    protocol: StreamProtocol,
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
        let segments = Arc::new(Segments::cut(partial.missing()));
        let mut job = Job {
            fetcher: &self,
            id,
            bytes,
            hints,
            partial: Arc::clone(&partial),
            segments,
            liars: BTreeSet::new(),
            busy: false,
            attempts: BTreeMap::new(),
        };
        job.rounds().await?;
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

fn store_error(id: BlobId, error: StoreError) -> FetchError {
    FetchError::Store {
        id,
        source: Arc::new(error),
    }
}

/// Someone who may have the blob.
#[derive(Debug, Clone)]
struct Source {
    peer: Option<PeerId>,
    address: Option<Multiaddr>,
}

impl Source {
    const fn peer(peer: PeerId) -> Self {
        Self {
            peer: Some(peer),
            address: None,
        }
    }

    fn parse(hint: &str) -> Option<Self> {
        if let Ok(peer) = hint.parse::<PeerId>() {
            return Some(Self::peer(peer));
        }
        let address = hint.parse::<Multiaddr>().ok()?;
        let peer = address.iter().find_map(|part| match part {
            Protocol::P2p(peer) => Some(peer),
            _ => None,
        });
        Some(Self {
            peer,
            address: Some(address),
        })
    }

    fn name(&self) -> String {
        match (&self.peer, &self.address) {
            (Some(peer), _) => peer.to_string(),
            (None, Some(address)) => address.to_string(),
            (None, None) => String::new(),
        }
    }
}

/// One fetch under way.
struct Job<'a> {
    fetcher: &'a Fetcher,
    id: BlobId,
    bytes: u64,
    hints: Vec<String>,
    partial: Arc<dyn PartialBlob>,
    segments: Arc<Segments>,
    liars: BTreeSet<PeerId>,
    /// Whether anyone said so in this round.
    busy: bool,
    attempts: BTreeMap<String, AttemptError>,
}

impl Job<'_> {
    /// Rounds until the blob is whole. A round that brought bytes, or that met a busy provider,
    /// does not count as a failure, the latter only so often.
    async fn rounds(&mut self) -> Result<(), FetchError> {
        let (mut failed_count, mut busy_count) = (0, 0);
        loop {
            let missing_bytes = self.segments.missing_bytes();
            self.busy = false;
            self.round().await?;
            if self.segments.all_done() {
                return Ok(());
            }
            if self.segments.missing_bytes() < missing_bytes {
                failed_count = 0;
            } else if self.busy && busy_count < BUSY_COUNT_MAX {
                busy_count += 1;
            } else {
                failed_count += 1;
            }
            let Some(pause) = PAUSES.get(failed_count) else {
                return Err(self.exhausted());
            };
            sleep(*pause).await;
        }
    }

    fn exhausted(&mut self) -> FetchError {
        let attempts = std::mem::take(&mut self.attempts).into_iter();
        let attempts = attempts
            .map(|(peer, error)| Attempt { peer, error })
            .collect();
        FetchError::Exhausted {
            id: self.id,
            attempts,
        }
    }

    /// Asks everyone known once, until the blob is whole or nobody is left.
    async fn round(&mut self) -> Result<(), FetchError> {
        let mut candidates = self.candidates().await?;
        let mut asked: BTreeSet<PeerId> = candidates.iter().filter_map(|c| c.peer).collect();
        let (sender, mut found) = mpsc::channel(CANDIDATE_COUNT_MAX);
        self.fetcher.commands.tell(Command::Providers {
            id: self.id,
            found: sender,
        });
        let mut looking = true;
        let mut useful = VecDeque::new();
        let mut workers = FuturesUnordered::new();
        while !self.segments.all_done() {
            while workers.len() < WORKER_COUNT_MAX && !self.segments.all_taken() {
                let Some(source) = candidates.pop_front().or_else(|| useful.pop_front()) else {
                    break;
                };
                workers.push(self.attempt(source));
            }
            self.segments
                .set_idle_count(candidates.len() + useful.len());
            if workers.is_empty() && !looking {
                return Ok(());
            }
            tokio::select! {
                Some((source, outcome)) = workers.next() => match outcome {
                    Ok(()) => useful.push_back(source),
                    Err(WorkerError::Store(error)) => return Err(store_error(self.id, error)),
                    Err(WorkerError::Peer(error)) => self.failed(&source, error),
                },
                next = found.recv(), if looking => match next {
                    Some(peer) if asked.len() < CANDIDATE_COUNT_MAX => {
                        if !self.liars.contains(&peer) && asked.insert(peer) {
                            candidates.push_back(Source::peer(peer));
                        }
                    }
                    _ => looking = false,
                },
                // The connected ones deserve another question while a lookup drags on.
                () = sleep(LOOKUP_TIME_MAX), if workers.is_empty() => return Ok(()),
            }
        }
        Ok(())
    }

    /// Hinted peers, then connected ones, each once and no known liars.
    async fn candidates(&mut self) -> Result<VecDeque<Source>, FetchError> {
        let mut sources = Vec::new();
        for hint in &self.hints {
            match Source::parse(hint) {
                Some(source) => sources.push(source),
                None => {
                    let hint: String = hint.chars().take(128).collect();
                    self.attempts
                        .insert(hint.clone(), AttemptError::Hint { hint });
                }
            }
        }
        let connected = self
            .fetcher
            .commands
            .ask(|reply| Command::Connected { reply })
            .await;
        let connected = connected.ok_or(FetchError::Stopped)?;
        sources.extend(connected.into_iter().map(Source::peer));
        let mut seen = self.liars.clone();
        sources.retain(|source| source.peer.is_none_or(|peer| seen.insert(peer)));
        sources.truncate(CANDIDATE_COUNT_MAX);
        Ok(sources.into())
    }

    /// Connects to one source and lets it work.
    fn attempt(
        &self,
        mut source: Source,
    ) -> impl Future<Output = (Source, Result<(), WorkerError>)> + Send + use<> {
        let commands = self.fetcher.commands.clone();
        let mut control = self.fetcher.control.clone();
        let protocol = self.fetcher.protocol.clone();
        let worker = Worker {
            id: self.id,
            bytes: self.bytes,
            partial: Arc::clone(&self.partial),
            segments: Arc::clone(&self.segments),
        };
        async move {
            let stream = open(&commands, &mut control, protocol, &mut source).await;
            let outcome = match (stream, source.peer) {
                (Ok(stream), Some(peer)) => {
                    let received = |bytes| commands.tell(Command::Received { peer, bytes });
                    worker.run(stream, &received).await
                }
                (Ok(_), None) => Ok(()),
                (Err(error), _) => Err(error.into()),
            };
            (source, outcome)
        }
    }

    fn failed(&mut self, source: &Source, error: AttemptError) {
        tracing::debug!(id = %self.id, peer = source.name(), %error, "provider failed");
        self.busy |= error == AttemptError::Busy;
        if let Some(peer) = source.peer {
            let offence = match error {
                AttemptError::Corrupt { .. } => Some(Offence::CorruptBlob),
                AttemptError::Status { .. } => Some(Offence::BlobResponse),
                AttemptError::Slow => Some(Offence::Slow),
                _ => None,
            };
            if matches!(offence, Some(Offence::CorruptBlob | Offence::BlobResponse)) {
                self.liars.insert(peer);
            }
            if let Some(offence) = offence {
                self.fetcher
                    .commands
                    .tell(Command::Offence { peer, offence });
            }
        }
        self.attempts.insert(source.name(), error);
    }
}

/// Opens a stream, connecting first when needed, and learns who is at an address.
async fn open(
    commands: &CommandSender,
    control: &mut libp2p_stream::Control,
    protocol: StreamProtocol,
    source: &mut Source,
) -> Result<Stream, AttemptError> {
    let unreachable = |reason: String| AttemptError::Unreachable { reason };
    let Source { peer, address } = source.clone();
    let connect = commands.ask(|reply| Command::Connect {
        peer,
        address,
        reply,
    });
    let peer = timeout(DIAL_TIME_MAX, connect)
        .await
        .map_err(|_| unreachable("dial took too long".to_owned()))?
        .ok_or_else(|| unreachable("the network was shut down".to_owned()))?
        .map_err(unreachable)?;
    source.peer = Some(peer);
    timeout(DIAL_TIME_MAX, control.open_stream(peer, protocol))
        .await
        .map_err(|_| unreachable("opening a stream took too long".to_owned()))?
        .map_err(|error| unreachable(error.to_string()))
}
