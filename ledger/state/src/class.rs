//! Classes of miners: which engines besides the exact one are listed, and with which limits.
//! Spec: tolerant.md §5.
//!
//! A change makes a new version of one class and keeps the old ones, so that a unit is judged by
//! the limits that stood when it was assigned, whatever is voted in between.

use crate::{
    View,
    state::{Key, Record},
};
use borsh::{BorshDeserialize, BorshSerialize};
use protocol::class::{CLASSES_COUNT_MAX, Class, ClassId, ClassTable, ClassTableError, Listed};

/// What is listed now.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Table {
    /// Counts its changes.
    pub version: u32,
    /// In ascending order of their numbers.
    pub listed: Vec<Listed>,
}

impl Record for Table {
    const TABLE: u8 = 60;
    type Key = ();
}

/// One version of one class.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Entry(pub Class);

impl Record for Entry {
    const TABLE: u8 = 61;
    type Key = Listed;
}

impl Key for Listed {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.id.get().to_be_bytes());
        bytes.extend_from_slice(&self.version.to_be_bytes());
    }
    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let (id, rest) = bytes.split_first_chunk::<2>()?;
        let (version, rest) = rest.split_first_chunk::<4>()?;
        *bytes = rest;
        Some(Self {
            id: ClassId::new(u16::from_be_bytes(*id)),
            version: u32::from_be_bytes(*version),
        })
    }
}

/// The version of a class that is in force; nothing for the exact one and for those not listed.
#[must_use]
pub fn listed(view: &View<'_>, id: ClassId) -> Option<Listed> {
    let table: Table = view.get(&()).unwrap_or_default();
    table.listed.into_iter().find(|listed| listed.id == id)
}

/// The limits of one version of a class.
#[must_use]
pub fn class(view: &View<'_>, listed: Listed) -> Option<Class> {
    view.get::<Entry>(&listed).map(|entry| entry.0)
}

/// All classes in force.
#[must_use]
pub fn table(view: &View<'_>) -> (u32, Vec<(Listed, Class)>) {
    let table: Table = view.get(&()).unwrap_or_default();
    let entries = table.listed.into_iter();
    let entries = entries.filter_map(|listed| Some((listed, class(view, listed)?)));
    (table.version, entries.collect())
}

/// Lists a class, or gives a listed one other limits; returns the version that it makes.
pub(crate) fn set(view: &mut View<'_>, class: &Class) -> Result<u32, ClassTableError> {
    class.check()?;
    let mut table: Table = view.get(&()).unwrap_or_default();
    let id = class.id;
    let index = table.listed.partition_point(|listed| listed.id < id);
    let is_listed = table
        .listed
        .get(index)
        .is_some_and(|listed| listed.id == id);
    if !is_listed && table.listed.len() >= CLASSES_COUNT_MAX {
        return Err(ClassTableError::Full);
    }
    table.version = table.version.saturating_add(1);
    let version = table.version;
    let entry = Listed { id, version };
    match table.listed.get_mut(index).filter(|_| is_listed) {
        Some(listed) => *listed = entry,
        None => table.listed.insert(index, entry),
    }
    view.put(&entry, &Entry(class.clone()));
    view.put(&(), &table);
    Ok(version)
}

/// Lists what the genesis lists.
pub(crate) fn begin(view: &mut View<'_>, table: &ClassTable) {
    let version = table.version;
    let mut listed = Vec::new();
    for class in table.classes.as_slice() {
        let entry = Listed {
            id: class.id,
            version,
        };
        view.put(&entry, &Entry(class.clone()));
        listed.push(entry);
    }
    view.put(&(), &Table { version, listed });
}
