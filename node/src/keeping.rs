//! What a node keeps on its disk: opening it with care, and `cairn store`.
//!
//! A node reads everything that it keeps before it starts. What is damaged is named, with the
//! command that puts it right; a node never goes on with what it cannot vouch for.

use crate::{
    chain::{Chain, OpenError, proofs::ANCHOR},
    home::Home,
    syncing::{self, Synced, Trust, past, peers::Peers, unfinished::Unfinished},
};
use anyhow::{Context as _, Result, bail, ensure};
use clap::Subcommand;
use ledger_store::{Checked, Choice, Salvaged, Store, StoreError};
use protocol::{Height, block::Block, genesis::Genesis};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// What to do with a store.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read everything that a stopped node keeps, and name what is damaged.
    Check {
        /// The node's folder.
        #[arg(long)]
        home: PathBuf,
    },
    /// Make the store of a stopped node anew: its state from other nodes, by what validators
    /// signed, its blocks from what is still good here and else from them. Its own notes, such as
    /// the salts of audits that it must reveal, are kept as far as they can be read. The old store
    /// stays beside the new one.
    Repair {
        /// The node's folder.
        #[arg(long)]
        home: PathBuf,
        /// A node to fetch from, such as `http://127.0.0.1:8420`; may be given several times.
        #[arg(long = "from", required = true)]
        from: Vec<String>,
        /// A header to trust besides genesis, as HEIGHT:BLOCK, from a source that you believe.
        #[arg(long, value_name = "HEIGHT:BLOCK")]
        trust: Option<Trust>,
    },
}

/// Runs the command.
///
/// # Errors
/// When the store is in use or damaged.
pub async fn run(command: Command) -> Result<()> {
    match command {
        Command::Check { home } => {
            let home = existing(&home)?;
            let genesis = home.genesis()?;
            let (store, _) = open_chain(&home, &genesis)?;
            let checked = check_headers(store.as_ref(), &genesis)?;
            crate::devnet::screen::print(&summary(&checked))
        }
        Command::Repair { home, from, trust } => {
            let home = existing(&home)?;
            repair(&home, &Arc::new(Peers::new(&from)), trust).await
        }
    }
}

/// Makes a home's store anew, and keeps the old one aside.
async fn repair(home: &Home, peers: &Arc<Peers>, trust: Option<Trust>) -> Result<()> {
    let genesis = home.genesis()?;
    let path = home.join("store");
    let salvaged = salvage(&path)?;
    let mut unfinished = Unfinished::of(home)?;
    let Synced { height, store, .. } =
        syncing::fetch(peers, &genesis, trust, &mut unfinished).await?;
    for (key, value) in &salvaged.notes {
        if key != ANCHOR {
            store.put_local(key, value)?;
        }
    }
    let keep = home.config().map(|config| config.keep_blocks);
    let down_to = lowest(keep.unwrap_or_default(), height);
    let chain = genesis.chain_id();
    let fetched = past::fill(store.as_ref(), peers, (chain, down_to), &salvaged.blocks).await?;
    let checked = check_headers(store.as_ref(), &genesis)?;
    let aside = set_aside(home)?;
    drop(store);
    unfinished.place()?;
    crate::devnet::screen::print(&format!(
        "{}; state of height {height} from peers, {fetched} blocks from peers, {} notes kept; the \
         old store is {aside}",
        summary(&checked),
        salvaged.notes.len(),
    ))
}

/// The lowest block that a node keeps at a height; all of them if it keeps 0.
pub(crate) fn lowest(keep_blocks: u64, height: Height) -> Height {
    match keep_blocks {
        0 => Height::new(1),
        count => Height::new(height.get().saturating_sub(count).saturating_add(1).max(1)),
    }
}

/// What is still good of a damaged store; nothing of one that cannot be opened at all.
fn salvage(path: &Path) -> Result<Salvaged> {
    let Some(choice) = Choice::found_in(path) else {
        return Ok(Salvaged::default());
    };
    match choice.salvage(path) {
        Ok(salvaged) => {
            let (blocks, notes) = (salvaged.blocks.len(), salvaged.notes.len());
            tracing::info!(
                blocks,
                notes,
                damaged = salvaged.damaged_count,
                "still good"
            );
            Ok(salvaged)
        }
        Err(error @ StoreError::Locked { .. }) => Err(error.into()),
        Err(error) => {
            tracing::warn!("nothing of the old store can be kept: {error}");
            Ok(Salvaged::default())
        }
    }
}

