//! One fetch under way: who is asked, in which order, and what happens when they fail.
//!
//! A round asks the hinted peers first, then every connected peer, best reputation first, and
//! those whom the hash table names as they are found. Up to
//! [`WORKER_COUNT_MAX`](crate::limits::WORKER_COUNT_MAX) of them work segments off one queue. A
//! peer that fails returns its segment and is not asked again in the round; one that sent false
//! bytes is not asked again at all. When nobody is left, a new round starts after a pause, since
//! a provider may only just be connecting.

use super::{
    attempt::{Attempt, AttemptError},
    fetch::{FetchError, Fetcher, store_error},
    segments::Segments,
    worker::{Worker, WorkerError},
};
use crate::{
    handle::{Command, CommandSender},
    limits::{CANDIDATE_COUNT_MAX, DIAL_TIME_MAX, LOOKUP_TIME_MAX, WORKER_COUNT_MAX},
    reputation::Offence,
    store::PartialBlob,
};
use futures::{StreamExt as _, stream::FuturesUnordered};
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol, multiaddr::Protocol};
use protocol::BlobId;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::mpsc,
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

/// One fetch under way.
pub(super) struct Job<'a> {
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

impl<'a> Job<'a> {
    pub(super) fn new(
        fetcher: &'a Fetcher,
        id: BlobId,
        bytes: u64,
        hints: Vec<String>,
        partial: Arc<dyn PartialBlob>,
    ) -> Self {
        let segments = Arc::new(Segments::cut(partial.missing()));
        Self {
            fetcher,
            id,
            bytes,
            hints,
            partial,
            segments,
            liars: BTreeSet::new(),
            busy: false,
            attempts: BTreeMap::new(),
        }
    }
}

impl Job<'_> {
    /// Rounds until the blob is whole. A round that brought bytes, or that met a busy provider,
    /// does not count as a failure, the latter only so often.
    pub(super) async fn rounds(&mut self) -> Result<(), FetchError> {
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
