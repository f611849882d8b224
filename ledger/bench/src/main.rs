//! `bench-ledger`: what the ledger does beside what the machine could.
//!
//! ```sh
//! cargo run --release --bin bench-ledger
//! ```
//!
//! In one run: signatures that one core can verify, together and one by one; blocks of transfers
//! and of commitments from their bytes to the new state, as a share of that; the same with more and
//! more accounts; every kind's cost beside its gas; and whole validators that make blocks, beside
//! the engine alone. All but the last count processor time of one thread, so that other programs
//! on the machine do not.
#![allow(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "measurements, printed; counts become rates"
)]

mod applying;
mod clock;
mod kinds;
mod limits;
mod network;
mod world;

use anyhow::Result;
use applying::Costs;
use clap::{Parser, ValueEnum};
use limits::Limits;
use world::World;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Accounts of the state in which gas counts what an entry takes.
const GAS_ACCOUNTS_COUNT: u64 = 1_000_000;

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Blocks through the state machine.
    Apply,
    /// The same with many accounts.
    Accounts,
    /// Gas of every kind.
    Gas,
    /// Validators in processes of their own.
    Network,
    /// A large state from one process to another; only if named.
    StateSync,
}

/// Measures the ledger.
#[derive(Debug, Parser)]
struct Arguments {
    /// Measure only these parts.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Accounts of the state, from few to many.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "10000,100000,1000000,10000000"
    )]
    accounts: Vec<u64>,
    #[command(flatten)]
    network: network::Options,
    /// Be one node of the engine alone, of this folder.
    #[arg(long, hide = true)]
    bare_node: Option<std::path::PathBuf>,
    /// Take so many pieces of a snapshot below this address.
    #[arg(long, hide = true)]
    count_pieces: Option<String>,
    #[arg(long, hide = true, default_value_t = 0)]
    pieces: u64,
}

/// Runs what waits for sockets and clocks.
fn wait<T>(what: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Runtime::new()?.block_on(what)
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let wants = |part| arguments.only.is_empty() || arguments.only.contains(&part);
    if let Some(home) = &arguments.bare_node {
        return wait(network::bare::run(home));
    }
    if let Some(url) = &arguments.count_pieces {
        return wait(network::state_sync::count_pieces(url, arguments.pieces));
    }
    let limits = limits::measure()?;
    println!(
        "one core verifies {:.0} signatures/s together, {:.0} one by one",
        1e6 / limits.batch_us,
        1e6 / limits.strict_us
    );
    if wants(Part::Apply) {
        let mut world = World::new(100_000)?;
        println!(
            "\n| us a transaction | decode | verify | apply | advance | all | of limit \
             | verify what waited | all | of limit |"
        );
        println!("|---|---|---|---|---|---|---|---|---|---|");
        say("transfers", &applying::transfers(&mut world)?, &limits);
        say("commitments", &applying::commitments(&mut world)?, &limits);
    }
    if wants(Part::Accounts) {
        println!("\n| accounts | apply and advance, us | beside the first | resident MiB |");
        println!("|---|---|---|---|");
        let mut first = None;
        for count in &arguments.accounts {
            let costs = applying::transfers(&mut World::new(*count)?)?;
            let us = costs.apply_us + costs.advance_us;
            let ratio = us / *first.get_or_insert(us);
            println!("| {count} | {us:.1} | {ratio:.2} | {} |", resident_mib());
        }
    }
    if wants(Part::Gas) {
        gas(&limits)?;
    }
    if wants(Part::Network) {
        wait(network::measure(&arguments.network))?;
    }
    if arguments.only.contains(&Part::StateSync) {
        wait(network::state_sync::measure(&arguments.network))?;
    }
    Ok(())
}

/// Every kind's gas beside the rules it runs and the entries it writes, each of which is a path
/// of the tree of a large state.
fn gas(limits: &Limits) -> Result<()> {
    let transfer = applying::transfers(&mut World::new(GAS_ACCOUNTS_COUNT)?)?;
    let entry_us = (transfer.apply_us + transfer.advance_us) / 2.0;
    println!(
        "\nan entry takes {entry_us:.1} us among {GAS_ACCOUNTS_COUNT}; a signature {:.1} us and {} gas",
        limits.strict_us,
        ledger_state::fee::SIGNATURE_GAS
    );
    println!("\n| kind | measured | rules, us | entries | all, us | gas | gas/us |");
    println!("|---|---|---|---|---|---|---|");
    for row in kinds::measure()? {
        let all_us = row.us + row.entries * entry_us;
        println!(
            "| `{}` | {} | {:.1} | {:.1} | {all_us:.0} | {:.0} | {:.2} |",
            row.kind,
            row.count,
            row.us,
            row.entries,
            row.gas,
            row.gas / all_us
        );
    }
    Ok(())
}

fn say(what: &str, costs: &Costs, limits: &Limits) {
    let share = |total_us: f64| 100.0 * limits.batch_us / total_us;
    let (total, known) = (costs.total_us(), costs.known_total_us());
    println!(
        "| {what} | {:.2} | {:.2} | {:.2} | {:.2} | {total:.2} | {:.0} % | {:.2} | {known:.2} | {:.0} % |",
        costs.decode_us,
        costs.verify_us,
        costs.apply_us,
        costs.advance_us,
        share(total),
        costs.known_us,
        share(known),
    );
}

/// Resident memory now.
fn resident_mib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text
        .split(' ')
        .nth(1)
        .and_then(|word| word.parse::<u64>().ok());
    pages.unwrap_or(0) * 4 / 1024
}
