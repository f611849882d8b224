//! The provider's side of the hash tree: computed once per blob, kept in a bounded cache.

use super::wire::{Request, Status, chunks, tree};
use crate::{
    limits::OUTBOARD_CACHE_BYTES,
    store::{BlobRead, BlobStore, StoreError},
};
use bao_tree::io::{
    outboard::PreOrderMemOutboard,
    sync::{encode_ranges_validated, outboard},
};
use protocol::BlobId;
use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, PoisonError},
};

/// What a provider sends back.
#[derive(Debug)]
pub(super) enum Answer {
    Encoded(Vec<u8>),
    Refusal(Status),
}

/// Hash trees of recently served blobs, least recently used first.
#[derive(Debug, Default)]
pub(super) struct Outboards {
    recent: Mutex<VecDeque<(BlobId, Arc<PreOrderMemOutboard>)>>,
    /// One of these, by the blob's first byte, is held while its tree is computed, so that a
    /// burst of requests hashes the blob once.
    computing: [Mutex<()>; 16],
}

impl Outboards {
    /// Encodes the requested range. Blocks on the disk: call it from a blocking thread.
    pub(super) fn answer(
        &self,
        store: &dyn BlobStore,
        request: &Request,
    ) -> Result<Answer, StoreError> {
        let Some(blob) = store.open(&request.id)? else {
            return Ok(Answer::Refusal(Status::Absent));
        };
        if blob.bytes() != request.bytes {
            return Ok(Answer::Refusal(Status::OtherSize));
        }
        let Some(outboard) = self.of(&request.id, &blob)? else {
            store.remove(&request.id)?;
            return Ok(Answer::Refusal(Status::Absent));
        };
        let mut encoded = Vec::new();
        let source = Source(blob.as_ref());
        let ranges = chunks(request.start..request.end);
        if encode_ranges_validated(source, outboard.as_ref(), &ranges, &mut encoded).is_ok() {
            return Ok(Answer::Encoded(encoded));
        }
        // Either the disk failed or the file changed under us: the next request looks afresh.
        tracing::warn!(id = %request.id, "blob could not be encoded from disk");
        self.forget(&request.id);
        Ok(Answer::Refusal(Status::Absent))
    }

    /// The blob's hash tree, or nothing when the file is not the blob it is named after.
    fn of(
        &self,
        id: &BlobId,
        blob: &Arc<dyn BlobRead>,
    ) -> Result<Option<Arc<PreOrderMemOutboard>>, StoreError> {
        if let Some(cached) = self.cached(id) {
            return Ok(Some(cached));
        }
        let lock = &self.computing[usize::from(id.as_bytes()[0] % 16)];
        let _computing = lock.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cached) = self.cached(id) {
            return Ok(Some(cached));
        }
        let computed = compute(blob.as_ref()).map_err(|e| StoreError::from_io("blob", e))?;
        if computed.root.as_bytes() != id.as_bytes() {
            tracing::error!(%id, found = %computed.root, "stored blob is corrupt");
            return Ok(None);
        }
        let computed = Arc::new(computed);
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.push_back((*id, Arc::clone(&computed)));
        let mut cached_bytes: usize = recent.iter().map(|(_, tree)| tree.data.len()).sum();
        while cached_bytes > OUTBOARD_CACHE_BYTES && recent.len() > 1 {
            cached_bytes -= recent.pop_front().map_or(0, |(_, tree)| tree.data.len());
        }
        Ok(Some(computed))
    }

    fn cached(&self, id: &BlobId) -> Option<Arc<PreOrderMemOutboard>> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let index = recent.iter().position(|(cached, _)| cached == id)?;
        let entry = recent.remove(index)?;
        let outboard = Arc::clone(&entry.1);
        recent.push_back(entry);
        Some(outboard)
    }

    fn forget(&self, id: &BlobId) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|(cached, _)| cached != id);
    }
}

fn compute(blob: &dyn BlobRead) -> io::Result<PreOrderMemOutboard> {
    let tree = tree(blob.bytes());
    let length = usize::try_from(tree.outboard_size()).map_err(io::Error::other)?;
    let mut computed = PreOrderMemOutboard {
        root: blake3::Hash::from([0; 32]),
        tree,
        data: vec![0; length],
    };
    let reader = io::BufReader::with_capacity(256 * 1024, Sequential { blob, position: 0 });
    computed.root = outboard(reader, tree, &mut computed)?;
    Ok(computed)
}

/// Reads a blob from start to end.
struct Sequential<'a> {
    blob: &'a dyn BlobRead,
    position: u64,
}

impl io::Read for Sequential<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = Source(self.blob).read_at(self.position, buffer)?;
        self.position += count as u64;
        Ok(count)
    }
}

/// A blob as `bao-tree` reads it.
struct Source<'a>(&'a dyn BlobRead);

impl Source<'_> {
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.0.bytes().saturating_sub(position);
        let count = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        self.0
            .read_at(position, &mut buffer[..count])
            .map_err(io::Error::other)?;
        Ok(count)
    }
}

impl bao_tree::io::sync::ReadAt for Source<'_> {
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        Source::read_at(self, position, buffer)
    }
}
