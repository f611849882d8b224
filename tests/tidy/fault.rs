//! A broken rule and where it is broken.

use std::fmt;

/// One place where one rule does not hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fault {
    file: String,
    line: usize,
    rule: String,
}

impl Fault {
    /// A fault at a line, counted from one.
    pub(crate) fn at(file: &str, line: usize, rule: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line,
            rule: rule.into(),
        }
    }
    /// A fault of a file as a whole.
    pub(crate) fn of(file: &str, rule: impl Into<String>) -> Self {
        Self::at(file, 1, rule)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, rule } = self;
        write!(f, "{file}:{line}: {rule}")
    }
}

/// Fails with every fault, sorted, one a line.
pub(crate) fn report(mut faults: Vec<Fault>) {
    faults.sort();
    let lines: Vec<String> = faults.iter().map(Fault::to_string).collect();
    assert!(
        lines.is_empty(),
        "{} rules are broken:\n{}",
        lines.len(),
        lines.join("\n")
    );
}
