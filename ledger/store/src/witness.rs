//! A second opinion on how far the store had come.
//!
//! sled takes a damaged place in its log for the torn end of a crash and drops everything after
//! it, silently: a flipped byte can turn the store back by many blocks that were acknowledged.
//! The witness is a small file beside the database that remembers the last acknowledged height.
//! It has two slots, written in turn, so that a crash in the middle of a write spoils only the
//! slot that is not the latest.
//!
//! A height is written when its block is on the disk; a thread of its own then waits for the disk,
//! ten times a second at most, so that no block has to. So a process that is killed has said all
//! it knew, and a cut of the power may cost the word about the last tenth of a second: only
//! together with damage to just those blocks would they be missed, and then they come from peers.

use crate::StoreError;
use protocol::Height;
use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

const FILE_NAME: &str = "witness";
const SLOT_BYTES: usize = 40;
/// From one sync to the next.
const PAUSE: Duration = Duration::from_millis(100);

/// The open file.
#[derive(Debug)]
pub(crate) struct Witness {
    shared: Arc<Shared>,
    /// Waits for the disk; begins with the first height.
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    file: File,
    wanted: Mutex<Wanted>,
    changed: Condvar,
}

/// What the thread is to do, and what became of it.
#[derive(Debug, Default)]
struct Wanted {
    sync: bool,
    end: bool,
    failure: Option<io::Error>,
}

impl Shared {
    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Synchronises whenever that is wanted, and a last time in the end.
    fn run(&self) {
        loop {
            let idle = |wanted: &mut Wanted| !wanted.sync && !wanted.end;
            let wanted = self.changed.wait_while(self.wanted(), idle);
            let mut wanted = wanted.unwrap_or_else(PoisonError::into_inner);
            if !std::mem::take(&mut wanted.sync) {
                return;
            }
            drop(wanted);
            if let Err(error) = self.file.sync_data() {
                self.wanted().failure = Some(error);
                return;
            }
            let goes_on = |wanted: &mut Wanted| !wanted.end;
            let waited = self
                .changed
                .wait_timeout_while(self.wanted(), PAUSE, goes_on);
            drop(waited);
        }
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.shared.wanted().end = true;
        self.shared.changed.notify_all();
        let thread = self
            .thread
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            // It has no more to say.
            thread.join().ok();
        }
    }
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
            shared: Arc::new(Shared {
                file,
                wanted: Mutex::default(),
                changed: Condvar::new(),
            }),
            thread: Mutex::new(None),
        })
    }

    /// Remembers that this height was stored: in the file when it returns, and soon on the disk.
    ///
    /// # Errors
    /// When it cannot be written, or an earlier one did not reach the disk.
    pub(crate) fn record(&self, height: Height) -> io::Result<()> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() {
            let shared = Arc::clone(&self.shared);
            let named = std::thread::Builder::new().name("witness".to_owned());
            *thread = Some(named.spawn(move || shared.run())?);
        }
        let mut wanted = self.shared.wanted();
        if let Some(error) = &wanted.failure {
            return Err(io::Error::new(error.kind(), error.to_string()));
        }
        let number = height.get().to_le_bytes();
        let slot = [number.as_slice(), blake3::hash(&number).as_bytes()].concat();
        let offset = height.get() % 2 * SLOT_BYTES as u64;
        self.shared.file.write_all_at(&slot, offset)?;
        wanted.sync = true;
        drop(wanted);
        self.shared.changed.notify_all();
        Ok(())
    }

    /// The highest height in an undamaged slot.
    fn latest(&self) -> io::Result<Option<Height>> {
        let mut bytes = [0; 2 * SLOT_BYTES];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.shared.file.read_at(rest, filled as u64)? {
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
