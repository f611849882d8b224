//! One provider's part in a fetch: take segments from the shared queue until it is empty.

use super::{
    attempt::AttemptError,
    segments::{InProgress, Segments},
    wire::{Request, Status, chunks, tree},
};
use crate::{
    limits::{SEGMENT_TIME_MAX, SEGMENT_TIME_SHARED, SILENCE_MAX},
    store::{PartialBlob, StoreError},
};
use bao_tree::io::{
    BaoContentItem, DecodeError,
    fsm::{ResponseDecoder, ResponseDecoderNext},
};
use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use iroh_io::AsyncStreamReader;
use libp2p::Stream;
use protocol::BlobId;
use std::{io, ops::Range, sync::Arc};
use tokio::{
    task::spawn_blocking,
    time::{Duration, Instant, sleep, timeout},
};

/// Verified bytes gathered before they are handed to the disk.
const BATCH_BYTES: usize = 256 * 1024;

/// What ends a worker early.
#[derive(Debug)]
pub(super) enum WorkerError {
    Peer(AttemptError),
    Store(StoreError),
}

impl From<AttemptError> for WorkerError {
    fn from(error: AttemptError) -> Self {
        Self::Peer(error)
    }
}

/// Works segments off the queue over one stream; a failed segment's rest goes back.
pub(super) struct Worker {
    pub(super) id: BlobId,
    pub(super) bytes: u64,
    pub(super) partial: Arc<dyn PartialBlob>,
    pub(super) segments: Arc<Segments>,
}

impl Worker {
    pub(super) async fn run(
        &self,
        mut stream: Stream,
        received: &(dyn Fn(u64) + Sync),
    ) -> Result<(), WorkerError> {
        while let Some(segment) = self.segments.take() {
            let mut progress = InProgress {
                segments: &self.segments,
                received,
                rest: segment,
            };
            stream = tokio::select! {
                stream = self.segment(stream, &mut progress) => stream?,
                () = self.patience() => return Err(AttemptError::Slow.into()),
            };
            self.store(|partial| partial.save_progress()).await?;
        }
        // The provider sees the end of the stream either way.
        drop(stream.close().await);
        Ok(())
    }

    /// Ends when a segment has taken too long: much sooner if someone else could take over.
    async fn patience(&self) {
        sleep(SEGMENT_TIME_SHARED).await;
        let rest = SEGMENT_TIME_MAX.saturating_sub(SEGMENT_TIME_SHARED);
        let deadline = Instant::now() + rest;
        while Instant::now() < deadline && !self.segments.has_idle() {
            sleep(Duration::from_millis(250)).await;
        }
    }

    async fn segment(
        &self,
        mut stream: Stream,
        progress: &mut InProgress<'_>,
    ) -> Result<Stream, WorkerError> {
        let Range { start, end } = progress.rest;
        let request = Request {
            id: self.id,
            bytes: self.bytes,
            start,
            end,
        };
        stream.write_all(&request.encode()).await.map_err(broken)?;
        stream.flush().await.map_err(broken)?;
        let mut reader = Reader { stream };
        let [status] = reader.read::<1>().await.map_err(broken)?;
        match Status::decode(status) {
            Some(Status::Follows) => {}
            Some(Status::Absent) => return Err(AttemptError::Absent.into()),
            Some(Status::OtherSize) => return Err(AttemptError::OtherSize.into()),
            Some(Status::Busy) => return Err(AttemptError::Busy.into()),
            None => return Err(AttemptError::Status { status }.into()),
        }
        let hash = blake3::Hash::from(*self.id.as_bytes());
        let mut decoder = ResponseDecoder::new(hash, chunks(start..end), tree(self.bytes), reader);
        let mut batch = Vec::new();
        let outcome = loop {
            match decoder.next().await {
                ResponseDecoderNext::Done(reader) => break Ok(reader.stream),
                ResponseDecoderNext::More((next, item)) => {
                    decoder = next;
                    match item {
                        Ok(BaoContentItem::Parent(_)) => {}
                        Ok(BaoContentItem::Leaf(leaf)) => batch.extend_from_slice(&leaf.data),
                        Err(error) => break Err(attempt_error(error)),
                    }
                }
            }
            if batch.len() >= BATCH_BYTES {
                self.flush(&mut batch, progress).await?;
            }
        };
        self.flush(&mut batch, progress).await?;
        Ok(outcome?)
    }

    /// Writes verified bytes, which always continue where the segment's done part ends.
    async fn flush(
        &self,
        batch: &mut Vec<u8>,
        progress: &mut InProgress<'_>,
    ) -> Result<(), WorkerError> {
        if batch.is_empty() {
            return Ok(());
        }
        let (offset, bytes) = (progress.rest.start, std::mem::take(batch));
        let count = bytes.len() as u64;
        self.store(move |partial| partial.write(offset, &bytes))
            .await?;
        progress.rest.start += count;
        self.segments.arrived(count);
        (progress.received)(count);
        Ok(())
    }

    async fn store<F>(&self, work: F) -> Result<(), WorkerError>
    where
        F: FnOnce(&dyn PartialBlob) -> Result<(), StoreError> + Send + 'static,
    {
        let partial = Arc::clone(&self.partial);
        match spawn_blocking(move || work(partial.as_ref())).await {
            Ok(done) => done.map_err(WorkerError::Store),
            Err(error) => Err(AttemptError::Broken {
                reason: error.to_string(),
            }
            .into()),
        }
    }
}

fn broken(error: io::Error) -> AttemptError {
    match error.kind() {
        io::ErrorKind::TimedOut => AttemptError::Slow,
        _ => AttemptError::Broken {
            reason: error.to_string(),
        },
    }
}

fn attempt_error(error: DecodeError) -> AttemptError {
    match error {
        DecodeError::ParentHashMismatch(node) => AttemptError::Corrupt {
            offset: node.chunk_range().start.to_bytes(),
        },
        DecodeError::LeafHashMismatch(chunk) => AttemptError::Corrupt {
            offset: chunk.to_bytes(),
        },
        DecodeError::ParentNotFound(_) | DecodeError::LeafNotFound(_) => AttemptError::Broken {
            reason: "ended early".to_owned(),
        },
        DecodeError::Io(error) => broken(error),
    }
}

/// A stream as `bao-tree` reads it; silence is an error.
struct Reader {
    stream: Stream,
}

impl AsyncStreamReader for Reader {
    async fn read_bytes(&mut self, length: usize) -> io::Result<bytes::Bytes> {
        let mut buffer = vec![0; length];
        timeout(SILENCE_MAX, self.stream.read_exact(&mut buffer)).await??;
        Ok(buffer.into())
    }

    async fn read<const LENGTH: usize>(&mut self) -> io::Result<[u8; LENGTH]> {
        let mut buffer = [0; LENGTH];
        timeout(SILENCE_MAX, self.stream.read_exact(&mut buffer)).await??;
        Ok(buffer)
    }
}
