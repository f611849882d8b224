//! The text of files: length, width, banned words, machine paths.

use crate::{
    fault::Fault,
    tree::{File, Tree},
};

/// Widest line of Rust source, in characters; the content of strings and rows of tables in comments
/// do not count, because rustfmt and readers leave them whole.
const COLUMNS_MAX: usize = 100;
/// Most lines of a source file outside its tests.
const LINES_COUNT_MAX: usize = 600;
/// How a longer file explains itself.
const LONG_REASON: &str = "//! Long because";
/// What finished source does not contain.
const BANNED: &[(&str, &str)] = &[
    (concat!("to", "do!("), "unfinished code"),
    (concat!("unimplem", "ented!("), "unfinished code"),
    (concat!("db", "g!("), "debugging output"),
    (concat!("#[ig", "nore"), "a test that does not run"),
    (concat!("FIX", "ME"), "unfinished code"),
    (concat!("XX", "X"), "unfinished code"),
];
/// A test that another test runs as its child process does run.
const CHILD: &str = "the test above";
/// Beginnings of paths that exist on one machine only.
const MACHINE_PATHS: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/fa", "rm/"),
    concat!("/tmp/ba", "sh_jobs"),
];

/// Every line that breaks a limit.
pub(crate) fn faults(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in &tree.files {
        faults.extend(machine_paths(file));
        if file.is_rust() {
            faults.extend(length(file));
            faults.extend(width(file));
            faults.extend(banned(file));
        }
    }
    faults
}

fn length(file: &File) -> Option<Fault> {
    let lines_count = file.production_lines_count();
    let explained = file.lines().any(|(_, line)| line.starts_with(LONG_REASON));
    let rule = format!(
        "file has {lines_count} lines outside tests; {LINES_COUNT_MAX} are allowed without \
         `{LONG_REASON}`"
    );
    (lines_count > LINES_COUNT_MAX && !explained).then(|| Fault::of(&file.path, rule))
}

fn width(file: &File) -> Vec<Fault> {
    file.lines()
        .filter(|(_, line)| !is_table_row(line))
        .map(|(number, line)| (number, without_strings(line).chars().count()))
        .filter(|(_, columns)| *columns > COLUMNS_MAX)
        .map(|(number, columns)| {
            let rule = format!("line has {columns} columns; {COLUMNS_MAX} are allowed");
            Fault::at(&file.path, number, rule)
        })
        .collect()
}

fn is_table_row(line: &str) -> bool {
    let comment = line.trim_start().trim_start_matches(['/', '!']);
    comment.len() < line.trim_start().len() && comment.trim_start().starts_with('|')
}

/// The line with the content of its strings left out.
fn without_strings(line: &str) -> String {
    line.split('"').step_by(2).collect::<Vec<_>>().join("\"\"")
}

fn banned(file: &File) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (number, line) in file.lines() {
        for (word, meaning) in BANNED {
            if has_word(line, word) && !line.contains(CHILD) {
                faults.push(Fault::at(
                    &file.path,
                    number,
                    format!("{word} is {meaning}"),
                ));
            }
        }
    }
    faults
}

fn machine_paths(file: &File) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (number, line) in file.lines() {
        for path in MACHINE_PATHS {
            if has_word(line, path) {
                let rule = format!("{path} exists on one machine only");
                faults.push(Fault::at(&file.path, number, rule));
            }
        }
    }
    faults
}

/// Whether `word` stands in the line and does not continue a longer word or path.
fn has_word(line: &str, word: &str) -> bool {
    let continues = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '}');
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(continues))
}
