//! A participant's home folder: configuration, genesis, keys, and a lock.
//!
//! ```text
//! config.toml    addresses and peers; safe to edit
//! genesis.json   what the chain started from; its hash is the chain's identity
//! operator.key   hot key: signs blocks, attestations, audits, commitments
//! holder.key     cold key: owns stake, votes (validators only)
//! consensus.key  signs blocks instead of operator.key, once the validator rotated to it
//! network.key    network identity, where a signer in a process of its own has operator.key
//! store/         blocks and state      wal/    consensus in flight
//! blobs/         rollouts, gradients, checkpoints
//! ```

use anyhow::{Context as _, Result, bail};
use engine::{Device, DeviceChoice, Threads, trainer::Checkpointing};
use protocol::{SigningKey, genesis::Genesis};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// Addresses and peers of one participant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the HTTP interface and the page listen, such as `127.0.0.1:8420`. Validators only.
    pub http: String,
    /// Multiaddress for consensus. Validators only.
    pub consensus: String,
    /// Multiaddresses of the other validators' consensus.
    pub consensus_peers: Vec<String>,
    /// Multiaddress for gossip and blobs.
    pub network: String,
    /// Multiaddresses of peers for gossip and blobs.
    pub network_peers: Vec<String>,
    /// Nodes whose HTTP interface a miner asks, such as `http://127.0.0.1:8420`.
    pub nodes: Vec<String>,
    /// Distance of blocks in milliseconds.
    pub block_interval_ms: u64,
    /// Compute threads.
    pub threads_count: usize,
    /// Whether training keeps only the entrances of blocks: less memory, a third more time.
    pub checkpointing: bool,
    /// What to compute on: `auto` (as is nothing), `cpu` or `cuda:N`.
    pub device: String,
    /// To try upgrades with: act as a program that speaks versions up to this one, if it is above
    /// the highest that this program speaks. A validator signals readiness for a planned version
    /// up to it, and a node stops before a block of a higher one.
    pub ready_for_version: u32,
    /// Which database keeps blocks and state: `sled` (as is nothing) or `redb`. A store that is
    /// there already stays what it is.
    pub store: String,
    /// Blocks that are kept below the tip; 0 for all of them, as an archive does.
    pub keep_blocks: u64,
    /// Steps whose blobs are kept below the latest, once their units are over and what they earned
    /// has vested; 0 for all of them, as an archive does.
    pub keep_steps: u64,
    /// Blocks from one snapshot of the state, for those who join, to the next; 0 for none.
    pub snapshot_blocks: Option<u64>,
    /// Blocks that a validator watches before it signs again, for another process with its key
    /// (3 as is nothing); 0 for none.
    pub watch_blocks: Option<u64>,
    /// Where a validator's key is, if not in its home: `unix:PATH`, the socket of `cairn signer`.
    pub signer: String,
    /// Another engine that draws a miner's rollouts: a command.
    pub worker: Vec<String>,
    /// The class of that engine, by name or number; nothing for the exact one.
    pub class: String,
}

/// Distance of blocks of a home that is not a devnet's; only proposers use it.
const BLOCK_INTERVAL_MS: u64 = 1_000;

impl Config {
    /// Of a node that listens on three ports of an address: page, consensus, blobs.
    ///
    /// # Errors
    /// When the first port leaves no room for the others.
    pub fn listening(listen: &str, port: u16, threads_count: usize) -> Result<Self> {
        let port_at = |offset: u16| {
            port.checked_add(offset)
                .with_context(|| format!("port {port} leaves no room for the three ports needed"))
        };
        Ok(Self {
            http: format!("{listen}:{port}"),
            consensus: format!("/ip4/{listen}/tcp/{}", port_at(1)?),
            network: format!("/ip4/{listen}/tcp/{}", port_at(2)?),
            block_interval_ms: BLOCK_INTERVAL_MS,
            threads_count: threads_count.max(1),
            ..Self::default()
        })
    }
    /// The highest version of the protocol that this program speaks, or is said to.
    #[must_use]
    pub fn speaks(&self) -> u32 {
        let versions = [protocol::block::VERSION_MAX, self.ready_for_version];
        versions.into_iter().max().unwrap_or_default()
    }
    /// The device that the configuration names, and says so. A GPU that cannot be used is named
    /// with its reason, and the processor computes.
    ///
    /// # Errors
    /// When it names none.
    pub fn open_device(&self) -> Result<Device> {
        let choice: DeviceChoice = match self.device.as_str() {
            "" => DeviceChoice::Auto,
            text => text.parse()?,
        };
        let threads = Threads::new(self.threads_count);
        let (device, reason) = Device::open(choice, threads);
        match (reason, choice) {
            (Some(reason), DeviceChoice::Cuda(_)) => tracing::warn!("{reason}"),
            (Some(reason), _) => tracing::debug!("{reason}"),
            (None, _) => {}
        }
        tracing::info!("computing on {device}");
        Ok(device.with_checkpointing(if self.checkpointing {
            Checkpointing::Blocks
        } else {
            Checkpointing::Off
        }))
    }
}

