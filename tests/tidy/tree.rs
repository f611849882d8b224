//! What git tracks, and which part of a source file is test code.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// One tracked file that exists.
#[derive(Debug)]
pub(crate) struct File {
    /// Relative to the root, with forward slashes.
    pub(crate) path: String,
    /// Its size.
    pub(crate) bytes: u64,
    /// Its text, when it is UTF-8.
    pub(crate) text: Option<String>,
}

impl File {
    /// Whether it is Rust source.
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
    /// Its text; nothing for binary files.
    pub(crate) fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }
    /// Its lines, numbered from one.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text()
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
    }
    /// Whether the whole file is test code: `tests.rs`, or inside a crate's `tests/` or `benches/`.
    pub(crate) fn is_test(&self) -> bool {
        let folders: Vec<&str> = self.path.split('/').collect();
        folders
            .iter()
            .any(|part| matches!(*part, "tests" | "benches"))
            || folders.last().is_some_and(|name| *name == "tests.rs")
    }
    /// The number of lines before the test module, or of all lines when there is none.
    pub(crate) fn production_lines_count(&self) -> usize {
        if self.is_test() {
            return 0;
        }
        self.lines()
            .find(|(_, line)| line.trim_start().starts_with("#[cfg(test)]"))
            .map_or_else(|| self.lines().count(), |(line, _)| line - 1)
    }
    /// Lines outside test code, numbered from one.
    pub(crate) fn production_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines().take(self.production_lines_count())
    }
    /// Lines of test code, numbered from one.
    pub(crate) fn test_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines().skip(self.production_lines_count())
    }
}

/// All tracked files.
#[derive(Debug)]
pub(crate) struct Tree {
    /// The root of the checkout.
    pub(crate) root: PathBuf,
    /// In git's order.
    pub(crate) files: Vec<File>,
}

impl Tree {
    /// Lists what git tracks; files deleted from the checkout are left out.
    pub(crate) fn load() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .expect("invariant: this package is one folder below the root")
            .to_owned();
        let listed = Command::new("git")
            .args(["ls-files", "-z"])
            .current_dir(&root)
            .output()
            .expect("git lists the tracked files");
        assert!(listed.status.success(), "git ls-files failed");
        let names = String::from_utf8(listed.stdout).unwrap();
        let files = names
            .split_terminator('\0')
            .filter_map(|path| read(&root, path))
            .collect();
        Self { root, files }
    }
    /// The tracked file with this path.
    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }
    /// All Rust source.
    pub(crate) fn rust_files(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.is_rust())
    }
}

fn read(root: &Path, path: &str) -> Option<File> {
    let bytes = fs::read(root.join(path)).ok()?;
    Some(File {
        path: path.to_owned(),
        bytes: bytes.len() as u64,
        text: String::from_utf8(bytes).ok(),
    })
}
