//! sled 0.34 behind the store.
//!
//! sled applies a batch to one tree atomically, also across a crash: on recovery a batch whose
//! end did not reach the disk is dropped as a whole. `flush` asks Linux for `sync_file_range`,
//! which leaves the disk's own cache and the file's length to chance, so the file itself is
//! synchronised after it.
//!
//! When it is opened, sled writes down where its pages are, to a file `snap.….generating` that it
//! renames. Of a process that was killed meanwhile half of that file stays, which the next opening
//! takes for the newest there is, and refuses the database. It says nothing that the log does not
//! say, so it is removed then.

use super::database::{Batch, CACHE_BYTES, Database, Trouble, Visit, guard, patiently};
use std::{fs::File, path::Path, sync::RwLockReadGuard};

/// An open sled database.
#[derive(Debug)]
pub struct Sled {
    database: sled::Db,
    /// The database's file, opened a second time to synchronise it.
    file: File,
}

impl From<sled::Error> for Trouble {
    fn from(error: sled::Error) -> Self {
        match error {
            error @ sled::Error::Corruption { .. } => Self::Damaged(error.to_string()),
            // A read beyond the end: the file was cut.
            sled::Error::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Self::Damaged(error.to_string())
            }
            // sled reports a held lock as an error of kind `Other` with this text only.
            error if error.to_string().contains("could not acquire lock") => {
                Self::Locked(error.to_string())
            }
            error => Self::Failed(error.to_string()),
        }
    }
}

fn failed(error: &std::io::Error) -> Trouble {
    Trouble::Failed(error.to_string())
}

fn try_open(folder: &Path) -> Result<Sled, Trouble> {
    let config = sled::Config::new()
        .path(folder)
        .cache_capacity(CACHE_BYTES as u64);
    let mut opened = guard(Sled::NAME, || Ok(config.open()))?;
    // Nobody else has it open, or the lock would have been refused before.
    if matches!(opened, Err(sled::Error::Corruption { .. })) && remove_unfinished(folder)? {
        opened = guard(Sled::NAME, || Ok(config.open()))?;
    }
    let database = match opened {
        Ok(database) => database,
        // What cannot be read is a damaged file, unless the system refuses to open it.
        Err(error @ (sled::Error::Io(_) | sled::Error::Unsupported(_))) => return Err(error.into()),
        Err(error) => return Err(Trouble::Damaged(error.to_string())),
    };
    let file = File::open(folder.join(Sled::FILE)).map_err(|error| failed(&error))?;
    Ok(Sled { database, file })
}

/// Removes what a killed process did not finish writing; whether there was any.
fn remove_unfinished(folder: &Path) -> Result<bool, Trouble> {
    let mut is_any = false;
    for entry in std::fs::read_dir(folder).map_err(|error| failed(&error))? {
        let entry = entry.map_err(|error| failed(&error))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            std::fs::remove_file(entry.path()).map_err(|error| failed(&error))?;
            tracing::warn!(file = %entry.path().display(), "removed what was not finished");
            is_any = true;
        }
    }
    Ok(is_any)
}

impl Sled {
    /// Its file in the store's folder.
    pub(crate) const FILE_NAME: &'static str = <Self as Database>::FILE;
}

impl Database for Sled {
    const NAME: &'static str = "sled";
    const FILE: &'static str = "db";
    // All that a batch replaces stays in memory until its end, pages of other threads as well: one
    // of 20 000 rows takes half as long again as twenty of 1 000, and ten times the memory.
    const ROWS_COUNT_BEST: usize = 1_000;

    fn open(folder: &Path) -> Result<Self, Trouble> {
        patiently(|| try_open(folder))
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Trouble> {
        Ok(self.database.get(key)?.map(|value| value.to_vec()))
    }

    fn scan(&self, prefix: &[u8], visit: Visit<'_>) -> Result<(), Trouble> {
        for row in self.database.scan_prefix(prefix) {
            let (key, value) = row?;
            if !visit(&key, &value) {
                break;
            }
        }
        Ok(())
    }

    fn scan_frozen(
        &self,
        key: &[u8],
        prefix: &[u8],
        begun: RwLockReadGuard<'_, ()>,
        visit: Visit<'_>,
    ) -> Result<(), Trouble> {
        if let Some(value) = self.get(key)?
            && visit(key, &value)
        {
            self.scan(prefix, visit)?;
        }
        drop(begun);
        Ok(())
    }

    fn write(&self, batch: &Batch) -> Result<(), Trouble> {
        self.write_soon(batch)?;
        self.database.flush()?;
        self.file.sync_data().map_err(|error| failed(&error))
    }

    fn write_soon(&self, batch: &Batch) -> Result<(), Trouble> {
        let mut rows = sled::Batch::default();
        for (key, value) in batch {
            match value {
                Some(value) => rows.insert(key.as_slice(), value.as_slice()),
                None => rows.remove(key.as_slice()),
            }
        }
        Ok(self.database.apply_batch(rows)?)
    }
}
