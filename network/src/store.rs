//! Where blobs rest: the port the network needs, and its folder implementation.
//!
//! A blob is visible in a store only when it is whole and its hash was checked. What is still
//! arriving lives apart, behind [`PartialBlob`], with a record of the chunk groups already
//! verified, so that a crash costs at most the last few megabytes.

mod folder;
mod partial;

pub use folder::FolderStore;

use protocol::BlobId;
use std::{fmt, io, ops::Range, path::PathBuf, sync::Arc};

/// Bytes in one chunk group: the unit of verification and of resumption.
pub const CHUNK_GROUP_BYTES: u64 = 16 * 1024;

/// A content-addressed store as the network sees it.
pub trait BlobStore: fmt::Debug + Send + Sync + 'static {
    /// Opens a complete blob, or says that it is absent.
    ///
    /// # Errors
    /// When the disk cannot be read.
    fn open(&self, id: &BlobId) -> Result<Option<Arc<dyn BlobRead>>, StoreError>;

    /// Stores bytes in hand and names them.
    ///
    /// # Errors
    /// When the disk is full or cannot be written.
    fn insert(&self, bytes: &[u8]) -> Result<BlobId, StoreError>;

    /// Starts or resumes the arrival of a blob of a known size.
    ///
    /// # Errors
    /// When the disk fails, or the same blob is already arriving.
    fn begin(&self, id: &BlobId, bytes: u64) -> Result<Arc<dyn PartialBlob>, StoreError>;

    /// Forgets a blob. Absent blobs are fine.
    ///
    /// # Errors
    /// When the disk cannot be written.
    fn remove(&self, id: &BlobId) -> Result<(), StoreError>;

    /// Up to `count_max` complete blobs.
    ///
    /// # Errors
    /// When the disk cannot be read.
    fn list(&self, count_max: usize) -> Result<Vec<BlobId>, StoreError>;
}

/// A complete blob, open for reading at any offset from any thread.
pub trait BlobRead: fmt::Debug + Send + Sync {
    /// Size in bytes.
    fn bytes(&self) -> u64;

    /// Fills `buffer` from `offset`.
    ///
    /// # Errors
    /// When the disk cannot be read or the blob is shorter than asked.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError>;
}

/// A blob that is arriving. Writers have verified every byte they hand in.
pub trait PartialBlob: fmt::Debug + Send + Sync {
    /// Byte ranges still missing, ascending, cut at chunk groups.
    fn missing(&self) -> Vec<Range<u64>>;

    /// Stores verified bytes; whole chunk groups inside them count as arrived.
    ///
    /// # Errors
    /// When the disk is full or cannot be written, or the bytes lie outside the blob.
    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), StoreError>;

    /// Makes what has arrived survive a crash, if enough has arrived since the last time.
    ///
    /// # Errors
    /// When the disk is full or cannot be written.
    fn save_progress(&self) -> Result<(), StoreError>;

    /// Hashes the whole, and makes the blob visible only if the hash is the blob's name.
    ///
    /// # Errors
    /// When the hash differs (the partial is then dropped), bytes are missing or the disk fails.
    fn commit(&self) -> Result<(), StoreError>;
}

/// Why a store could not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No space is left. Nothing was made visible.
    #[error("disk is full while writing {}", path.display())]
    DiskFull {
        /// The file being written.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot access {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The bytes on disk are not the blob they are named after.
    #[error("blob {id} holds bytes of {found}; it was removed")]
    Corrupt {
        /// The name.
        id: BlobId,
        /// The hash of what was there.
        found: BlobId,
    },
    /// A read or write left the blob.
    #[error("bytes {start}..{end} lie outside a blob of {bytes} bytes")]
    OutOfRange {
        /// First byte asked for.
        start: u64,
        /// One past the last byte asked for.
        end: u64,
        /// The blob's size.
        bytes: u64,
    },
    /// Someone else is already writing this partial blob.
    #[error("blob {id} is already arriving")]
    Busy {
        /// The blob.
        id: BlobId,
    },
    /// Committed too early.
    #[error("blob {id} still lacks {missing_bytes} bytes")]
    Incomplete {
        /// The blob.
        id: BlobId,
        /// How many bytes are missing.
        missing_bytes: u64,
    },
}

impl StoreError {
    /// Sorts an operating-system error into the cases callers treat differently.
    pub(crate) fn from_io(path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            _ => Self::Io { path, source },
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::items_after_statements, reason = "tests")]
mod tests;
