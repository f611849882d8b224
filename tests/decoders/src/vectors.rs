//! Seeds from the specification's table of encodings.

use serde_json::Value;

const TABLE: &str = include_str!("../../../spec/vectors/encoding.json");

fn rows(prefix: &str) -> Vec<Value> {
    let rows: Vec<Value> = serde_json::from_str(TABLE).unwrap();
    let named = |row: &Value| row["name"].as_str().unwrap().starts_with(prefix);
    rows.into_iter().filter(named).collect()
}

/// The bytes of all rows whose name begins so.
pub(crate) fn bytes(prefix: &str) -> Vec<Vec<u8>> {
    let found: Vec<_> = rows(prefix)
        .iter()
        .map(|row| hex::decode(row["expect"]["hex"].as_str().unwrap()).unwrap())
        .collect();
    assert!(!found.is_empty(), "no row begins with {prefix:?}");
    found
}

/// Their JSON form.
pub(crate) fn json(prefix: &str) -> Vec<Vec<u8>> {
    let rows = rows(prefix);
    rows.iter()
        .map(|row| row["input"].to_string().into_bytes())
        .collect()
}
