//! Which database keeps a store.

use crate::{
    RedbStore, Salvaged, SledStore, Store, StoreError,
    disk::{Redb, Sled},
};
use std::{fmt, path::Path, str::FromStr, sync::Arc};

/// A database that can keep a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// redb.
    Redb,
    /// sled, the default. Why: `spec/decisions/012-why-redb-beside-sled.md`.
    #[default]
    Sled,
}

/// Not the name of a database.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no store {name:?}; there are redb and sled")]
pub struct UnknownChoice {
    /// What was asked for.
    pub name: String,
}

impl FromStr for Choice {
    type Err = UnknownChoice;
    fn from_str(text: &str) -> Result<Self, UnknownChoice> {
        match text {
            "redb" => Ok(Self::Redb),
            "sled" => Ok(Self::Sled),
            name => Err(UnknownChoice {
                name: name.to_owned(),
            }),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Redb => "redb",
            Self::Sled => "sled",
        })
    }
}

impl Choice {
    /// The database's file in a store's folder.
    #[must_use]
    pub const fn file(self) -> &'static str {
        match self {
            Self::Redb => Redb::FILE_NAME,
            Self::Sled => Sled::FILE_NAME,
        }
    }
    /// The database that a folder has.
    #[must_use]
    pub fn found_in(path: &Path) -> Option<Self> {
        let all = [Self::Redb, Self::Sled].into_iter();
        let mut found = all.filter(|choice| path.join(choice.file()).exists());
        found.next()
    }
    /// Opens or makes a store in a folder.
    ///
    /// # Errors
    /// When it is in use, damaged, or of another format.
    pub fn open(self, path: &Path) -> Result<Arc<dyn Store>, StoreError> {
        Ok(match self {
            Self::Redb => Arc::new(RedbStore::open(path)?),
            Self::Sled => Arc::new(SledStore::open(path)?),
        })
    }
    /// Takes out of a damaged store what is still good.
    ///
    /// # Errors
    /// When it is in use, or cannot be opened at all.
    pub fn salvage(self, path: &Path) -> Result<Salvaged, StoreError> {
        match self {
            Self::Redb => RedbStore::salvage(path),
            Self::Sled => SledStore::salvage(path),
        }
    }
}

/// Opens the store in a folder with the database that is there, or makes one with the default.
///
/// # Errors
/// When it is in use, damaged, or of another format.
pub fn open(path: &Path) -> Result<Arc<dyn Store>, StoreError> {
    Choice::found_in(path).unwrap_or_default().open(path)
}