/// Renames the store, and says how it is called now.
fn set_aside(home: &Home) -> Result<String> {
    let path = home.join("store");
    if !path.exists() {
        return Ok("gone".to_owned());
    }
    let names = (1..).map(|number: u64| home.join(&format!("store.damaged-{number}")));
    let aside = names
        .into_iter()
        .find(|aside| !aside.exists())
        .context("invariant: numbers do not end")?;
    std::fs::rename(&path, &aside).with_context(|| format!("cannot rename {}", path.display()))?;
    Ok(aside.display().to_string())
}

fn existing(path: &Path) -> Result<Home> {
    if !path.join("genesis.json").exists() {
        bail!(
            "{} is not a node's home: genesis.json is missing",
            path.display()
        );
    }
    Home::open(path)
}

fn summary(checked: &Checked) -> String {
    let Checked {
        first,
        tip,
        blocks_count,
        transactions_count,
        state_count,
        notes_count,
    } = checked;
    format!(
        "all is well: {blocks_count} blocks from {first} to {tip} with {transactions_count} \
         transactions, {state_count} entries of the state, {notes_count} notes"
    )
}

/// Opens a home's store, with the database that is there or that its configuration names.
///
/// # Errors
/// When it is in use or damaged; then with what to do.
pub fn open(home: &Home) -> Result<Arc<dyn Store>> {
    let path = home.join("store");
    let wanted = match home.config().map(|config| config.store) {
        Ok(name) if !name.is_empty() => name.parse()?,
        _ => Choice::default(),
    };
    let choice = Choice::found_in(&path).unwrap_or(wanted);
    choice.open(&path).map_err(|error| advise(home, error))
}

/// Opens a home's store, reads all of it, and opens its chain.
///
/// # Errors
/// When it is in use or damaged; then with what to do.
pub fn open_chain(home: &Home, genesis: &Genesis) -> Result<(Arc<dyn Store>, Arc<Chain>)> {
    let store = open(home)?;
    let chain = match Chain::open_checked(genesis, Arc::clone(&store)) {
        Ok(chain) => chain,
        Err(OpenError::Store(error)) => return Err(advise(home, error)),
        Err(error @ OpenError::Root { .. }) => {
            return Err(anyhow::Error::from(error).context(remedy(home)));
        }
        Err(error) => return Err(error.into()),
    };
    Ok((store, chain))
}

/// Damage is named with its cure, which is that of a layout of another version too.
fn advise(home: &Home, error: StoreError) -> anyhow::Error {
    let told = match &error {
        StoreError::Format { .. } => Some(cure(home, "is laid out for another version")),
        error if error.is_damage() => Some(remedy(home)),
        _ => None,
    };
    let error = anyhow::Error::from(error);
    match told {
        Some(told) => error.context(told),
        None => error,
    }
}

fn remedy(home: &Home) -> String {
    cure(home, "is damaged")
}

fn cure(home: &Home, what: &str) -> String {
    format!(
        "what this node keeps {what}; `cairn store repair --home {} --from URL` fetches it again \
         from another node and keeps what is good",
        home.path().display()
    )
}

/// Every block follows the one before, and the tip's state is the one that was decided.
fn check_headers(store: &dyn Store, genesis: &Genesis) -> Result<Checked> {
    let checked = store.check()?;
    let mut parent = genesis.block_id();
    for height in checked.first.get()..=checked.tip.get() {
        let stored = store.block(Height::new(height))?;
        let stored = stored.with_context(|| format!("block {height} is missing"))?;
        let header = Block::decode(&stored.block)
            .with_context(|| format!("block {height}"))?
            .header;
        ensure!(
            header.id() == stored.block_id && header.height.get() == height,
            "what is kept as block {height} is another one"
        );
        ensure!(
            header.parent == parent || height == checked.first.get(),
            "block {height} does not follow the one before"
        );
        parent = stored.block_id;
    }
    Ok(checked)
}
