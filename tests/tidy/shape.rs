//! The shape of the tree: names of folders, manifests, sizes, chapters.

use crate::{
    fault::Fault,
    tree::{File, Tree},
};

/// Largest tracked file in bytes.
const FILE_BYTES_MAX: u64 = 2 << 20;
/// Names that say nothing about what is inside.
const VAGUE_NAMES: &[&str] = &["shared", "common", "utils", "util", "helpers", "misc"];
/// The only shell script.
const SCRIPT: &str = ".ci/run";
/// One chapter a word.
const CHAPTERS: &[&str] = &[
    "01-task",
    "02-rollout",
    "03-proof",
    "04-transaction",
    "05-block",
    "06-sample",
    "07-verdict",
    "08-reward",
    "09-checkpoint",
];

/// Everything out of shape.
pub(crate) fn faults(tree: &Tree) -> Vec<Fault> {
    let mut faults: Vec<Fault> = tree.files.iter().flat_map(file_faults).collect();
    for chapter in CHAPTERS {
        let path = format!("spec/{chapter}.md");
        if tree.file(&path).is_none() {
            faults.push(Fault::of(&path, "the chapter of this word is missing"));
        }
    }
    faults.extend(lock_faults(tree));
    faults
}

fn file_faults(file: &File) -> Vec<Fault> {
    let path = &file.path;
    let mut faults = Vec::new();
    let mut fault = |rule: String| faults.push(Fault::of(path, rule));
    let parts: Vec<&str> = path.split('/').collect();
    let (name, folders) = parts.split_last().unwrap();
    if *name == "mod.rs" {
        fault("modules are foo.rs beside foo/, never mod.rs".into());
    }
    for part in folders.iter().copied().chain(name.strip_suffix(".rs")) {
        if VAGUE_NAMES.contains(&part) {
            fault(format!("{part:?} says nothing about what is inside"));
        }
    }
    if file.bytes > FILE_BYTES_MAX {
        fault(format!(
            "file has {} bytes; at most {FILE_BYTES_MAX} are tracked",
            file.bytes
        ));
    }
    let is_script = name.ends_with(".sh") || name.ends_with(".bash") || is_shell(file.text());
    if is_script && path != SCRIPT {
        fault(format!("the only shell script is {SCRIPT}"));
    }
    if *name == "Cargo.toml" && path != "Cargo.toml" && !inherits_lints(file) {
        fault("the manifest lacks `[lints] workspace = true`".into());
    }
    faults
}

fn is_shell(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    first.starts_with("#!") && first.ends_with("sh")
}

fn inherits_lints(file: &File) -> bool {
    let mut lines = file.lines().map(|(_, line)| line.trim());
    lines.any(|line| line == "[lints]") && lines.next() == Some("workspace = true")
}

/// Two versions of libp2p would be two incompatible networks in one binary.
fn lock_faults(tree: &Tree) -> Vec<Fault> {
    let Some(lock) = tree.file("Cargo.lock") else {
        return vec![Fault::of("Cargo.lock", "the lock file is tracked")];
    };
    lock.lines()
        .filter(|(_, line)| *line == "name = \"libp2p\"")
        .skip(1)
        .map(|(line, _)| Fault::at("Cargo.lock", line, "a second version of libp2p"))
        .collect()
}
