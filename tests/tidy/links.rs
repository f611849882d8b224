//! Citations: chapters named in the source and files linked from the texts exist.

use crate::{
    fault::Fault,
    tree::{File, Tree},
};
use std::path::Path;

/// Citations of chapters and files that do not exist.
pub(crate) fn faults(tree: &Tree) -> Vec<Fault> {
    let mut faults: Vec<Fault> = tree
        .rust_files()
        .flat_map(|file| chapter_faults(tree, file))
        .collect();
    let texts = tree.files.iter().filter(|file| file.path.ends_with(".md"));
    faults.extend(texts.flat_map(|file| link_faults(tree, file)));
    faults
}

/// `Spec: 03-proof §2` cites `spec/03-proof.md`.
fn chapter_faults(tree: &Tree, file: &File) -> Vec<Fault> {
    let mark = concat!("Spec", ": ");
    let mut faults = Vec::new();
    for (number, line) in file.lines() {
        let Some((before, cited)) = line.split_once(mark) else {
            continue;
        };
        if !before.trim_start().starts_with("//") {
            continue;
        }
        let end = |c: char| !(c.is_ascii_alphanumeric() || c == '-');
        let chapter = cited.split(end).next().unwrap_or_default();
        if tree.file(&format!("spec/{chapter}.md")).is_none() {
            let rule = format!("cites spec/{chapter}.md, which does not exist");
            faults.push(Fault::at(&file.path, number, rule));
        }
    }
    faults
}

/// `[text](path)` names a file beside the text.
fn link_faults(tree: &Tree, file: &File) -> Vec<Fault> {
    let folder = Path::new(&file.path).parent().unwrap_or(Path::new(""));
    let mut faults = Vec::new();
    for (number, line) in file.lines() {
        for target in line
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let path = target.split('#').next().unwrap_or_default();
            let is_file = !path.is_empty() && !path.contains(':');
            if is_file && !tree.root.join(folder).join(path).exists() {
                let rule = format!("links to {path}, which does not exist");
                faults.push(Fault::at(&file.path, number, rule));
            }
        }
    }
    faults
}
