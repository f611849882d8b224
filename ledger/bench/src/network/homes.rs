//! Homes of validators that know one another.

use super::Options;
use crate::world::genesis_of;
use anyhow::{Context as _, Result};
use protocol::{ChainId, SigningKey, genesis::Genesis};
use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// Of an account that sends: its fees for hours.
const BALANCE: u64 = 10_000_000_000;

/// One validator's place.
#[derive(Clone, Debug)]
pub(super) struct Home {
    /// Its folder.
    pub(super) path: PathBuf,
    /// Its own address.
    pub(super) host: String,
    /// The first of its three ports: HTTP, consensus, gossip.
    pub(super) port: u16,
    /// Runs a command where that address is.
    pub(super) namespace: Option<String>,
    /// Its key.
    pub(super) key: SigningKey,
}

impl Home {
    /// Where its HTTP interface is.
    pub(super) fn http(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
    /// Where others reach its consensus.
    pub(super) fn consensus(&self) -> String {
        format!("/ip4/{}/tcp/{}", self.host, self.port + 1)
    }
    fn network(&self) -> String {
        format!("/ip4/{}/tcp/{}", self.host, self.port + 2)
    }
}

/// All of them, and who sends.
pub(super) struct Homes {
    pub(super) all: Vec<Home>,
    pub(super) senders: Vec<SigningKey>,
    pub(super) chain: ChainId,
    /// Goes with it.
    _folder: TempDir,
    /// What an engine alone keeps in memory.
    _memory: Option<TempDir>,
}

fn key(role: u8, number: usize) -> SigningKey {
    let mut seed = [role; 32];
    seed[..8].copy_from_slice(&(number as u64).to_le_bytes());
    SigningKey::from_seed(seed)
}

pub(super) fn places(options: &Options, folder: &Path) -> Result<Vec<Home>> {
    let place = |index: usize| {
        let offset = u16::try_from(3 * index)?;
        let (host, port, namespace) = match &options.namespaces {
            // As `links` numbers them.
            Some(prefix) => {
                let namespace = format!("{prefix}{index}");
                (
                    format!("10.77.0.{}", index + 1),
                    options.port,
                    Some(namespace),
                )
            }
            None => ("127.0.0.1".to_owned(), options.port + offset, None),
        };
        let path = folder.join(format!("validator-{index}"));
        fs::create_dir_all(&path)?;
        Ok(Home {
            path,
            host,
            port,
            namespace,
            key: key(10, index),
        })
    };
    (0..options.validators).map(place).collect()
}

impl Homes {
    /// Of whole validators, on the disk.
    pub(super) fn make(options: &Options) -> Result<Self> {
        let folder = on_disk()?;
        let all = places(options, folder.path())?;
        let senders: Vec<SigningKey> = (0..options.senders).map(|n| key(11, n)).collect();
        let keys: Vec<SigningKey> = all.iter().map(|home| home.key.clone()).collect();
        let balances: Vec<_> = senders.iter().map(|key| (key.address(), BALANCE)).collect();
        let genesis = genesis_of(&keys, &balances, Vec::new())?;
        for home in &all {
            write(home, &all, &genesis, options)?;
        }
        Ok(Self {
            all,
            senders,
            chain: genesis.chain_id(),
            _folder: folder,
            _memory: None,
        })
    }
    /// Of engines alone: their log is on the disk, and what we keep besides in memory.
    pub(super) fn bare(options: &Options) -> Result<Self> {
        let folder = on_disk()?;
        let memory = tempfile::Builder::new()
            .prefix("bench-ledger-")
            .tempdir_in("/dev/shm")
            .context("no folder in memory")?;
        let all = places(options, memory.path())?;
        for (index, home) in all.iter().enumerate() {
            let log = folder.path().join(format!("wal-{index}"));
            fs::create_dir_all(&log)?;
            std::os::unix::fs::symlink(&log, home.path.join("wal"))?;
            let text = super::bare::describe(index, &all, options.interval_ms)?;
            fs::write(home.path.join("bare.json"), text)?;
        }
        Ok(Self {
            all,
            senders: Vec::new(),
            chain: ChainId::from_bytes([0; 32]),
            _folder: folder,
            _memory: Some(memory),
        })
    }
}

/// Beside this program, because a system's temporary folder may be in memory.
pub(super) fn on_disk() -> Result<TempDir> {
    let own = std::env::current_exe().context("this program's own path")?;
    let beside = own.parent().context("this program's own folder")?;
    let made = tempfile::Builder::new()
        .prefix("bench-ledger-")
        .tempdir_in(beside);
    made.with_context(|| format!("no folder in {}", beside.display()))
}

pub(super) fn write(home: &Home, all: &[Home], genesis: &Genesis, options: &Options) -> Result<()> {
    let Options {
        interval_ms,
        store,
        keep_blocks,
        ..
    } = options;
    let others = all.iter().filter(|other| other.path != home.path);
    let quoted = |addresses: Vec<String>| format!("[\"{}\"]", addresses.join("\", \""));
    let consensus = quoted(others.clone().map(Home::consensus).collect());
    let network = quoted(others.map(Home::network).collect());
    let config = format!(
        "http = \"{}\"\nconsensus = \"{}\"\nconsensus_peers = {consensus}\nnetwork = \"{}\"\n\
         network_peers = {network}\nblock_interval_ms = {interval_ms}\nthreads_count = 1\n\
         device = \"cpu\"\nstore = \"{store}\"\nkeep_blocks = {keep_blocks}\n",
        home.http(),
        home.consensus(),
        home.network(),
    );
    fs::write(home.path.join("config.toml"), config)?;
    let genesis = serde_json::to_vec_pretty(genesis)?;
    fs::write(home.path.join("genesis.json"), genesis)?;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(home.path.join("operator.key"))?;
    for byte in home.key.to_seed() {
        write!(file, "{byte:02x}")?;
    }
    writeln!(file)?;
    Ok(())
}
