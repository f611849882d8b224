//! The independent program: compiled with gcc and run over every vector.

use super::values::with_salt;
use super::{FILES, folder, text};
use crate::Threads;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Compiler and flags: the chapter's, and every warning an error.
const COMPILER: &str = "gcc";
const FLAGS: [&str; 7] = [
    "-std=c11",
    "-O2",
    "-ffp-contract=off",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-pedantic",
];

/// Files of a folder with an extension, sorted.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files
}

/// The compiled program, in a folder that goes when the value is dropped.
struct Program {
    folder: tempfile::TempDir,
}

impl Program {
    fn compile() -> Self {
        let program = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let sources = files(&super::folder().join("../../arithmetic"), "c");
        let mut gcc = Command::new(COMPILER);
        gcc.args(FLAGS)
            .arg("-o")
            .arg(program.path())
            .args(sources)
            .arg("-lm");
        let output = gcc.output().unwrap_or_else(|error| {
            panic!("{COMPILER} is needed to compile the specification's program: {error}")
        });
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{COMPILER} refuses the program:\n{errors}"
        );
        program
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("arithmetic")
    }

    /// Runs the program; gives whether it succeeded and what it wrote.
    fn run(&self, arguments: &[PathBuf]) -> (bool, String) {
        let output = Command::new(self.path()).args(arguments).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    }
}

/// The number of rows in a file.
fn row_count(path: &Path) -> usize {
    let rows: Vec<Value> = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    rows.len()
}

#[test]
fn an_independent_program_agrees_with_every_vector() {
    let program = Program::compile();
    let paths = files(&folder(), "json");
    let mut names: Vec<_> = FILES.iter().map(|(name, _)| folder().join(name)).collect();
    names.sort();
    assert_eq!(paths, names, "files in the folder of the vectors");
    let rows: usize = paths.iter().map(|path| row_count(path)).sum();
    assert_eq!(program.run(&paths), (true, format!("{rows} rows agree\n")));
    refuses_what_it_does_not_agree_with(&program);
}

/// Rows made from other texts agree as well; `VECTOR_SALTS` asks for more of them.
#[test]
fn the_program_and_the_engine_agree_on_other_numbers() {
    let program = Program::compile();
    let count = env::var("VECTOR_SALTS").map_or(2, |count| count.parse().unwrap());
    for salt in 1..=count {
        let mut paths = Vec::new();
        let mut total = 0;
        for (name, rows) in FILES {
            let rows = with_salt(salt, || rows(&Threads::new(1)));
            total += rows.len();
            paths.push(program.folder.path().join(name));
            fs::write(program.folder.path().join(name), text(&rows)).unwrap();
        }
        let agreement = (true, format!("{total} rows agree\n"));
        assert_eq!(program.run(&paths), agreement, "salt {salt}");
    }
}

/// Every 99991st input, against the table of errors in the chapter.
#[test]
fn no_measured_error_is_above_the_chapters() {
    let program = Program::compile();
    let arguments = ["errors", "99991"].map(PathBuf::from);
    let (succeeded, printed) = program.run(&arguments);
    assert!(succeeded, "{printed}");
    let chapter = fs::read_to_string(super::folder().join("../../arithmetic.md")).unwrap();
    let number = |text: &str| -> Option<f64> { text.split_whitespace().next()?.parse().ok() };
    let stated = |name: &str| {
        let rows = chapter.lines().filter(|line| line.starts_with('|'));
        let mut columns = rows.map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
        let row = columns.find(|row| row[1].split(", ").any(|function| function == name))?;
        number(row[3])
    };
    let mut seen = 0;
    for line in printed.lines() {
        let (name, rest) = line.split_once("  ").unwrap();
        let error = number(rest.rsplit_once("  ").unwrap().1).unwrap();
        let limit = stated(name).unwrap_or_else(|| panic!("the chapter has no error of {name}"));
        assert!(error <= limit, "{name}: {error} above {limit}");
        assert!(
            error > 0.5 * limit || line.contains("sample"),
            "{name}: {error} of {limit}"
        );
        seen += 1;
    }
    assert_eq!(seen, 10);
}

/// One changed bit, an unknown operation, an unread field and a missing one are failures.
fn refuses_what_it_does_not_agree_with(program: &Program) {
    let good = r#"{"name":"exp: one","input":{"x":"3f800000"},"expect":{"y":"402df854"}}"#;
    let path = program.folder.path().join("changed.json");
    let run = |text: &str| {
        fs::write(&path, format!("[{text}]")).unwrap();
        program.run(std::slice::from_ref(&path))
    };
    assert_eq!(run(good), (true, "1 rows agree\n".to_owned()));
    let changes = [
        (
            "402df854",
            "402df855",
            "y[0] is 402df854, expected 402df855",
        ),
        ("exp: one", "expo: one", "unknown operation"),
        (
            r#""x":"3f800000""#,
            r#""x":"3f800000","z":1"#,
            "z is not read",
        ),
        (
            r#""y":"402df854""#,
            r#""y":"402df854","z":"""#,
            "z is not read",
        ),
        (
            r#""y":"402df854""#,
            r#""y":"402df854 00000000""#,
            "has 1 numbers, expected 2",
        ),
        (r#""x":"3f800000""#, "", "x is missing"),
    ];
    for (from, to, message) in changes {
        let (agrees, text) = run(&good.replace(from, to));
        assert!(!agrees && text.contains(message), "{to}: {text}");
    }
}
