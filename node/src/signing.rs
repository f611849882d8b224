//! What a validator's key has signed: the check before a start, and `cairn validator signing`.
//!
//! The engine's signing history keeps a validator from contradicting itself; it can do so only if
//! it is there and whole. A home that was put together from parts, or restored from an old copy,
//! still has blocks: where these carry the key's signature above what the history knows, or a note
//! says that there was a history, the validator does not start.

use crate::{
    home::{Home, write_atomically},
    signer::HomeKeys,
};
use anyhow::{Context as _, Result, bail, ensure};
use clap::Subcommand;
use ledger_consensus::{Certificate, Export, SigningHistory, signer::Status};
use ledger_store::Store;
use protocol::{Address, Height, block::Block, codec::decode, genesis::Genesis};
use std::path::{Path, PathBuf};

/// The note in the store that a history was begun, followed by the key.
const NOTE: &[u8] = b"signing-history/";
/// Blocks below the tip that are searched for the key's signature.
const BLOCKS_COUNT_MAX: u64 = 1_000;

/// What to do with a signing history.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write what the key signed to a file, to carry it to another machine. End the validator
    /// here first, for good.
    Export {
        /// The validator's folder.
        #[arg(long)]
        home: PathBuf,
        /// The file to write.
        #[arg(long)]
        out: PathBuf,
    },
    /// Take in what the key signed elsewhere, before the validator starts here.
    Import {
        /// The validator's folder.
        #[arg(long)]
        home: PathBuf,
        /// A file that `export` wrote.
        file: PathBuf,
    },
}

/// Runs the command.
///
/// # Errors
/// When the home is no validator's, or the history or file cannot be used.
pub fn run(command: &Command) -> Result<()> {
    match command {
        Command::Export { home, out } => {
            let home = Home::open(home)?;
            let keys = HomeKeys::read(&home)?;
            ensure!(
                keys.history.exists(),
                "{} is missing",
                keys.history.display()
            );
            let export = open(&home, &keys)?.export();
            write_atomically(out, &serde_json::to_vec_pretty(&export)?)?;
            crate::devnet::screen::print(&format!(
                "{}: what {} signed up to height {}",
                out.display(),
                export.validator,
                export.height
            ))
        }
        Command::Import { home, file } => {
            let home = Home::open(home)?;
            let keys = HomeKeys::read(&home)?;
            std::fs::create_dir_all(home.join("consensus"))?;
            let text =
                std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            let export: Export = serde_json::from_slice(&text)
                .with_context(|| format!("{} is no signing history", file.display()))?;
            let mut history = open(&home, &keys)?;
            history.import(&export)?;
            crate::devnet::screen::print(&format!(
                "{}: nothing below height {} is signed",
                keys.history.display(),
                history.height()
            ))
        }
    }
}

fn open(home: &Home, keys: &HomeKeys) -> Result<SigningHistory> {
    let chain = home.genesis()?.chain_id();
    let key = keys.consensus.address();
    Ok(SigningHistory::open(&keys.history, chain, key)?)
}

/// Refuses to start a validator whose history is missing or older than what its blocks show, and
/// notes that it has one.
///
/// # Errors
/// When a signature could contradict an earlier one, or the store cannot be read.
pub fn check(path: &Path, store: &dyn Store, genesis: &Genesis, key: Address) -> Result<()> {
    let note = [NOTE, key.as_bytes()].concat();
    let signed_at = last_signed(store, key)?;
    let shown = path.display();
    let remedy = "bring back its latest copy, or import what `cairn validator signing export` \
                  wrote where the key signed last";
    if !path.exists() {
        let begun = store.get_local(&note)?.is_some();
        match signed_at {
            Some(height) => bail!(
                "signing history {shown} is missing, and block {height} carries a signature of \
                 {key}; {remedy}"
            ),
            None if begun => bail!("signing history {shown} is missing; {remedy}"),
            None => {}
        }
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let known = SigningHistory::open(path, genesis.chain_id(), key)?.height();
    if let Some(height) = signed_at.filter(|height| *height > known) {
        bail!(
            "signing history {shown} ends at height {known}, and block {height} carries a signature \
             of {key}: another process signs with this key, which must be stopped, or this history \
             is an old copy; {remedy}"
        );
    }
    store.put_local(&note, b"")?;
    Ok(())
}

/// Refuses to sign with a signer whose history is older than what the blocks show.
///
/// # Errors
/// When a signature could contradict an earlier one, or the store cannot be read.
pub fn check_remote(store: &dyn Store, status: &Status) -> Result<()> {
    let (key, known) = (status.consensus, status.height);
    if let Some(height) = last_signed(store, key)?.filter(|height| *height > known) {
        bail!(
            "the signer's history ends at height {known}, and block {height} carries a signature of \
             {key}: another process signs with this key, which must be stopped, or the signer's \
             history is an old copy; import there what `cairn validator signing export` wrote \
             where the key signed last"
        );
    }
    Ok(())
}

/// The highest of the last blocks that the key proposed or precommitted.
fn last_signed(store: &dyn Store, key: Address) -> Result<Option<Height>> {
    let tip = store.tip()?.map_or(0, |tip| tip.height.get());
    let first = store.first()?.get();
    for height in (first..=tip).rev().take(usize::try_from(BLOCKS_COUNT_MAX)?) {
        let height = Height::new(height);
        let Some(stored) = store.block(height)? else {
            break;
        };
        let certificate: Certificate = decode("certificate", &stored.certificate, 1 << 20)
            .with_context(|| format!("certificate of block {height}"))?;
        let mut signers = certificate.signatures.as_slice().iter();
        if signers.any(|(signer, _)| *signer == key) {
            return Ok(Some(height));
        }
        let block = Block::decode(&stored.block).with_context(|| format!("block {height}"))?;
        if block.header.proposer == key {
            return Ok(Some(height));
        }
    }
    Ok(None)
}
