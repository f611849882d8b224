//! Rejections: every variant has a unique code, a row in the specification and a test.

use crate::{
    fault::Fault,
    tree::{File, Tree},
};
use std::collections::{BTreeMap, BTreeSet};

const SOURCE: &str = "ledger/state/src/rejection.rs";
const TABLE: &str = "spec/rejections.md";
const CRATE: &str = "ledger/state/";

/// What each variant lacks; nothing while the enum does not exist.
pub(crate) fn faults(tree: &Tree) -> Vec<Fault> {
    let Some(source) = tree.file(SOURCE) else {
        return Vec::new();
    };
    let variants = variants(source);
    if variants.is_empty() {
        return vec![Fault::of(
            SOURCE,
            "no variant of `enum Rejection` was found",
        )];
    }
    let codes = codes(source);
    let tested = words_in_tests(tree);
    let mut faults = Vec::new();
    let mut owners: BTreeMap<u16, &str> = BTreeMap::new();
    for (variant, line) in &variants {
        let mut fault = |rule: String| faults.push(Fault::at(SOURCE, *line, rule));
        if !tested.contains(variant.as_str()) {
            fault(format!("{variant} is named in no test of {CRATE}"));
        }
        let Some(code) = codes.get(variant) else {
            fault(format!("{variant} has no number of its own in `fn code`"));
            continue;
        };
        if let Some(other) = owners.insert(*code, variant) {
            fault(format!("{variant} has code {code}, as has {other}"));
        }
        if !has_row(tree, *code, variant) {
            fault(format!("{TABLE} has no row `| {code} | {variant} |`"));
        }
    }
    faults
}

/// Variants of `enum Rejection` with their lines: the words one level deep.
fn variants(source: &File) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let body = source
        .lines()
        .skip_while(|(_, line)| !line.starts_with("pub enum Rejection"));
    for (number, line) in body {
        let trimmed = line.trim();
        if depth == 1 && trimmed.starts_with(char::is_uppercase) {
            found.push((first_word(trimmed).to_owned(), number));
        }
        if !trimmed.starts_with("//") && !trimmed.starts_with("#[") {
            depth += line.matches('{').count();
            depth = depth.saturating_sub(line.matches('}').count());
        }
        if line == "}" {
            break;
        }
    }
    found
}

/// Arms of `fn code`: `Self::Variant { .. } => 214,`.
fn codes(source: &File) -> BTreeMap<String, u16> {
    source
        .lines()
        .map(|(_, line)| line.trim())
        .skip_while(|line| !line.contains("const fn code("))
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            let (pattern, value) = line.split_once("=>")?;
            let variant = first_word(pattern.trim().strip_prefix("Self::")?);
            let code = value.trim().trim_end_matches(',').parse().ok()?;
            Some((variant.to_owned(), code))
        })
        .collect()
}

fn has_row(tree: &Tree, code: u16, variant: &str) -> bool {
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

fn first_word(text: &str) -> &str {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .next()
        .unwrap_or_default()
}
