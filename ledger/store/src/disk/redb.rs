//! redb 4 behind the store.
//!
//! A copy-on-write B-tree in one file: a transaction writes new pages beside the old and then
//! points a header at them, so whatever a crash leaves is the state before or the one after. Every
//! page carries a checksum, and all of them are verified when the file is opened. Commits are of
//! two phases, each synchronised, and record what is free, so that opening after a crash repairs
//! nothing.

use super::database::{Batch, CACHE_BYTES, Database, Trouble, Visit, patiently};
use redb::{
    CommitError, DatabaseError, Durability, ReadableDatabase as _, SetDurabilityError,
    StorageError, TableDefinition, TableError, TransactionError,
};
use std::{path::Path, sync::RwLockReadGuard};

const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");

/// An open redb database.
#[derive(Debug)]
pub struct Redb {
    database: redb::Database,
}

impl From<StorageError> for Trouble {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Corrupted(reason) => Self::Damaged(reason),
            // A read beyond the end: the file is shorter than its header says.
            StorageError::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Self::Damaged(error.to_string())
            }
            error => Self::Failed(error.to_string()),
        }
    }
}

impl From<DatabaseError> for Trouble {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Storage(error) => error.into(),
            error @ DatabaseError::DatabaseAlreadyOpen => Self::Locked(error.to_string()),
            error @ DatabaseError::UpgradeRequired(_) => Self::Failed(error.to_string()),
            error => Self::Damaged(error.to_string()),
        }
    }
}

macro_rules! troubles {
    ($($error:ident)+) => {$(
        impl From<$error> for Trouble {
            fn from(error: $error) -> Self {
                match error {
                    $error::Storage(error) => error.into(),
                    error => Self::Damaged(error.to_string()),
                }
            }
        }
    )+};
}
troubles! { TransactionError TableError CommitError }

impl From<SetDurabilityError> for Trouble {
    fn from(error: SetDurabilityError) -> Self {
        Self::Failed(error.to_string())
    }
}

type Records = redb::ReadOnlyTable<&'static [u8], &'static [u8]>;

fn scan(table: &Records, prefix: &[u8], visit: Visit<'_>) -> Result<(), Trouble> {
    for row in table.range(prefix..)? {
        let (key, value) = row?;
        if !key.value().starts_with(prefix) || !visit(key.value(), value.value()) {
            break;
        }
    }
    Ok(())
}

/// Makes an empty database. A crash on the way would leave a file that is none (the magic number
/// is what redb writes last), so it is made under another name and renamed when it is whole.
fn make(folder: &Path) -> Result<(), Trouble> {
    let failed = |error: std::io::Error| Trouble::Failed(error.to_string());
    let unfinished = folder.join("unfinished.redb");
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    drop(redb::Database::create(&unfinished)?);
    std::fs::rename(&unfinished, folder.join(Redb::FILE)).map_err(failed)?;
    let folder = std::fs::File::open(folder).map_err(failed)?;
    folder.sync_all().map_err(failed)
}

fn try_open(folder: &Path) -> Result<Redb, Trouble> {
    std::fs::create_dir_all(folder).map_err(|error| Trouble::Failed(error.to_string()))?;
    let path = folder.join(Redb::FILE);
    if !path.exists() {
        make(folder)?;
    }
    let database = redb::Builder::new()
        .set_cache_size(CACHE_BYTES)
        .set_check_integrity_on_open(true)
        .open(path)
        .map_err(|error| match error {
            // A file that is no database of this kind at all.
            DatabaseError::Storage(StorageError::Io(error))
                if error.kind() == std::io::ErrorKind::InvalidData =>
            {
                Trouble::Damaged(error.to_string())
            }
            error => error.into(),
        })?;
    Ok(Redb { database })
}

impl Redb {
    /// Its file in the store's folder.
    pub(crate) const FILE_NAME: &'static str = <Self as Database>::FILE;

    /// All records as they are now; nothing before the first is written.
    fn records(&self) -> Result<Option<Records>, Trouble> {
        match self.database.begin_read()?.open_table(RECORDS) {
            Ok(table) => Ok(Some(table)),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Database for Redb {
    const NAME: &'static str = "redb";
    const FILE: &'static str = "chain.redb";
    // Rows side by side share pages, and the more of them a batch has the more they share.
    const ROWS_COUNT_BEST: usize = usize::MAX;

    fn open(folder: &Path) -> Result<Self, Trouble> {
        patiently(|| try_open(folder))
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Trouble> {
        let Some(table) = self.records()? else {
            return Ok(None);
        };
        let value = table.get(key)?;
        Ok(value.map(|value| value.value().to_vec()))
    }

    fn scan(&self, prefix: &[u8], visit: Visit<'_>) -> Result<(), Trouble> {
        match self.records()? {
            Some(table) => scan(&table, prefix, visit),
            None => Ok(()),
        }
    }

    fn scan_frozen(
        &self,
        key: &[u8],
        prefix: &[u8],
        begun: RwLockReadGuard<'_, ()>,
        visit: Visit<'_>,
    ) -> Result<(), Trouble> {
        let table = self.records()?;
        drop(begun);
        let Some(table) = table else {
            return Ok(());
        };
        match table.get(key)? {
            Some(value) if visit(key, value.value()) => scan(&table, prefix, visit),
            _ => Ok(()),
        }
    }

    fn write(&self, batch: &Batch) -> Result<(), Trouble> {
        self.write_with(batch, Durability::Immediate)
    }

    fn write_soon(&self, batch: &Batch) -> Result<(), Trouble> {
        self.write_with(batch, Durability::None)
    }
}

impl Redb {
    fn write_with(&self, batch: &Batch, durability: Durability) -> Result<(), Trouble> {
        let mut write = self.database.begin_write()?;
        write.set_durability(durability)?;
        write.set_quick_repair(true);
        {
            let mut table = write.open_table(RECORDS)?;
            for (key, value) in batch {
                match value {
                    Some(value) => table.insert(key.as_slice(), value.as_slice())?,
                    None => table.remove(key.as_slice())?,
                };
            }
        }
        Ok(write.commit()?)
    }
}
