//! `cairn validator`: orders blocks, keeps data, audits, serves the page.
//!
//! `cairn verifier` is the same node under a key that is no validator's: it follows consensus
//! without a vote, locks a bond, and audits.

mod keys;
mod ordering;

use crate::{
    chain::{Chain, application::ChainApplication},
    doppelganger,
    duties::Duties,
    gossip,
    home::{Config, Home},
    keeping,
    local::Local,
    outbox::Outbox,
    pruning,
    rpc::server::{Served, router},
    signer::Signing,
    snapshots::{SNAPSHOT_BLOCKS, Snapshots},
    syncing, watchdog,
    workbench::Workbench,
};
use adversaries::Cheat;
use anyhow::{Context as _, Result, bail};
use keys::{Found, Keys, ask_now_and_then};
use ledger_consensus::{EngineConfig, EngineHandle, SigningHistory};
use ledger_state::staking::rotation;
use ledger_store::Store;
use network::{FolderStore, Network, NetworkConfig, NetworkHandle};
use ordering::Ordering;
use protocol::{Address, Amount, Height, SigningKey, genesis::Genesis};
use std::{path::Path, sync::Arc};
use tokio::{net::TcpListener, task::JoinHandle};

/// What a node takes part in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Ordering blocks, keeping data, auditing.
    Validator,
    /// Auditing.
    Verifier {
        /// What to lock; the least allowed if left out.
        bond: Option<Amount>,
    },
}

impl Role {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Validator => "validator",
            Self::Verifier { .. } => "verifier",
        }
    }
}

/// Runs a validator or verifier until it is told to stop or fails.
///
/// # Errors
/// When the home is damaged, an address is taken, or the engine stops by itself.
pub async fn run(
    path: &Path,
    role: Role,
    cheat: Option<Cheat>,
    sync: &syncing::Options,
) -> Result<()> {
    let (home, config, genesis) = open_home(path)?;
    // Take every address before touching data, so that a second start by mistake harms nothing.
    let http = TcpListener::bind(&config.http)
        .await
        .with_context(|| format!("cannot listen on {}", config.http))?;
    let (found, outbox) = keys::find(&home, &config, &genesis, role)?;
    if let Found::Here(keys) = &found {
        check_role(&genesis, keys.operator(), role)?;
    }
    syncing::begin(&home, &genesis, sync).await?;
    let (store, chain) = keeping::open_chain(&home, &genesis)?;
    let blobs = Arc::new(FolderStore::open(home.join("blobs"))?);
    if let Found::Here(keys) = &found {
        check_history(store.as_ref(), &genesis, (keys, role)).await?;
    }
    let local = Arc::new(Local::default());
    found.tell(&local);
    let (network, events) = start_network(&home, &config, found.network(), &chain, &blobs).await?;
    tell_addresses(&local, &network, &config);
    let speaks = config.speaks();
    if let Some(reason) = chain.outdated(speaks) {
        bail!(reason);
    }
    // Whoever operates the node can ask it from here on, whatever it still waits for.
    let mut tasks = Tasks::default();
    tasks.0.push(tokio::spawn(gossip::run(
        Arc::clone(&chain),
        network.clone(),
        events,
        Arc::clone(&local),
    )));
    tasks.serve(&home, (&config, &genesis), (&chain, &blobs, &local), http);
    let reached = found.reach((&home, &genesis), &config, &chain).await?;
    let Some(keys) = reached else {
        network.shutdown().await;
        return Ok(());
    };
    if role == Role::Validator && !signs_alone((&home, &genesis), &config, &chain, &keys).await? {
        network.shutdown().await;
        return Ok(());
    }
    let operator = keys.operator();
    let signing = keys.signing(&genesis)?;
    let engine = start_engine(&home, &config, (&signing, cheat), &chain).await?;
    let (what, named) = (role.as_str(), cheat.map(|cheat| cheat.to_string()));
    tracing::info!(chain = %chain.id(), %operator, http = %config.http, cheat = named, "{what} is up");

    tasks.0.push(work(
        &config,
        (&chain, &blobs, &network, &local),
        (&signing, outbox),
        (role, cheat),
    )?);
    tasks.0.push(ask_now_and_then(&signing));
    let ordering = Ordering {
        home: &home,
        config: &config,
        genesis: &genesis,
        chain: &chain,
        signing: &signing,
        cheat,
        speaks,
    };
    let stopped = ordering.run(engine).await;
    drop(tasks);
    network.shutdown().await;
    if let Some(tip) = store.tip()? {
        tracing::info!(height = %tip.height, "validator ended");
    }
    stopped
}

