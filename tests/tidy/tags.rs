//! Domain tags: each is written in one place, so that no two hashes can be confused.

use crate::{fault::Fault, tree::Tree};
use std::collections::BTreeMap;

/// Tags written twice outside tests.
pub(crate) fn faults(tree: &Tree) -> Vec<Fault> {
    let mut places: BTreeMap<String, Vec<(&str, usize)>> = BTreeMap::new();
    for file in tree.rust_files() {
        for (number, line) in file.production_lines() {
            for tag in tags(line) {
                places
                    .entry(tag.into())
                    .or_default()
                    .push((&file.path, number));
            }
        }
    }
    let mut faults = Vec::new();
    for (tag, places) in places {
        let ((first, line), again) = places.split_first().unwrap();
        for (file, number) in again {
            let rule = format!("domain tag {tag:?} is already used at {first}:{line}");
            faults.push(Fault::at(file, *number, rule));
        }
    }
    faults
}

/// String literals of the line that are tags: they begin with `cairn` and end with a version.
fn tags(line: &str) -> impl Iterator<Item = &str> {
    line.split('"')
        .skip(1)
        .step_by(2)
        .filter(|literal| is_tag(literal))
}

fn is_tag(literal: &str) -> bool {
    let Some(rest) = literal.strip_prefix("cairn") else {
        return false;
    };
    let version = rest.trim_end_matches(|c: char| c.is_ascii_digit());
    rest.starts_with(['/', ' '])
        && version.len() < rest.len()
        && (version.ends_with("/v") || version.ends_with(" v"))
}
