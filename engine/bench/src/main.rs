//! Measures the engine beside its peers, in one run, on one machine.
//!
//! ```text
//! cargo run --release --bin bench-engine -- [--json FILE] [--rounds N] [--seconds S] [--no-peer]
//! ```
//!
//! The same model, batch and number of threads for both: ours and the peer's (`peer.py`), one after
//! the other, every measurement in a process of its own, several rounds. A ratio is taken within
//! a round and the median of the rounds is reported, so that a busy machine disturbs both sides
//! alike. Rates of one thread are by processor time, rates of several by the clock. The machine's
//! own limits, multiply-adds a second and bytes a second, are measured in the same run.

mod limits;
mod peer;
mod report;
mod workload;

use anyhow::{Context, Result, bail};
use report::{Report, Row};
use std::io::Write;
use std::path::PathBuf;

/// The allocator of the `cairn` binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "\
Measures the engine beside its peers, in one run, on one machine.

Usage: bench-engine [--json FILE] [--rounds N] [--seconds S] [--no-peer]
       bench-engine worker KIND THREADS SECONDS

Options:
  --json FILE    also write all numbers to FILE
  --rounds N     rounds, of which the medians are shown (3)
  --seconds S    how long every measurement lasts (4)
  --no-peer      measure the engine alone, without PyTorch
  -h, --help     print this

A worker measures one thing and prints one line of JSON. KIND is train, prefill, generate,
product, matrixmultiply, fma or bandwidth.
";

/// What was asked for.
struct Options {
    json: Option<PathBuf>,
    rounds: usize,
    seconds: f64,
    peer: bool,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, kind, threads, seconds] = arguments.as_slice()
        && word == "worker"
    {
        return workload::work(kind, threads.parse()?, seconds.parse()?);
    }
    if arguments
        .iter()
        .any(|word| word == "--help" || word == "-h")
    {
        return Ok(std::io::stdout().write_all(USAGE.as_bytes())?);
    }
    let options = options(&arguments)?;
    let peer = if options.peer {
        peer::Peer::prepare()
    } else {
        None
    };
    let mut report = Report::new();
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        for row in Row::ALL {
            report.add(row, measure(row, peer.as_ref(), options.seconds)?);
        }
    }
    report.print(peer.as_ref().map(peer::Peer::description));
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&report.json())?;
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

fn options(arguments: &[String]) -> Result<Options> {
    let mut options = Options {
        json: None,
        rounds: 3,
        seconds: 4.0,
        peer: true,
    };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let mut value = || {
            words
                .next()
                .with_context(|| format!("{word} needs a value"))
        };
        match word.as_str() {
            "--json" => options.json = Some(value()?.into()),
            "--rounds" => options.rounds = value()?.parse().context("--rounds")?,
            "--seconds" => options.seconds = value()?.parse().context("--seconds")?,
            "--no-peer" => options.peer = false,
            _ => bail!("{word} is not an option of bench-engine"),
        }
    }
    Ok(options)
}

/// One round of one row: ours, then the peer's where there is one.
fn measure(
    row: Row,
    peer: Option<&peer::Peer>,
    seconds: f64,
) -> Result<(workload::Measured, Option<workload::Measured>)> {
    let ours = workload::in_own_process(row.ours(), row.threads(), seconds)?;
    let theirs = match (row.theirs(), peer) {
        (report::Theirs::Worker(kind), _) => {
            Some(workload::in_own_process(kind, row.threads(), seconds)?)
        }
        (report::Theirs::Python(kind), Some(peer)) => {
            Some(peer.measure(kind, row.threads(), seconds)?)
        }
        _ => None,
    };
    Ok((ours, theirs))
}