/// An opened home; locked against a second process while it lives.
#[derive(Debug)]
pub struct Home {
    path: PathBuf,
    _lock: File,
}

impl Home {
    /// Opens, or makes, a home folder and locks it.
    ///
    /// # Errors
    /// When the folder cannot be made, or another process has it.
    pub fn open(path: &Path) -> Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("cannot make home {}", path.display()))?;
        let lock = File::create(path.join("lock"))
            .with_context(|| format!("cannot write to home {}", path.display()))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            bail!("home {} is in use by another process", path.display());
        }
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }
    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
    /// A file or folder inside.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
    /// Reads the configuration.
    ///
    /// # Errors
    /// When it is missing or not understood.
    pub fn config(&self) -> Result<Config> {
        read_config(&self.path)
    }
    /// Writes the configuration.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_config(&self, config: &Config) -> Result<()> {
        let text = toml::to_string_pretty(config).context("cannot encode config.toml")?;
        write_atomically(&self.join("config.toml"), text.as_bytes())
    }
    /// Reads genesis.
    ///
    /// # Errors
    /// When it is missing or not understood.
    pub fn genesis(&self) -> Result<Genesis> {
        read_genesis(&self.join("genesis.json"))
    }
    /// Writes genesis; refuses to replace another one.
    ///
    /// # Errors
    /// When it cannot be written, or another genesis is there.
    pub fn write_genesis(&self, genesis: &Genesis) -> Result<()> {
        let path = self.join("genesis.json");
        if path.exists() {
            let (found, given) = (read_genesis(&path)?.chain_id(), genesis.chain_id());
            if found != given {
                bail!(
                    "{} is of chain {found}; the network's chain is {given}",
                    path.display()
                );
            }
            return Ok(());
        }
        let text = serde_json::to_vec_pretty(genesis).context("cannot encode genesis.json")?;
        write_atomically(&path, &text)
    }
    /// Reads the key in `name`, making one on first use.
    ///
    /// # Errors
    /// When the file cannot be read or written, or holds no key.
    pub fn key(&self, name: &str) -> Result<SigningKey> {
        key_file(&self.join(name))
    }
}

/// Reads a home's configuration without opening the home.
///
/// # Errors
/// When it is missing or not understood.
pub fn read_config(home: &Path) -> Result<Config> {
    let path = home.join("config.toml");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("{} is not understood", path.display()))
}

/// Reads a genesis file.
///
/// # Errors
/// When it is missing or not understood.
pub fn read_genesis(path: &Path) -> Result<Genesis> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is not a genesis", path.display()))
}

/// Reads a key file of 64 hexadecimal digits, making one if there is none.
///
/// # Errors
/// When the file cannot be read or written, or holds no key.
pub fn key_file(path: &Path) -> Result<SigningKey> {
    if path.exists() {
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read key {}", path.display()))?;
        return SigningKey::from_hex(&text)
            .with_context(|| format!("{} does not hold a key", path.display()));
    }
    let key = SigningKey::generate();
    write_key(path, &key)?;
    Ok(key)
}

/// Writes a key file that only its owner may read; never replaces one.
///
/// # Errors
/// When it cannot be written or exists.
pub fn write_key(path: &Path, key: &SigningKey) -> Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot write key {}", path.display()))?;
    writeln!(file, "{}", hex::encode(key.to_seed()))
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write key {}", path.display()))
}

/// Writes a file so that after a crash it is either the old or the new one.
///
/// # Errors
/// When it cannot be written.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let partial = path.with_extension("partial");
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&partial, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
