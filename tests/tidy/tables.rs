//! Tables of the state: two kinds of records under one number would read each other's bytes.

use crate::{fault::Fault, tree::Tree};
use std::collections::BTreeMap;

/// Numbers of tables that the state machine uses twice.
pub(crate) fn faults(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut first: BTreeMap<&str, (&str, usize)> = BTreeMap::new();
    let rules = |path: &str| path.starts_with("ledger/state/src/");
    for file in tree.rust_files().filter(|file| rules(&file.path)) {
        for (number, line) in file.production_lines() {
            let Some((_, table)) = line.split_once("const TABLE: u8 = ") else {
                continue;
            };
            match first.get(table) {
                Some((path, line)) => {
                    let rule = format!("table {table} is already used at {path}:{line}");
                    faults.push(Fault::at(&file.path, number, rule));
                }
                None => drop(first.insert(table, (&file.path, number))),
            }
        }
    }
    faults
}
