//! The networked engine: malachite over libp2p, driving the same application as any other.
//!
//! ```text
//!   Application ◄── driver thread ◄── malachite's actors ◄── libp2p ──► peers
//!                    │        ▲
//!          undecided bodies   └ write-ahead log of votes
//! ```
//!
//! Malachite decides block *identifiers*; bodies travel in signed parts (`parts`, `assembler`).
//! One thread owns the application and answers the engine (`driver`), so that slow storage never
//! blocks the async runtime. Bodies that may yet be decided are on disk before the engine hears of
//! them (`undecided`), which with the engine's own log makes a killed node resume without
//! contradicting itself. A supervisor notices when the engine stops, panics or goes silent, and
//! [`EngineHandle::stopped`] says so: the process should then exit and be restarted.
//!
//! The same protocol core, log, driver and signer can be driven step by step, without actors,
//! network or clock: `core_engine`, a feature, for simulations.
//!
//! Malachite's types stay inside this module.

mod assembler;
mod codec;
mod context;
mod convert;
#[cfg(feature = "core")]
pub mod core_engine;
mod driver;
mod figures;
mod mute;
mod outlet;
mod parts;
mod peers;
mod settings;
mod signing;
mod supervisor;
mod undecided;

#[doc(hidden)]
pub use codec::decode_hostile;
pub use parts::Head;
pub(crate) use parts::pass_bytes;
pub use settings::{EngineConfig, history_in};
pub use supervisor::EngineHandle;

use crate::{
    Application, ApplicationError, HistoryError, SigningHistory,
    signer::{LocalSigner, Request, Signer, SignerError, Status},
};
use arc_malachitebft_core_types::ValidatorProof;
use codec::WireCodec;
use context::{CairnContext, EngineAddress};
use driver::{Driver, Place};
use malachitebft_app_channel::{
    ConsensusContext, EngineBuilder, NetworkIdentity, RequestContext, SyncContext, WalContext,
    app::{
        config::NodeConfig as _, metrics::SharedRegistry, types::Keypair, types::codec::Codec as _,
    },
    spawn::spawn_network_actor,
};
use outlet::StockOutlet;
use parts::Pass;
use peers::PeerGate;
use protocol::{BlockId, ChainId, Height, PublicKey};
use settings::EngineSettings;
use signing::{EngineSigner, EngineVerifier};
use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};
use supervisor::{Engine, supervise};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, timeout},
};
use undecided::UndecidedStore;

/// How long the engine may take to listen.
const LISTEN_WAIT: Duration = Duration::from_secs(10);
/// How long an engine that just stopped may still hold its log and its port.
const LOG_RELEASE_WAIT: Duration = Duration::from_secs(2);
/// Time between tries to open a log that is held.
const LOG_RETRY_INTERVAL: Duration = Duration::from_millis(20);
/// Requests to the engine under way at once.
const REQUEST_COUNT_MAX: usize = 16;

