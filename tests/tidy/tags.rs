//! Domain tags: each is written in one place, so that no two hashes can be confused, and in one
//! chapter, so that another implementation can repeat them.

use crate::{fault::Fault, tree::Tree};
use std::collections::BTreeMap;

/// Tags written twice outside tests, or in no chapter.
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
        if !is_specified(tree, &tag) {
            let rule = format!("domain tag {tag:?} is in no chapter of spec/");
            faults.push(Fault::at(first, *line, rule));
        }
        for (file, number) in again {
            let rule = format!("domain tag {tag:?} is already used at {first}:{line}");
            faults.push(Fault::at(file, *number, rule));
        }
    }
    faults
}

fn is_specified(tree: &Tree, tag: &str) -> bool {
    tree.files
        .iter()
        .filter(|file| file.path.starts_with("spec/") && file.path.ends_with(".md"))
        .any(|file| file.text().contains(tag))
}

/// String literals of the line that are tags; comments may quote them.
fn tags(line: &str) -> impl Iterator<Item = &str> {
    let code = line.split("//").next().unwrap_or_default();
    code.split('"')
        .skip(1)
        .step_by(2)
        .filter(|literal| is_tag(literal))
}

/// Words separated by slashes or spaces that end with a version, such as `verdict/v1`. Names of
/// network protocols begin with a slash and are not tags.
fn is_tag(literal: &str) -> bool {
    let without_version = literal.trim_end_matches(|c: char| c.is_ascii_digit());
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "/- ".contains(c);
    without_version.len() < literal.len()
        && (without_version.ends_with("/v") || without_version.ends_with(" v"))
        && literal.starts_with(|c: char| c.is_ascii_lowercase())
        && literal.chars().all(is_plain)
}
