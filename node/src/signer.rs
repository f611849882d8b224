//! A validator's signer: in its process, or in one of its own behind a Unix socket.
//!
//! `cairn signer` ([`serve`]) holds the key and the signing history; the validator whose
//! `config.toml` says `signer = "unix:PATH"` asks it ([`remote`]) and has neither. Both ends run the
//! code of [`ledger_consensus::signer`]. The socket is for one user: whoever may not read the key
//! cannot ask for a signature, so a socket that others may write to, or that another user owns, is
//! refused by both. A signer answers one validator at a time. Spec: 05-block §15.

pub mod remote;
pub mod serve;

use crate::{
    home::{Config, Home, key_file},
    shutdown,
};
use anyhow::{Context as _, Result, bail, ensure};
use ledger_consensus::{
    SigningHistory,
    signer::{LocalSigner, Signer, SignerError, Status},
    stock::history_in,
};
use protocol::{SigningKey, genesis::Genesis};
use remote::RemoteSigner;
use std::{
    io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// What signs votes and proposals after a rotation.
const CONSENSUS_KEY: &str = "consensus.key";
/// The network identity of a node whose key is elsewhere.
const NETWORK_KEY: &str = "network.key";
/// Time between tries to reach a signer.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// Where a validator's signatures come from.
#[derive(Debug)]
pub struct Signing {
    /// Whom to ask.
    pub signer: Arc<dyn Signer>,
    /// Who that was at the start.
    pub status: Status,
    /// The node's network identity.
    pub network: SigningKey,
    /// The signer, if it is another process.
    pub remote: Option<Arc<RemoteSigner>>,
}

impl Signing {
    /// With a signer in this process, whose key is the network identity.
    ///
    /// # Errors
    /// When it does not know itself.
    pub fn here(signer: Arc<dyn Signer>, network: SigningKey) -> Result<Self> {
        let status = signer.status()?;
        Ok(Self {
            signer,
            status,
            network,
            remote: None,
        })
    }
}

/// The keys in a home, and where what the second one signed is noted.
#[derive(Clone, Debug)]
pub struct HomeKeys {
    /// Signs transactions, and names the validator.
    pub operator: SigningKey,
    /// Signs votes and proposals: the operator's, until it rotates.
    pub consensus: SigningKey,
    /// Of the consensus key; each has its own.
    pub history: PathBuf,
}

impl HomeKeys {
    /// Reads them; an operator's key is made on first use.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn read(home: &Home) -> Result<Self> {
        let operator = home.key("operator.key")?;
        let mut history = history_in(&home.join("consensus"));
        let rotated = home.join(CONSENSUS_KEY);
        if !rotated.exists() {
            let consensus = operator.clone();
            return Ok(Self {
                operator,
                consensus,
                history,
            });
        }
        let consensus = key_file(&rotated)?;
        history.set_file_name(format!("signing-history-{}", consensus.address()));
        Ok(Self {
            operator,
            consensus,
            history,
        })
    }
    /// The signer with these keys, whose history is opened with it.
    ///
    /// # Errors
    /// When the history cannot be used.
    pub fn signer(self, genesis: &Genesis) -> Result<LocalSigner> {
        let Self {
            operator,
            consensus,
            history,
        } = self;
        if let Some(folder) = history.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let chain = genesis.chain_id();
        let history = SigningHistory::open(&history, chain, consensus.address())?;
        Ok(LocalSigner::new(chain, operator, consensus, Some(history)))
    }
}

/// The socket that a configuration names; nothing if the key is in the home.
///
/// # Errors
/// When it names something else.
pub fn configured(config: &Config) -> Result<Option<PathBuf>> {
    match config.signer.strip_prefix("unix:") {
        Some(path) => {
            ensure!(
                Path::new(path).is_absolute(),
                "signer {path:?} is not an absolute path"
            );
            Ok(Some(path.into()))
        }
        None if config.signer.is_empty() => Ok(None),
        None => bail!("signer {:?} is not unix:PATH", config.signer),
    }
}

/// A signer that nobody has asked yet, and the network identity of the node that will.
#[derive(Debug)]
pub struct Unasked {
    /// The signer.
    pub signer: Arc<RemoteSigner>,
    /// The node's network identity.
    pub network: SigningKey,
}

impl Unasked {
    /// The signer of a socket.
    ///
    /// # Errors
    /// When the home has the key as well, or its network identity cannot be read.
    pub fn at(home: &Home, socket: PathBuf) -> Result<Self> {
        ensure!(
            !home.join("operator.key").exists(),
            "{} has an operator.key and asks a signer: the key must be in one place",
            home.path().display()
        );
        Ok(Self {
            network: home.key(NETWORK_KEY)?,
            signer: Arc::new(RemoteSigner::new(socket)),
        })
    }
    /// The signer once it has said who it signs for.
    ///
    /// # Errors
    /// When that is another chain.
    pub fn known(self, status: Status, genesis: &Genesis) -> Result<Signing> {
        let (found, expected) = (status.chain, genesis.chain_id());
        ensure!(
            found == expected,
            "the signer is of chain {found}; this node is of {expected}"
        );
        Ok(Signing {
            signer: Arc::clone(&self.signer) as _,
            status,
            network: self.network,
            remote: Some(self.signer),
        })
    }
}

/// Asks off the threads on which everything else waits: a signer that hangs keeps its answer back
/// for seconds.
///
/// # Errors
/// When the thread that asks panicked.
pub async fn aside<T: Send + 'static>(ask: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    Ok(tokio::task::spawn_blocking(ask).await?)
}

/// Who a signer signs for, if it answers.
///
/// # Errors
/// When it answers and refuses.
pub async fn asked(signer: &Arc<RemoteSigner>) -> Result<Option<Status>> {
    let signer = Arc::clone(signer);
    let status = aside(move || {
        let signer: &dyn Signer = signer.as_ref();
        signer.status()
    });
    match status.await? {
        Ok(status) => Ok(Some(status)),
        Err(SignerError::Away { .. }) => Ok(None),
        Err(error) => Err(error).context("the signer refuses this validator"),
    }
}

/// Waits for an answer. Nothing if the process is asked to end meanwhile.
///
/// # Errors
/// When the signer answers and refuses, unless it is in use.
pub async fn until_present(signer: &Arc<RemoteSigner>) -> Result<Option<Status>> {
    loop {
        if let Some(status) = asked(signer).await? {
            return Ok(Some(status));
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY_INTERVAL) => {}
            () = shutdown::requested() => return Ok(None),
        }
    }
}

/// Refuses a socket that somebody else could answer or ask.
///
/// # Errors
/// With the reason.
fn check_socket(path: &Path) -> io::Result<()> {
    let unsafe_because = |reason: String| {
        let reason = format!("{} {reason}", path.display());
        Err(io::Error::new(io::ErrorKind::PermissionDenied, reason))
    };
    let found = std::fs::symlink_metadata(path)?;
    if !found.file_type().is_socket() {
        return unsafe_because("is not a socket".to_owned());
    }
    let own = rustix::process::geteuid().as_raw();
    if found.uid() != own {
        return unsafe_because(format!(
            "is user {}'s; this process is user {own}'s",
            found.uid()
        ));
    }
    let mode = found.mode() & 0o777;
    if mode & 0o177 != 0 {
        return unsafe_because(format!("has mode {mode:o}; 600 is the widest that is safe"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