/// Why the engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Not an address to listen on or to dial.
    #[error("{address:?} is not a usable address: {reason}")]
    Address {
        /// What was configured.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Somebody else listens there, or nobody may.
    #[error("cannot listen on {address}: {source}")]
    Port {
        /// What was configured.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The engine's folder cannot be used.
    #[error("cannot use folder {}: {source}", path.display())]
    Home {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The write-ahead log cannot be used; it must not be deleted lightly, because it is what
    /// keeps this validator from contradicting its earlier votes.
    #[error("cannot use write-ahead log {}: {source}", path.display())]
    Log {
        /// The log.
        path: PathBuf,
        /// What is wrong with it.
        source: std::io::Error,
    },
    /// What the key signed before is not known for sure.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The validator's key is not to be had.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The signer signs for another chain.
    #[error("the signer is of chain {found}; this node is of {expected}")]
    SignerChain {
        /// The signer's.
        found: ChainId,
        /// This node's.
        expected: ChainId,
    },
    /// The engine's actors did not start.
    #[error("consensus engine did not start: {reason}")]
    Engine {
        /// What it said.
        reason: String,
    },
}

/// Why a running engine stopped. The process should exit and be restarted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// A decided block could not be committed.
    #[error("block {height} was decided but not committed: {source}")]
    Application {
        /// Its height.
        height: Height,
        /// What the application said.
        source: ApplicationError,
    },
    /// Undecided bodies could not be kept.
    #[error("cannot keep undecided blocks in {}: {reason}", path.display())]
    Storage {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The engine decided a block whose body this node no longer has.
    #[error("block {block_id} was decided at height {height} but its body is lost")]
    BodyMissing {
        /// Its height.
        height: Height,
        /// The block.
        block_id: BlockId,
    },
    /// The engine decided without a certificate that proves it.
    #[error("decision at height {height} has an unusable certificate: {reason}")]
    Certificate {
        /// The height.
        height: Height,
        /// What is wrong with it.
        reason: String,
    },
    /// The engine does not answer.
    #[error("consensus engine has not answered for {silent_ms} ms")]
    Silent {
        /// How long.
        silent_ms: u64,
    },
    /// The engine ended by itself.
    #[error("consensus engine stopped by itself: {reason}")]
    Stopped {
        /// What is known.
        reason: String,
    },
}

/// Starts the engine; it runs until it fails or the handle is shut down or dropped.
///
/// Must be called within a tokio runtime with time and IO enabled.
///
/// # Errors
/// See [`StartError`]; nothing keeps running then.
pub async fn start<A: Application>(
    config: EngineConfig,
    application: A,
) -> Result<EngineHandle, StartError> {
    let settings = EngineSettings::new(&config)?;
    let undecided_folder = config.home.join("undecided");
    let log = config.home.join("wal").join("consensus.wal");
    make_folders([&undecided_folder, &config.home.join("wal")])?;
    probe_port(&config.listen).await?;
    probe_log(&log).await?;
    let signer = signer_of(&config)?;
    let (status, pass) = introduce(&config, &signer).await?;
    let next = application.tip().0.next();
    let at_home = |source| StartError::Home {
        path: config.home.clone(),
        source,
    };
    let mute_until = mute::begin(&config.home, &log, next, status.height).map_err(at_home)?;
    let place = Place::after_tip(&application, config.chain);
    let undecided = UndecidedStore::open(&undecided_folder, next).map_err(at_home)?;

    let Engine {
        channels,
        network,
        node,
    } = build_when_log_is_free(&config, &settings, &log, (&signer, pass)).await?;
    let refused_count = Arc::new(AtomicU64::new(0));
    let driver = Driver {
        application,
        chain: config.chain,
        own: pass.validator,
        signer,
        pass: (config.key.address() != pass.validator).then_some(pass),
        outlet: StockOutlet {
            network: channels.network,
            runtime: tokio::runtime::Handle::current(),
            gate: PeerGate {
                network: channels.net_requests,
                wait_max: Duration::from_millis(config.peer_wait_ms),
            },
        },
        mute_until,
        undecided,
        undecided_folder,
        refused_count: Arc::clone(&refused_count),
        place,
    };
    let (ready_sender, ready) = oneshot::channel();
    let (outcome_sender, outcome) = oneshot::channel();
    let run = move || {
        let result = driver.run(channels.consensus, ready_sender);
        // Nobody waits for it once the supervisor has given up.
        outcome_sender.send(result).ok();
    };
    std::thread::Builder::new()
        .name("consensus".to_owned())
        .spawn(run)
        .map_err(|error| StartError::Engine {
            reason: error.to_string(),
        })?;

    let handle = supervise(network, node, channels.requests, outcome, refused_count);
    match timeout(LISTEN_WAIT, ready).await {
        Ok(Ok(())) => Ok(handle),
        Ok(Err(_)) | Err(_) => {
            let reason = match handle.shutdown().await {
                Ok(()) => format!("it is not listening after {} s", LISTEN_WAIT.as_secs()),
                Err(error) => error.to_string(),
            };
            Err(StartError::Engine { reason })
        }
    }
}

/// Whoever signs: the one that is configured, or the key with its history in the engine's folder.
fn signer_of(config: &EngineConfig) -> Result<Arc<dyn Signer>, StartError> {
    if let Some(signer) = &config.signer {
        return Ok(Arc::clone(signer));
    }
    let (chain, key) = (config.chain, config.key.clone());
    let history = SigningHistory::open(&config.history(), chain, key.address())?;
    let signer = LocalSigner::new(chain, key.clone(), key, Some(history));
    Ok(Arc::new(signer))
}

/// Who signs, and that the node's identity is its own. One elsewhere may keep its answer back; the
/// runtime goes on meanwhile.
async fn introduce(
    config: &EngineConfig,
    signer: &Arc<dyn Signer>,
) -> Result<(Status, Pass), StartError> {
    let (chain, network, asked) = (config.chain, config.key.address(), Arc::clone(signer));
    let ask = move || {
        let status = asked.status()?;
        let pass = pass_of((chain, network), asked.as_ref(), &status)?;
        Ok((status, pass))
    };
    if signer.is_local() {
        return ask();
    }
    let answered = tokio::task::spawn_blocking(ask).await;
    answered.map_err(|error| StartError::Engine {
        reason: error.to_string(),
    })?
}

/// The validator's word that this node's network identity is its own.
fn pass_of(
    (chain, network): (ChainId, PublicKey),
    signer: &dyn Signer,
    status: &Status,
) -> Result<Pass, StartError> {
    if status.chain != chain {
        let (found, expected) = (status.chain, chain);
        return Err(StartError::SignerChain { found, expected });
    }
    let signature = signer.sign(&Request::Vouch(network))?;
    let validator = status.consensus;
    Ok(Pass {
        validator,
        signature,
    })
}

fn make_folders(folders: [&PathBuf; 2]) -> Result<(), StartError> {
    for folder in folders {
        std::fs::create_dir_all(folder).map_err(|source| StartError::Home {
            path: folder.clone(),
            source,
        })?;
    }
    Ok(())
}

/// The figures of the engine that this process started last, in the text format of Prometheus.
#[must_use]
pub fn metrics() -> String {
    figures::export()
}

/// The libp2p peer id of a node that runs with this key, for `/p2p/…` in addresses.
#[must_use]
pub fn peer_id(key: &PublicKey) -> String {
    assembler::peer_id(key).to_string()
}

/// Builds the engine, again while its log is held by someone who is about to let go: an engine of
/// this process that just stopped, or a child between fork and exec, which shares our files.
async fn build_when_log_is_free(
    config: &EngineConfig,
    settings: &EngineSettings,
    log: &Path,
    (signer, pass): (&Arc<dyn Signer>, Pass),
) -> Result<Engine, StartError> {
    let start = Instant::now();
    loop {
        let keys = (Arc::clone(signer), pass);
        match build(config, settings.clone(), log.to_owned(), keys).await {
            Err(StartError::Engine { reason })
                if is_lock_held(&reason) && start.elapsed() < LOG_RELEASE_WAIT =>
            {
                sleep(LOG_RETRY_INTERVAL).await;
            }
            built => return built,
        }
    }
}

async fn build(
    config: &EngineConfig,
    settings: EngineSettings,
    log: PathBuf,
    (keys, pass): (Arc<dyn Signer>, Pass),
) -> Result<Engine, StartError> {
    let failed = |reason: String| StartError::Engine { reason };
    let signer = EngineSigner {
        home: config.home.clone(),
        keys,
    };
    let identity = identity(config, &settings, &pass)?;
    let registered = figures::next(settings.moniker());
    let settings = settings.registered(registered);
    let address = EngineAddress(pass.validator);
    let registry = SharedRegistry::global().with_moniker(settings.moniker());
    let (network, publisher) = spawn_network_actor(
        identity,
        settings.consensus(),
        settings.value_sync(),
        &registry,
        WireCodec,
    )
    .await
    .map_err(|error| failed(error.to_string()))?;
    let built = EngineBuilder::new(CairnContext, settings)
        .with_default_wal(WalContext::new(log, WireCodec))
        .with_custom_network(network.clone(), publisher)
        .with_default_sync(SyncContext::new(WireCodec))
        .with_default_consensus(ConsensusContext::new_validator(
            address,
            Box::new(EngineVerifier {
                chain: config.chain,
            }),
            Box::new(signer),
        ))
        .with_default_request(RequestContext::new(REQUEST_COUNT_MAX))
        .build()
        .await;
    match built {
        Ok((channels, node)) => Ok(Engine {
            channels,
            network,
            node,
        }),
        Err(error) => {
            network.stop_and_wait(None, None).await.ok();
            Err(failed(error.to_string()))
        }
    }
}

/// Validator key and network key are one, or the validator vouches for the other: whoever
/// publishes a part is recognised by its peer id.
fn identity(
    config: &EngineConfig,
    settings: &EngineSettings,
    pass: &Pass,
) -> Result<NetworkIdentity, StartError> {
    let failed = |reason: String| StartError::Engine { reason };
    let peer = assembler::peer_id(&config.key.address());
    let keypair = Keypair::ed25519_from_bytes(config.key.to_seed())
        .map_err(|error| failed(error.to_string()))?;
    let key = pass.validator.as_bytes().to_vec();
    let proof = ValidatorProof::<CairnContext>::new(key, peer.to_bytes(), pass.signature);
    let proof = WireCodec
        .encode(&proof)
        .map_err(|error| failed(error.to_string()))?;
    let address = EngineAddress(pass.validator).to_string();
    Ok(NetworkIdentity::new_validator(
        settings.moniker().to_owned(),
        keypair,
        address,
        proof,
    ))
}

/// Finds out whether the port is free: the engine itself would only log that it is not.
///
/// A port that is taken may be that of an engine of this process that is just going away.
async fn probe_port(listen: &str) -> Result<(), StartError> {
    let Some(socket) = settings::socket(listen) else {
        return Ok(());
    };
    let start = Instant::now();
    loop {
        match TcpListener::bind(socket) {
            Ok(_) => return Ok(()),
            Err(error)
                if error.kind() == std::io::ErrorKind::AddrInUse
                    && start.elapsed() < LOG_RELEASE_WAIT =>
            {
                sleep(LOG_RETRY_INTERVAL).await;
            }
            Err(source) => {
                return Err(StartError::Port {
                    address: listen.to_owned(),
                    source,
                });
            }
        }
    }
}

/// Opens the log once: the engine itself would only log that it cannot.
///
/// A log that is locked may belong to an engine of this process that is just going away.
async fn probe_log(path: &Path) -> Result<(), StartError> {
    use malachitebft_app_channel::app::wal::Log;
    let start = Instant::now();
    loop {
        match Log::open(path) {
            Ok(_) => return Ok(()),
            Err(error)
                if is_lock_held(&error.to_string()) && start.elapsed() < LOG_RELEASE_WAIT =>
            {
                sleep(LOG_RETRY_INTERVAL).await;
            }
            Err(source) => {
                return Err(StartError::Log {
                    path: path.to_owned(),
                    source,
                });
            }
        }
    }
}

/// Whether the log could not be opened because somebody has it open.
fn is_lock_held(reason: &str) -> bool {
    reason.contains("advisory lock")
}
