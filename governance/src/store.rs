//! What governance remembers: records in tables, kept as bytes by whoever runs the rules.
//!
//! The ledger keeps them in its state tree, tests in a map. Because the rules see nothing else,
//! a node restored from a snapshot counts every vote as the others do.

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::codec::encode;

/// A map of bytes.
pub trait Store {
    /// The value under a key.
    fn read(&self, key: &[u8]) -> Option<Vec<u8>>;
    /// Writes a value, or deletes.
    fn write(&mut self, key: Vec<u8>, value: Option<Vec<u8>>);
    /// All entries whose key starts with `prefix`, in order.
    fn list(&self, prefix: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)>;
}

/// A typed entry.
pub trait Record: BorshSerialize + BorshDeserialize {
    /// First byte of the key; one a type.
    const TABLE: u8;
    /// The rest of the key, of a fixed size, so that no key is another's prefix.
    type Key: BorshSerialize + BorshDeserialize;
}

/// Where a record lies in the store.
pub fn key_bytes<R: Record>(key: &impl BorshSerialize) -> Vec<u8> {
    let mut bytes = vec![R::TABLE];
    bytes.extend(encode(key));
    bytes
}

fn decode<T: BorshDeserialize>(bytes: &[u8]) -> T {
    T::try_from_slice(bytes).expect("invariant: the store holds only what these rules wrote")
}

/// Typed access to any store.
pub trait Records: Store {
    /// Reads a record.
    fn get<R: Record>(&self, key: &R::Key) -> Option<R> {
        self.read(&key_bytes::<R>(key)).map(|bytes| decode(&bytes))
    }
    /// Writes a record.
    fn put<R: Record>(&mut self, key: &R::Key, record: &R) {
        self.write(key_bytes::<R>(key), Some(encode(record)));
    }
    /// Deletes a record.
    fn delete<R: Record>(&mut self, key: &R::Key) {
        self.write(key_bytes::<R>(key), None);
    }
    /// All records of a table whose key starts with `prefix`, in order of their bytes.
    fn scan<R: Record>(&self, prefix: &impl BorshSerialize) -> Vec<(R::Key, R)> {
        let entries = self.list(&key_bytes::<R>(prefix)).into_iter();
        let typed = entries.map(|(key, value)| {
            let rest = key.get(1..).unwrap_or_default();
            (decode(rest), decode(&value))
        });
        typed.collect()
    }
}

impl<S: Store> Records for S {}

macro_rules! records {
    ($($table:literal $record:ty: $key:ty;)+) => {$(
        impl $crate::store::Record for $record {
            const TABLE: u8 = $table;
            type Key = $key;
        }
    )+};
}
pub(crate) use records;
