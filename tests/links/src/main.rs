//! Runs a command between links that are slow, late, lossy or cut, as those of the world are.
//!
//! ```text
//! links --nodes 8 --rate-mbit 100 --delay-ms 50 -- cairn devnet --namespaces cairn- …
//! ```
//!
//! Makes a network namespace for each node, `cairn-0` to `cairn-7`, whose only way out is a TUN
//! device at 10.77.0.1 to 10.77.0.8, and carries their packets in this process: a packet leaves a
//! node at the rate of its link, travels for the delay, and enters another node at the rate of that
//! one's link. Queues hold a tenth of a second; what does not fit is dropped, as a router does.
//! Nothing is simulated but the wire: TCP, and what runs on it, is that of the system. (`tc netem`
//! does the same where the kernel has it.) The machine itself is node 10.77.0.254, without a rate,
//! a delay or a loss, so that whoever watches is not in the way and is not counted.
//!
//! Needs Linux, root, `ip` and /dev/net/tun. `--rules FILE` is read again whenever it changes:
//!
//! ```json
//! {"rate_mbit": 100, "delay_ms": 50, "loss_micro": 10000, "groups": [[0, 1], [2, 3]]}
//! ```
//!
//! Nodes of different groups do not hear one another; those of no group are one more. When the
//! command has ended, what every node sent and received is printed as JSON, headers included, and
//! the namespaces are gone.

mod lane;
mod namespaces;
mod rules;
mod tun;
mod wire;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use rules::Rules;
use std::{
    io::Write as _,
    path::PathBuf,
    process::{ExitCode, ExitStatus},
};
use wire::Wire;

/// Runs a command between slow links.
#[derive(Debug, Parser)]
struct Arguments {
    /// Nodes, each with a namespace and an address of its own.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=250))]
    nodes: u8,
    /// What the names of namespaces begin with.
    #[arg(long, default_value = "cairn-")]
    prefix: String,
    /// Rate of every link in each direction.
    #[arg(long, default_value_t = 100)]
    rate_mbit: u64,
    /// How long a packet travels, one way.
    #[arg(long, default_value_t = 50)]
    delay_ms: u64,
    /// Packets of a million that are lost.
    #[arg(long, default_value_t = 0)]
    loss_micro: u64,
    /// From which it is drawn which ones are lost.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A file of rules that hold instead, read again whenever it changes.
    #[arg(long)]
    rules: Option<PathBuf>,
    /// Write the counts here instead of to standard error.
    #[arg(long)]
    report: Option<PathBuf>,
    /// The command.
    #[arg(required = true, last = true)]
    command: Vec<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let rules = match &arguments.rules {
        Some(path) => Rules::read(path)?,
        None => Rules {
            rate_mbit: arguments.rate_mbit,
            delay_ms: arguments.delay_ms,
            loss_micro: arguments.loss_micro,
            groups: Vec::new(),
        },
    };
    let made = namespaces::make(&arguments.prefix, arguments.nodes)?;
    let wire = Wire::start(made.devices, rules, arguments.seed)?;
    if let Some(path) = arguments.rules.clone() {
        wire.follow(path);
    }
    let status = run(&arguments.command).await;
    drop(made.namespaces);
    let report = serde_json::to_string(&wire.counts()).context("cannot encode the counts")?;
    match &arguments.report {
        Some(path) => std::fs::write(path, &report)
            .with_context(|| format!("cannot write {}", path.display()))?,
        None => writeln!(std::io::stderr(), "{report}")?,
    }
    let code = status?.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

async fn run(command: &[String]) -> Result<ExitStatus> {
    let Some((program, arguments)) = command.split_first() else {
        bail!("no command");
    };
    let child = tokio::process::Command::new(program)
        .args(arguments)
        .spawn();
    let mut child = child.with_context(|| format!("cannot start {program}"))?;
    loop {
        tokio::select! {
            status = child.wait() => return status.context("cannot wait for the command"),
            // The command hears Ctrl-C as well, and this one ends after it.
            heard = tokio::signal::ctrl_c() => heard.context("cannot listen for Ctrl-C")?,
        }
    }
}
