//! Tortures the store that nodes commit to, and says what became of it.
//!
//! ```sh
//! cargo run --release -p tests-torture -- kills --count 500
//! cargo run --release -p tests-torture -- faults --store redb
//! ```
//!
//! **kills.** A child process decides blocks of signed transfers through everything that a node has
//! between a decision and the disk (mempool, [`node::chain`], state machine, store), writes notes
//! in between, and says on its standard output what was acknowledged to it. The parent ends it with
//! kill -9 at an instant drawn from the seed, opens the store, and applies every block that is new
//! to it to a replica of its own, which began with genesis: certificates, state roots, entries,
//! index and notes must be those of the replica, and nothing that was acknowledged may be missing.
//!
//! **faults.** The same child meets the end of its disk (a small tmpfs, where the machine lets us
//! mount one) and of what it may write (`RLIMIT_FSIZE`); it must end by itself and say why, and
//! when there is room again nothing acknowledged may be missing. Then copies of a good store are
//! cut off, have bits flipped, and pages zeroed or written over with rubbish. Another process opens
//! each copy, as a node does when it starts: it must hold everything, or name the damage.
//!
//! The exit status is 0 only if nothing was lost in silence and nothing hung. The seed is printed.

mod child;
mod damage;
mod full;
mod inspect;
mod kills;
mod world;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use ledger_store::Choice;
use std::{io::Write as _, path::PathBuf, process::ExitCode};

/// Tortures the store that nodes commit to.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Kill -9 at random instants under load.
    Kills {
        #[command(flatten)]
        common: Common,
        /// How many times.
        #[arg(long, default_value_t = 500)]
        count: u64,
        /// A fresh chain after so many kills.
        #[arg(long, default_value_t = 25)]
        fresh_every: u64,
    },
    /// Full disks, write errors, cuts, flips and rubbish.
    Faults {
        #[command(flatten)]
        common: Common,
        /// Trials of each kind.
        #[arg(long, default_value_t = 100)]
        count: u64,
    },
    /// Decide blocks until something ends it.
    #[command(hide = true)]
    Child {
        #[command(flatten)]
        common: Common,
        /// The store's folder.
        #[arg(long)]
        folder: PathBuf,
    },
    /// Open a store as a node does, and say what it holds.
    #[command(hide = true)]
    Inspect {
        #[command(flatten)]
        common: Common,
        /// The store's folder.
        #[arg(long)]
        folder: PathBuf,
    },
    /// Fill a small file system; runs where it may mount one.
    #[command(hide = true)]
    Full {
        #[command(flatten)]
        common: Common,
        /// Where the file system is mounted.
        #[arg(long)]
        folder: PathBuf,
    },
}

/// What every command asks.
#[derive(Clone, Copy, Debug, Args)]
struct Common {
    /// Which database.
    #[arg(long, default_value = "sled")]
    store: Choice,
    /// From which everything random is drawn.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn say(line: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Kills {
            common,
            count,
            fresh_every,
        } => kills::run(common, count, fresh_every.max(1)),
        Command::Faults { common, count } => {
            full::run(common, count).and_then(|()| damage::run(common, count))
        }
        Command::Child { common, folder } => child::run(common, &folder),
        Command::Inspect { common, folder } => inspect::run(common, &folder),
        Command::Full { common, folder } => full::fill(common, &folder),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "torture: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
