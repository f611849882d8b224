//! Gas beside what it stands for: every kind's cost in the tests of the rules.
//!
//! Those tests meet every kind, in the states in which the chain meets it. Built for speed and
//! run with `CAIRN_COSTS`, they write down what each transaction took of its thread's time, and
//! this compares the middle of every kind with its gas. Tests check everything twice and share the
//! processor, but thread time counts neither.

use crate::clock::median;
use anyhow::{Context as _, Result, ensure};
use ledger_state::fee::{Cost, TABLE};
use std::{collections::BTreeMap, fs, process::Command};

/// A kind as measured.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The kind.
    pub(crate) kind: &'static str,
    /// Transactions measured.
    pub(crate) count: usize,
    /// Microseconds of the rules for the middle one.
    pub(crate) us: f64,
    /// Entries of the state that it writes, on average.
    pub(crate) entries: f64,
    /// Its gas, signature and bytes left out, at the mean number of parts.
    pub(crate) gas: f64,
}

/// Runs the tests and reads what they wrote.
pub(crate) fn measure() -> Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("costs");
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "test",
            "--release",
            "--quiet",
            "-p",
            "ledger-state",
            "--test",
            "rules",
        ])
        .env("CAIRN_COSTS", &path)
        .stdout(std::process::Stdio::null())
        .status()
        .context("cannot run the tests of the rules")?;
    ensure!(status.success(), "the tests of the rules failed");
    let text = fs::read_to_string(&path).context("the tests wrote no costs")?;
    let mut measured: BTreeMap<&str, Vec<[f64; 3]>> = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split(' ');
        let row = (|| {
            let kind = words.next()?;
            let parts: f64 = words.next()?.parse().ok()?;
            let ns: f64 = words.next()?.parse().ok()?;
            let entries: f64 = words.next()?.parse().ok()?;
            Some((kind, [parts, ns / 1_000.0, entries]))
        })();
        let (kind, costs) = row.with_context(|| format!("a cost reads {line:?}"))?;
        measured.entry(kind).or_default().push(costs);
    }
    let row = |(kind, cost): &(&'static str, Cost)| {
        let all = measured.get(kind).cloned().unwrap_or_default();
        let mean = |column: usize| {
            let sum: f64 = all.iter().map(|costs| costs[column]).sum();
            sum / all.len().max(1) as f64
        };
        Row {
            kind,
            count: all.len(),
            us: median(all.iter().map(|costs| costs[1]).collect()),
            entries: mean(2),
            gas: cost.fixed as f64 + cost.each as f64 * mean(0),
        }
    };
    Ok(TABLE.iter().map(row).collect())
}
