//! What a store needs of a database: one ordered map of bytes, and batches that are applied as a
//! whole and are on the disk when they return.

use std::{
    any::Any,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::RwLockReadGuard,
    time::Duration,
};

/// Memory that a database may use for its page cache, in bytes.
pub(super) const CACHE_BYTES: usize = 64 << 20;

/// What a batch does to a key: a value to write, or nothing to delete it.
pub(crate) type Batch = Vec<(Vec<u8>, Option<Vec<u8>>)>;
/// Receives one row after another, and says whether to go on.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> bool;

/// Why a database did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Another process has it open.
    Locked(String),
    /// Its files do not hold what it wrote.
    Damaged(String),
    /// Reading or writing failed, or the operating system refused something.
    Failed(String),
}

/// An ordered map of bytes on a disk.
pub(crate) trait Database: fmt::Debug + Send + Sync + Sized {
    /// Its name, as configurations say it.
    const NAME: &'static str;
    /// Its file in the store's folder.
    const FILE: &'static str;
    /// Rows of a batch beyond which it costs more than two.
    const ROWS_COUNT_BEST: usize;

    /// Opens or makes it in a folder, and finds damage as far as it can.
    fn open(folder: &Path) -> Result<Self, Trouble>;
    /// The value under a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Trouble>;
    /// Visits all rows whose keys begin with a prefix, in order.
    fn scan(&self, prefix: &[u8], visit: Visit<'_>) -> Result<(), Trouble>;
    /// Visits the row under a key, if there is one, and all rows whose keys begin with a prefix,
    /// as they are at one instant. `begun` is dropped at that instant: from then on batches may be
    /// written. A database that cannot read the past holds it until the end.
    fn scan_frozen(
        &self,
        key: &[u8],
        prefix: &[u8],
        begun: RwLockReadGuard<'_, ()>,
        visit: Visit<'_>,
    ) -> Result<(), Trouble>;
    /// Applies a batch, all or nothing, and returns once it is on the disk.
    fn write(&self, batch: &Batch) -> Result<(), Trouble>;
    /// Applies a batch, all or nothing: on the disk not after the one that comes next.
    fn write_soon(&self, batch: &Batch) -> Result<(), Trouble>;
}

/// Runs one operation of a database, which may panic on some kinds of damage.
pub(super) fn guard<T>(name: &str, act: impl FnOnce() -> Result<T, Trouble>) -> Result<T, Trouble> {
    match catch_unwind(AssertUnwindSafe(act)) {
        Ok(result) => result,
        Err(panic) => Err(Trouble::Damaged(panic_text(name, panic.as_ref()))),
    }
}

fn panic_text(name: &str, panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    format!("{name} panicked: {}", text.unwrap_or("without a message"))
}

/// Attempts to open a database that another has open.
const LOCK_ATTEMPTS_COUNT: u32 = 20;
/// Between them.
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// Opens, and waits a little for a lock: a store that was just dropped, or a child process between
/// fork and exec, holds it for a moment longer.
pub(super) fn patiently<D>(open: impl Fn() -> Result<D, Trouble>) -> Result<D, Trouble> {
    for _ in 1..LOCK_ATTEMPTS_COUNT {
        match open() {
            Err(Trouble::Locked(_)) => std::thread::sleep(LOCK_PAUSE),
            result => return result,
        }
    }
    open()
}