/// What runs beside consensus, and ends with this.
#[derive(Debug, Default)]
struct Tasks(Vec<JoinHandle<()>>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

impl Tasks {
    /// Answers those who ask over HTTP, and does what a node does besides.
    fn serve(
        &mut self,
        home: &Home,
        (config, genesis): (&Config, &Genesis),
        (chain, blobs, local): (&Arc<Chain>, &Arc<FolderStore>, &Arc<Local>),
        http: TcpListener,
    ) {
        let snapshots = Arc::new(Snapshots::in_folder(home.join("snapshots")));
        self.0
            .extend(upkeep(config, genesis, (chain, blobs, &snapshots)));
        let watching = watchdog::run(Arc::clone(chain), Arc::clone(local));
        self.0.push(tokio::spawn(watching));
        let (chain, blobs, local) = (Arc::clone(chain), Arc::clone(blobs), Arc::clone(local));
        let served = Served::new(chain, genesis.clone(), local, blobs, snapshots);
        let router = router(Arc::new(served));
        self.0.push(tokio::spawn(async move {
            if let Err(error) = axum::serve(http, router).await {
                tracing::error!("nobody is answered over HTTP any more: {error}");
            }
        }));
    }
}

/// Begins a node's duties beyond ordering.
fn work(
    config: &Config,
    (chain, blobs, network, local): (&Arc<Chain>, &Arc<FolderStore>, &NetworkHandle, &Arc<Local>),
    (signing, outbox): (&Signing, Option<Outbox>),
    (role, cheat): (Role, Option<Cheat>),
) -> Result<JoinHandle<()>> {
    let device = config.open_device()?;
    let bench = Workbench::new(
        Arc::clone(blobs),
        network.clone(),
        Arc::clone(local),
        device,
    );
    let bench = match role {
        // It computes every checkpoint itself.
        Role::Validator => bench,
        Role::Verifier { .. } => bench.following(),
    };
    let (operator, signer) = (signing.status.operator, &signing.signer);
    let outbox =
        outbox.unwrap_or_else(|| Outbox::of_signer(operator, Arc::clone(signer), chain.id()));
    let (duties, jobs) = Duties::new(
        Arc::clone(chain),
        Arc::new(bench),
        (outbox, Arc::clone(signer), &signing.status),
        (role, config.speaks()),
        cheat,
    );
    Ok(tokio::spawn(duties.run(jobs)))
}

fn open_home(path: &Path) -> Result<(Home, Config, Genesis)> {
    if !path.join("config.toml").exists() {
        bail!(
            "{} is not a node's home: config.toml is missing",
            path.display()
        );
    }
    let home = Home::open(path)?;
    let config = home.config()?;
    let genesis = home.genesis()?;
    Ok((home, config, genesis))
}

/// What a node does besides: states for those who join, and room on the disk.
fn upkeep(
    config: &Config,
    genesis: &Genesis,
    (chain, blobs, snapshots): (&Arc<Chain>, &Arc<FolderStore>, &Arc<Snapshots>),
) -> [JoinHandle<()>; 3] {
    let interval = config.snapshot_blocks.unwrap_or(SNAPSHOT_BLOCKS);
    let making = Arc::clone(snapshots).run(Arc::clone(chain), interval);
    let genesis = Arc::new(genesis.clone());
    let blocks = pruning::run(Arc::clone(chain), genesis, config.keep_blocks);
    let (chain, blobs) = (Arc::clone(chain), Arc::clone(blobs));
    let blobs = pruning::blobs::run(chain, blobs, config.keep_steps);
    [
        tokio::spawn(making),
        tokio::spawn(blocks),
        tokio::spawn(blobs),
    ]
}

fn check_role(genesis: &Genesis, operator: Address, role: Role) -> Result<()> {
    let mut validators = genesis.validators.iter();
    let orders = validators.any(|validator| validator.operator == operator);
    let chain = genesis.chain_id();
    match role {
        Role::Verifier { .. } if orders => {
            bail!("operator {operator} is a validator of chain {chain}, which audits as it is")
        }
        Role::Validator | Role::Verifier { .. } => Ok(()),
    }
}

/// Waits until it is known that no other process signs with this key, if it signed before. Whether
/// to go on.
async fn signs_alone(
    (home, genesis): (&Home, &Genesis),
    config: &Config,
    chain: &Arc<Chain>,
    keys: &Keys<'_>,
) -> Result<bool> {
    let signed = match keys {
        Keys::Here(keys) => {
            let (chain, key) = (genesis.chain_id(), keys.consensus.address());
            SigningHistory::open(&keys.history, chain, key)?.height()
        }
        Keys::Away(_) | Keys::Elsewhere(_) => {
            let status = keys.status().await?;
            status.map_or(Height::ZERO, |status| status.height)
        }
    };
    if signed == Height::ZERO {
        return Ok(true);
    }
    let goes_on = doppelganger::watch(home, config, chain).await?;
    check_history(chain.store(), genesis, (keys, Role::Validator)).await?;
    Ok(goes_on)
}

/// Whoever votes must know what it signed before.
async fn check_history(
    store: &dyn Store,
    genesis: &Genesis,
    (keys, role): (&Keys<'_>, Role),
) -> Result<()> {
    if role != Role::Validator {
        return Ok(());
    }
    match keys {
        Keys::Here(keys) => {
            let key = keys.consensus.address();
            crate::signing::check(&keys.history, store, genesis, key)
        }
        Keys::Away(_) | Keys::Elsewhere(_) => match keys.status().await? {
            Some(status) => crate::signing::check_remote(store, &status),
            None => Ok(()),
        },
    }
}

async fn start_network(
    home: &Home,
    config: &Config,
    key: &SigningKey,
    chain: &Chain,
    blobs: &Arc<FolderStore>,
) -> Result<(
    NetworkHandle,
    tokio::sync::mpsc::Receiver<network::NetworkEvent>,
)> {
    let settings = NetworkConfig {
        signing_seed: key.to_seed(),
        listen: vec![config.network.clone()],
        bootstrap: config.network_peers.clone(),
        home: home.path().to_owned(),
        chain: chain.id().short(),
    };
    Ok(Network::start(settings, Arc::clone(blobs) as _).await?)
}

/// Notes where others are reached, for those who join.
fn tell_addresses(local: &Local, network: &NetworkHandle, config: &Config) {
    local.set_network_addresses(network.listen_addresses());
    let others = config.consensus_peers.iter().cloned();
    local.set_consensus_addresses(others.chain([config.consensus.clone()]).collect());
}

async fn start_engine(
    home: &Home,
    config: &Config,
    (signing, cheat): (&Signing, Option<Cheat>),
    chain: &Arc<Chain>,
) -> Result<EngineHandle> {
    let key = signing.status.consensus;
    let named = chain.view(|view| rotation::signing_key(view, signing.status.operator));
    if named != key {
        tracing::warn!(%key, %named, "the chain has another key for this validator: no vote counts");
    }
    let own = (key, Arc::clone(&signing.signer));
    let mut application =
        ChainApplication::with_signer(Arc::clone(chain), own, config.block_interval_ms);
    application.cheat = cheat;
    application.speaks = config.speaks();
    let mut settings = EngineConfig::new(
        chain.id(),
        signing.network.clone(),
        home.join("consensus"),
        config.consensus.clone(),
    );
    settings.signer = Some(Arc::clone(&signing.signer));
    settings.peers.clone_from(&config.consensus_peers);
    Ok(ledger_consensus::start(settings, application).await?)
}

/// Opens a validator's chain for reading while the validator is down.
///
/// # Errors
/// When the home is missing, damaged, or in use.
pub fn open_offline(path: &Path) -> Result<(Home, Genesis, Arc<Chain>)> {
    if !path.join("genesis.json").exists() {
        bail!(
            "{} is not a validator's home: genesis.json is missing",
            path.display()
        );
    }
    let home = Home::open(path)?;
    let genesis = home.genesis()?;
    let (_, chain) = keeping::open_chain(&home, &genesis)?;
    Ok((home, genesis, chain))
}
