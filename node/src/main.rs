//! The `cairn` binary: one program for validators, miners, holders and researchers.

use clap::Parser as _;
use std::{io::Write as _, process::ExitCode};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = node::cli::Arguments::parse();
    match arguments.run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be closed; the exit status still says it.
            drop(writeln!(std::io::stderr(), "cairn: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
