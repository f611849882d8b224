//! The independent program: compiled with gcc and run over every vector.

use super::folder;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Compiler and flags, as the chapter gives them.
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

/// Compiles the program into a folder of its own, which goes when the value is dropped.
struct Program {
    folder: PathBuf,
}

impl Program {
    fn compile() -> Self {
        let folder = env::temp_dir().join(format!("cairn-arithmetic-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let program = Self { folder };
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
        self.folder.join("arithmetic")
    }

    /// Runs the program; gives whether it succeeded and what it wrote.
    fn run(&self, files: &[PathBuf]) -> (bool, String) {
        let output = Command::new(self.path()).args(files).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

#[test]
fn an_independent_program_agrees_with_every_vector() {
    let program = Program::compile();
    let files = files(&folder(), "json");
    let rows = files.iter().map(|path| {
        let rows: Vec<Value> = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        rows.len()
    });
    let expected = format!("{} rows agree\n", rows.sum::<usize>());
    assert_eq!(program.run(&files), (true, expected));

    refuses_what_it_does_not_agree_with(&program);
}

/// One changed bit, an unknown operation, an unread field and a missing one are failures.
fn refuses_what_it_does_not_agree_with(program: &Program) {
    let good = r#"{"name":"exp: one","input":{"x":"3f800000"},"expect":{"y":"402df854"}}"#;
    let path = program.folder.join("changed.json");
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
