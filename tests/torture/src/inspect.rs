//! Opens a store as a node does when it starts, in a process of its own, and says what it holds:
//! databases have been known to abort, hang and ask for all memory when their files are damaged.

use crate::{Common, say, world};
use anyhow::{Context as _, Result};
use node::chain::Chain;
use std::{
    io::Read as _,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

/// Longer than any opening.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a process said about a store.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Its height and the hash of everything, in a line.
    Holds(String),
    /// It refused, and named this.
    Named(String),
    /// It was killed by the system, or gave no reason.
    Died(String),
    /// It did not come to an end.
    Hung,
}

/// Says what the store holds, or fails with the damage.
///
/// # Errors
/// With the damage.
pub(crate) fn run(common: Common, folder: &Path) -> Result<()> {
    let store = common.store.open(folder)?;
    store.check()?;
    Chain::open(&world::chain()?, Arc::clone(&store))?;
    say(&format!("holds {}", summary(store.as_ref())?))
}

/// Everything that a store holds, in a line.
pub(crate) fn summary(store: &dyn ledger_store::Store) -> Result<String> {
    let checked = store.check()?;
    let tip = store.tip()?.context("the store is empty")?;
    let mut last = String::new();
    for height in checked.first.get()..=checked.tip.get() {
        let block = store.block(protocol::Height::new(height))?;
        last = block.context("a block is missing")?.block_id.to_string();
    }
    Ok(format!("{checked:?} {} {last}", tip.state_root))
}

/// Runs [`run`] in a process.
pub(crate) fn apart(common: Common, folder: &Path) -> Result<Finding> {
    let mut process = Command::new(std::env::current_exe()?)
        .arg("inspect")
        .args(["--store", &common.store.to_string()])
        .arg("--folder")
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = process.try_wait()? {
            break status;
        }
        if begun.elapsed() > PATIENCE {
            process.kill()?;
            process.wait()?;
            return Ok(Finding::Hung);
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let (mut out, mut err) = (String::new(), String::new());
    process
        .stdout
        .take()
        .context("output")?
        .read_to_string(&mut out)?;
    process
        .stderr
        .take()
        .context("errors")?
        .read_to_string(&mut err)?;
    let named = err.lines().find_map(|line| line.strip_prefix("torture: "));
    Ok(match (out.strip_prefix("holds "), named) {
        (Some(holds), _) if status.success() => Finding::Holds(holds.trim().to_owned()),
        (_, Some(named)) => Finding::Named(named.to_owned()),
        _ => Finding::Died(format!(
            "{status}: {}",
            err.lines().last().unwrap_or_default()
        )),
    })
}
