//! A blob that is arriving: a sparse data file, and a bit per verified chunk group beside it.
//!
//! The progress file is replaced atomically, and only after the data it vouches for was flushed,
//! so it never claims more than the disk holds. If it is missing, damaged or of another size the
//! download starts again from nothing.

use super::{
    CHUNK_GROUP_BYTES, PartialBlob, StoreError,
    folder::{Lease, hash_file, place, remove_if_present},
};
use protocol::BlobId;
use std::{
    fs::{self, File, OpenOptions},
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Progress is flushed after this many new bytes …
const SAVE_BYTES: u64 = 4 * 1024 * 1024;
/// … or after this long, whichever comes first.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct FolderPartial {
    id: BlobId,
    bytes: u64,
    data_path: PathBuf,
    progress_path: PathBuf,
    final_path: PathBuf,
    data: File,
    progress: Mutex<Progress>,
    _lease: Lease,
}

#[derive(Debug)]
struct Progress {
    /// One bit per chunk group, least significant bit first.
    bits: Vec<u8>,
    unsaved_bytes: u64,
    saved_at: Instant,
}

impl FolderPartial {
    pub(super) fn open(
        id: BlobId,
        bytes: u64,
        base: &Path,
        final_path: PathBuf,
        lease: Lease,
    ) -> Result<Self, StoreError> {
        let data_path = base.with_extension("data");
        let progress_path = base.with_extension("progress");
        let data_error = |e| StoreError::from_io(&data_path, e);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let data = options.open(&data_path).map_err(data_error)?;
        let whole = data.metadata().map_err(data_error)?.len() == bytes;
        let saved = if whole {
            load(&progress_path, bytes)
        } else {
            None
        };
        let bits = match saved {
            Some(bits) => bits,
            None => {
                data.set_len(0)
                    .and_then(|()| data.set_len(bytes))
                    .map_err(data_error)?;
                vec![0; bit_bytes(bytes)]
            }
        };
        let progress = Progress {
            bits,
            unsaved_bytes: 0,
            saved_at: Instant::now(),
        };
        Ok(Self {
            id,
            bytes,
            data_path,
            progress_path,
            final_path,
            data,
            progress: Mutex::new(progress),
            _lease: lease,
        })
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn save(&self, progress: &mut Progress) -> Result<(), StoreError> {
        self.data
            .sync_data()
            .map_err(|e| StoreError::from_io(&self.data_path, e))?;
        let mut content = self.bytes.to_le_bytes().to_vec();
        content.extend_from_slice(&progress.bits);
        let checksum = *blake3::hash(&content).as_bytes();
        content.extend_from_slice(&checksum);
        let temporary = self.progress_path.with_extension("progress-new");
        fs::write(&temporary, &content).map_err(|e| StoreError::from_io(&temporary, e))?;
        fs::rename(&temporary, &self.progress_path)
            .map_err(|e| StoreError::from_io(&self.progress_path, e))?;
        progress.unsaved_bytes = 0;
        progress.saved_at = Instant::now();
        Ok(())
    }

    fn discard(&self) -> Result<(), StoreError> {
        remove_if_present(&self.progress_path)?;
        remove_if_present(&self.data_path)
    }
}

impl PartialBlob for FolderPartial {
    fn missing(&self) -> Vec<Range<u64>> {
        let progress = self.progress();
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for group_index in 0..group_count(self.bytes) {
            if has(&progress.bits, group_index) {
                continue;
            }
            let start = group_index * CHUNK_GROUP_BYTES;
            let end = (start + CHUNK_GROUP_BYTES).min(self.bytes);
            match ranges.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => ranges.push(start..end),
            }
        }
        ranges
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let length = bytes.len() as u64;
        let end = offset.saturating_add(length);
        if end > self.bytes {
            return Err(StoreError::OutOfRange {
                start: offset,
                end,
                bytes: self.bytes,
            });
        }
        self.data
            .write_all_at(bytes, offset)
            .map_err(|e| StoreError::from_io(&self.data_path, e))?;
        let mut progress = self.progress();
        let mut group_index = offset.div_ceil(CHUNK_GROUP_BYTES);
        while group_index < group_count(self.bytes)
            && ((group_index + 1) * CHUNK_GROUP_BYTES).min(self.bytes) <= end
        {
            set(&mut progress.bits, group_index);
            group_index += 1;
        }
        progress.unsaved_bytes = progress.unsaved_bytes.saturating_add(length);
        Ok(())
    }

    fn save_progress(&self) -> Result<(), StoreError> {
        let mut progress = self.progress();
        let due = progress.unsaved_bytes >= SAVE_BYTES
            || (progress.unsaved_bytes > 0 && progress.saved_at.elapsed() >= SAVE_INTERVAL);
        if due {
            self.save(&mut progress)
        } else {
            Ok(())
        }
    }

    fn commit(&self) -> Result<(), StoreError> {
        let missing_bytes = self
            .missing()
            .iter()
            .map(|range| range.end - range.start)
            .sum();
        if missing_bytes > 0 {
            return Err(StoreError::Incomplete {
                id: self.id,
                missing_bytes,
            });
        }
        self.data
            .sync_data()
            .map_err(|e| StoreError::from_io(&self.data_path, e))?;
        let found = hash_file(&self.data_path)?;
        self.progress().unsaved_bytes = 0;
        if found != self.id {
            self.discard()?;
            return Err(StoreError::Corrupt { id: self.id, found });
        }
        place(&self.data_path, &self.final_path)?;
        self.discard()
    }
}

impl Drop for FolderPartial {
    fn drop(&mut self) {
        let mut progress = self.progress();
        let kept = if progress.bits.iter().all(|byte| *byte == 0) {
            self.discard()
        } else if progress.unsaved_bytes > 0 {
            self.save(&mut progress)
        } else {
            Ok(())
        };
        if let Err(error) = kept {
            tracing::warn!(id = %self.id, %error, "progress of a partial blob was not saved");
        }
    }
}

fn group_count(bytes: u64) -> u64 {
    bytes.div_ceil(CHUNK_GROUP_BYTES)
}

fn bit_bytes(bytes: u64) -> usize {
    usize::try_from(group_count(bytes).div_ceil(8)).unwrap_or(usize::MAX)
}

fn position(group_index: u64) -> (usize, u8) {
    (
        usize::try_from(group_index / 8).unwrap_or(usize::MAX),
        1 << (group_index % 8),
    )
}

fn has(bits: &[u8], group_index: u64) -> bool {
    let (byte_index, mask) = position(group_index);
    bits.get(byte_index).is_some_and(|byte| byte & mask != 0)
}

fn set(bits: &mut [u8], group_index: u64) {
    let (byte_index, mask) = position(group_index);
    if let Some(byte) = bits.get_mut(byte_index) {
        *byte |= mask;
    }
}

/// The saved bits, if the file is whole and speaks of a blob of this size.
fn load(path: &Path, bytes: u64) -> Option<Vec<u8>> {
    let content = fs::read(path).ok()?;
    let (body, checksum) = content.split_last_chunk::<32>()?;
    let (size, bits) = body.split_first_chunk::<8>()?;
    let intact = blake3::hash(body).as_bytes() == checksum
        && u64::from_le_bytes(*size) == bytes
        && bits.len() == bit_bytes(bytes);
    intact.then(|| bits.to_vec())
}
