//! The chain under a virtual clock and network: one seed, one history.
//!
//! Every node is production's: its chain with state machine, mempool and store
//! (`node::chain`), malachite's protocol core and value sync with our driver, log and signing
//! history (`ledger_consensus::stock::core_engine`). What is not there is what a seed stands for:
//! the clock, the network, the disks' moods, the people.
//!
//! ```text
//! seed ─► Plan ─► Simulation ──events by virtual time──► nodes ──blocks──► Checker
//!                     ▲                                    │
//!                     └────── Network: delay, loss, ◄──────┘
//!                             partition, duplicates
//! ```
//!
//! * [`Plan`]: how many nodes, who lies and how, what breaks when, who drops old blocks, who comes
//!   back by state sync after its store was lost, who changes its key.
//! * [`Simulation`]: the queue of events; the only randomness is the seed's.
//! * [`Checker`]: after every step, over all honest nodes: one block a height, one root, supply,
//!   each transaction once, each nonce once and in order, certificates of a quorum, nothing that
//!   was acknowledged is gone, and no honest key signs two messages of one place. In the end: all
//!   honest nodes get ahead together once the faults are over, liars that were heard are frozen,
//!   and no honest validator is.
//! * [`Mutant`]: seeded bugs, each of which the checker must find: the tests of these tests.
//!
//! A history that fails prints the command that repeats it, to the same trace.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test crate: what cannot be is a failed test"
)]

mod check;
mod disk;
mod joining;
mod liar;
mod machine;
mod mutant;
mod network;
mod plan;
mod simulation;
mod workload;

pub use check::{Checker, Violation};
pub use liar::Liar;
pub use mutant::Mutant;
pub use plan::{Fault, Join, Plan};
pub use simulation::{Outcome, Simulation};

/// Runs one history.
///
/// # Errors
/// What was violated first.
pub fn run(plan: Plan) -> Result<Outcome, Box<Violation>> {
    Simulation::new(plan).run()
}
