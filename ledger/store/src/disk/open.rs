//! Opening the database: locks, and telling damage from everything else.

use crate::StoreError;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    time::Duration,
};

/// Memory that sled may use for its page cache, in bytes.
const CACHE_BYTES: u64 = 64 << 20;
/// How often to try for the lock.
const LOCK_ATTEMPTS_COUNT: u32 = 20;
/// How long to wait in between.
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// Opens sled, waiting a little for a lock: a store that was just dropped, or a child process
/// between fork and exec, holds it for a moment longer.
pub(super) fn open_database(path: &Path) -> Result<sled::Db, StoreError> {
    for _ in 1..LOCK_ATTEMPTS_COUNT {
        match try_open_database(path) {
            Err(StoreError::Locked { .. }) => std::thread::sleep(LOCK_PAUSE),
            result => return result,
        }
    }
    try_open_database(path)
}

/// Opens sled, telling a lock from damage from everything else.
fn try_open_database(path: &Path) -> Result<sled::Db, StoreError> {
    let config = sled::Config::new().path(path).cache_capacity(CACHE_BYTES);
    let path = path.to_path_buf();
    match catch_unwind(AssertUnwindSafe(|| config.open())) {
        Ok(Ok(database)) => Ok(database),
        Ok(Err(sled::Error::Io(error))) => {
            let reason = error.to_string();
            // sled reports a held lock as an error of kind `Other` with this text only.
            if reason.contains("could not acquire lock") {
                return Err(StoreError::Locked { path, reason });
            }
            Err(StoreError::Open { path, reason })
        }
        Ok(Err(error @ sled::Error::Unsupported(_))) => Err(StoreError::Open {
            path,
            reason: error.to_string(),
        }),
        Ok(Err(error)) => Err(StoreError::Damaged {
            path,
            reason: error.to_string(),
        }),
        Err(panic) => Err(StoreError::Damaged {
            path,
            reason: panic_text(panic.as_ref()),
        }),
    }
}

/// What a panic said; sled panics on some kinds of damage.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    format!("sled panicked: {}", text.unwrap_or("without a message"))
}
