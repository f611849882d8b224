//! A second opinion on how far the store had come.
//!
//! sled takes a damaged place in its log for the torn end of a crash and drops everything after
//! it, silently: a flipped byte can turn the store back by many blocks that were acknowledged.
//! The witness is a small file beside the database that remembers the last acknowledged height.
//! It has two slots, written in turn, so that a crash in the middle of a write spoils only the
//! slot that is not the latest.

use crate::StoreError;
use protocol::Height;
use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::Path,
    sync::Mutex,
    sync::PoisonError,
};

const FILE_NAME: &str = "witness";
const SLOT_BYTES: usize = 40;

/// The open file.
#[derive(Debug)]
pub(crate) struct Witness {
    file: Mutex<File>,
}

impl Witness {
    /// Opens or creates the file in the folder of a store.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(folder.join(FILE_NAME))?;
        Ok(Self {
            file: Mutex::new(file),
        })
    }

    /// Remembers that this height was stored, on the disk before it returns.
    pub(crate) fn record(&self, height: Height) -> io::Result<()> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let number = height.get().to_le_bytes();
        let slot = [number.as_slice(), blake3::hash(&number).as_bytes()].concat();
        let offset = height.get() % 2 * SLOT_BYTES as u64;
        file.write_all_at(&slot, offset)?;
        file.sync_data()
    }

    /// The highest height in an undamaged slot.
    fn latest(&self) -> io::Result<Option<Height>> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = [0; 2 * SLOT_BYTES];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, filled as u64)? {
                0 => break,
                count => filled += count,
            }
        }
        let heights = bytes.chunks_exact(SLOT_BYTES).filter_map(|slot| {
            let (number, checksum) = slot.split_first_chunk::<8>()?;
            let holds = blake3::hash(number).as_bytes() == checksum;
            holds.then(|| Height::new(u64::from_le_bytes(*number)))
        });
        Ok(heights.max())
    }

    /// Refuses a store that stands below what was acknowledged.
    pub(crate) fn check(&self, folder: &Path, tip: Option<Height>) -> Result<(), StoreError> {
        let latest = self.latest().map_err(|error| StoreError::Open {
            path: folder.to_path_buf(),
            reason: error.to_string(),
        })?;
        match (tip, latest) {
            (tip, Some(expected)) if tip.is_none_or(|tip| tip < expected) => {
                Err(StoreError::BlocksLost {
                    path: folder.to_path_buf(),
                    found: tip.unwrap_or_default(),
                    expected,
                })
            }
            _ => Ok(()),
        }
    }
}
