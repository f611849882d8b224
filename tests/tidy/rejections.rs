//! Rejections: every variant has a unique code, a row in the specification and a test.

use crate::{
    fault::Fault,
    tree::{File, Tree},
};
use std::collections::{BTreeMap, BTreeSet};

const SOURCE: &str = "ledger/state/src/rejection.rs";
const TABLE: &str = "spec/rejections.md";
const CRATE: &str = "ledger/state/";

/// What each variant lacks; nothing while there are none.
pub(crate) fn faults(tree: &Tree) -> Vec<Fault> {
    let Some(source) = tree.file(SOURCE) else {
        return Vec::new();
    };
    let rows = rows(source);
    if rows.is_empty() {
        return vec![Fault::of(SOURCE, "no row of `rejections!` was found")];
    }
    let tested = words_in_tests(tree);
    let mut faults = Vec::new();
    let mut owners: BTreeMap<u16, &str> = BTreeMap::new();
    for Row { code, name, line } in &rows {
        let mut fault = |rule: String| faults.push(Fault::at(SOURCE, *line, rule));
        if !tested.contains(name.as_str()) {
            fault(format!("{name} is named in no test of {CRATE}"));
        }
        if let Some(other) = owners.insert(*code, name) {
            fault(format!("{name} has code {code}, as has {other}"));
        }
        if !is_specified(tree, *code, name) {
            fault(format!("{TABLE} has no row `| {code} | {name} |`"));
        }
    }
    faults
}

/// One variant.
struct Row {
    code: u16,
    name: String,
    line: usize,
}

/// Rows of `rejections!`: `214 BondTooLow { … } => "…";`.
fn rows(source: &File) -> Vec<Row> {
    let inside = source
        .lines()
        .skip_while(|(_, line)| !line.starts_with("rejections! {"))
        .take_while(|(_, line)| *line != "}");
    inside
        .filter_map(|(line, text)| {
            let (code, rest) = text.trim().split_once(' ')?;
            let name = rest.split(|c: char| !c.is_alphanumeric()).next()?;
            Some(Row {
                code: code.parse().ok()?,
                name: name.to_owned(),
                line,
            })
        })
        .collect()
}

fn is_specified(tree: &Tree, code: u16, variant: &str) -> bool {
    let Some(table) = tree.file(TABLE) else {
        return false;
    };
    table.lines().any(|(_, line)| {
        let cells: Vec<&str> = line
            .split('|')
            .map(|cell| cell.trim().trim_matches('`'))
            .collect();
        cells.contains(&code.to_string().as_str()) && cells.contains(&variant)
    })
}

/// Every word of the state machine's tests.
fn words_in_tests(tree: &Tree) -> BTreeSet<&str> {
    tree.rust_files()
        .filter(|file| file.path.starts_with(CRATE))
        .flat_map(File::test_lines)
        .flat_map(|(_, line)| line.split(|c: char| !(c.is_alphanumeric() || c == '_')))
        .collect()
}
