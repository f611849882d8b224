//! Validators in processes of their own, on real sockets and a real disk: blocks a second beside
//! the engine alone, transfers a second, and how long a transfer takes until it is final.

pub(crate) mod bare;
mod bulk;
mod cuts;
mod homes;
mod load;
mod nodes;
pub(crate) mod state_sync;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use homes::Homes;
use load::Load;
use nodes::Nodes;
use std::time::Duration;

/// Longest wait for first blocks.
const PATIENCE: Duration = Duration::from_secs(60);

/// How the network is made and measured.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Validators.
    #[arg(long, default_value_t = 4)]
    validators: usize,
    /// Seconds of every measurement.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Accounts that send, each one transfer at a time.
    #[arg(long, default_value_t = 2_048)]
    senders: usize,
    /// First port of 127.0.0.1 of three for each validator.
    #[arg(long, default_value_t = 8_700)]
    port: u16,
    /// Blocks no closer than this, in milliseconds.
    #[arg(long, default_value_t = 0)]
    interval_ms: u64,
    /// Run each validator in a network namespace that `links` made, whose names begin so.
    #[arg(long)]
    namespaces: Option<String>,
    /// Measure memory for so many seconds more, at half of the load.
    #[arg(long, default_value_t = 0)]
    soak_seconds: u64,
    /// The database of the validators, sled or redb.
    #[arg(long, default_value_t)]
    store: ledger_store::Choice,
    /// Blocks that the validators keep; 0 for all.
    #[arg(long, default_value_t = 0)]
    keep_blocks: u64,
    /// Cut the network through this file of `links`' rules, in halves and a third off.
    #[arg(long, requires = "namespaces")]
    rules: Option<std::path::PathBuf>,
    /// Seconds of each cut.
    #[arg(long, default_value_t = 60)]
    cut_seconds: u64,
    /// MiB of the state that is fetched by state sync.
    #[arg(long, default_value_t = 1_024)]
    state_mib: u64,
    /// The database of its nodes, sled or redb.
    #[arg(long, default_value_t)]
    state_store: ledger_store::Choice,
}

/// Measures all of it.
pub(crate) async fn measure(options: &Options) -> Result<()> {
    let bare = bare_blocks(options).await?;
    println!(
        "\n{} validators, {} s each | blocks/s | between blocks, ms: p50 | p99",
        options.validators, options.seconds
    );
    println!("the engine alone | {bare}");
    let homes = Homes::make(options)?;
    let mut nodes = Nodes::start(&homes, nodes::cairn)?;
    nodes.wait_for_blocks(PATIENCE).await?;
    let empty = nodes.watch(Duration::from_secs(options.seconds)).await?;
    println!("validators, empty blocks | {empty}");
    println!(
        "blocks beside the engine alone: {:.2}",
        empty.per_s / bare.per_s
    );
    if let Some(rules) = &options.rules {
        return cuts::measure(options, &nodes, rules).await;
    }
    loaded(options, &homes, &nodes).await
}

/// The engine with an application that keeps nothing.
async fn bare_blocks(options: &Options) -> Result<Pace> {
    let homes = Homes::bare(options)?;
    let own = std::env::current_exe().context("this program's own path")?;
    let mut nodes = Nodes::start(&homes, |home| Ok(nodes::bare(&own, home)))?;
    let duration = Duration::from_secs(options.seconds);
    tokio::task::spawn_blocking(move || nodes.paces(duration)).await?
}

/// Transfers: as many as go, then half as many at an even rate.
async fn loaded(options: &Options, homes: &Homes, nodes: &Nodes) -> Result<()> {
    let mut load = Load::new(homes, nodes);
    let full = load.run(None, Duration::from_secs(options.seconds)).await?;
    let half = load
        .run(Some(full.per_s / 2.0), Duration::from_secs(options.seconds))
        .await?;
    println!("\nload | transfers/s | blocks/s | final after, ms: p50 | p99 | refused");
    println!("full | {full}");
    println!("half | {half}");
    println!("resident MiB: {:?}", nodes.resident_mib());
    let mut left = options.soak_seconds;
    while left > 0 {
        let part = left.min(60);
        left -= part;
        let soaked = load
            .run(Some(full.per_s / 2.0), Duration::from_secs(part))
            .await?;
        println!("half | {soaked} | resident MiB {:?}", nodes.resident_mib());
    }
    ensure!(full.count > 0, "no transfer became final");
    Ok(())
}

/// How fast blocks followed one another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
}

impl Pace {
    /// Of the times between one block and the next, in milliseconds.
    fn of(mut gaps_ms: Vec<f64>) -> Result<Self> {
        ensure!(!gaps_ms.is_empty(), "fewer than two blocks were made");
        let sum: f64 = gaps_ms.iter().sum();
        let per_s = gaps_ms.len() as f64 / sum * 1e3;
        let (p50_ms, p99_ms) = (quantile(&mut gaps_ms, 0.5), quantile(&mut gaps_ms, 0.99));
        Ok(Self {
            per_s,
            p50_ms,
            p99_ms,
        })
    }
}

impl std::fmt::Display for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            per_s,
            p50_ms,
            p99_ms,
        } = self;
        write!(f, "{per_s:.1} | {p50_ms:.1} | {p99_ms:.1}")
    }
}

/// The value below which this share lies; 0 of none.
fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    let index = (share * last as f64).round() as usize;
    values.get(index).copied().unwrap_or_default()
}
