//! `cairn miner`: asks what to compute, computes it, binds it, is paid.
//!
//! Level-triggered: it asks a node for its [`Work`], registers if it is not registered, computes
//! the units listed, and submits a commitment until the unit is no longer listed. It computes
//! beside this loop, which goes on opening what is due and contesting what is wrong.

mod contest;
mod disputing;
mod feedbacks;
mod making;
mod misconduct;
mod trajectories;

use crate::{
    computation::{Drawing, Secrets},
    home::{Config, Home, write_atomically},
    local::{Local, Report, timeline::Times},
    other_engine::OtherEngine,
    outbox::Outbox,
    rpc::{
        client::{Client, ClientError},
        fees::{FeesAnswer, Limits},
        query::{ClassRow, ClassesAnswer, RunAnswer},
        server::StatusAnswer,
        work::{Standing, Work, WorkStep},
    },
    workbench::Workbench,
};
use adversaries::{Cheat, Conduct};
use anyhow::{Context as _, Result, bail};
use disputing::Shown;
use engine::DeviceChoice;
use feedbacks::Feedbacks;
use making::Making;
use network::{FolderStore, Network, NetworkConfig, NetworkEvent};
use protocol::{
    Address, BlobId, ChainId, Micro, RunId, SigningKey, Step,
    class::ClassId,
    codec::{BoundedVec, encode},
    genesis::Genesis,
    recipe::Recipe,
    rollout::{OPENINGS_BYTES_MAX, OPENINGS_COUNT_MAX, Opening},
    task::{UnitId, UnitKind},
    transaction::{Body, Fee, Lane, Transaction},
    vrf::Public,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use trajectories::Trajectories;

/// How often a miner asks for work.
const ASK_INTERVAL: Duration = Duration::from_millis(150);
/// How long it waits before asking again when no node answers.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How often its counters are written down while nothing else is to be said.
const STATUS_INTERVAL: Duration = Duration::from_secs(2);
/// Politeness towards the machine's other processes, as for `nice`.
const NICENESS: i32 = 10;
/// Steps after which old blobs are dropped.
const STEPS_KEPT_COUNT: u64 = 4;
/// Age after which a blob is dropped; far beyond any challenge window of a devnet.
const BLOB_AGE_MAX: Duration = Duration::from_secs(3600);
/// Blobs looked at when sweeping.
const BLOBS_COUNT_MAX: usize = 100_000;

/// How a miner is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Nodes to ask, if not those of its configuration.
    pub nodes: Vec<String>,
    /// Compute threads, if not those of its configuration.
    pub threads_count: Option<usize>,
    /// What to compute on, if not what its configuration says.
    pub device: Option<DeviceChoice>,
    /// Whether training saves memory, if its configuration does not say so.
    pub checkpointing: bool,
    /// Deceive in this way: for tests of the network's defences.
    pub cheat: Option<Cheat>,
    /// How many times as long as it could it takes to compute: for tests of slow miners.
    pub slowness: u32,
    /// Another engine that draws rollouts, if not that of its configuration.
    pub worker: Option<Vec<String>>,
    /// That engine's class, by name or number, if not that of its configuration.
    pub class: Option<String>,
}

/// What a miner writes to `status.json` for whoever watches it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MinerStatus {
    /// Its account.
    pub address: Address,
    /// Units computed since it started.
    pub units_count: u64,
    /// The last thing it did or waits for.
    pub doing: String,
    /// Its counters.
    pub local: Report,
}

struct Miner {
    home: Home,
    address: Address,
    vrf: Public,
    key: SigningKey,
    client: Arc<Client>,
    chain: ChainId,
    bench: Arc<Workbench>,
    outbox: Outbox,
    class: ClassId,
    drawing: Drawing,
    recipes: BTreeMap<RunId, Arc<Recipe>>,
    products: BTreeMap<UnitId, Body>,
    openings: BTreeMap<UnitId, Opening>,
    trajectories: Trajectories,
    feedbacks: Feedbacks,
    making: Making,
    /// What is computed for a dispute, beside that.
    showing: Making,
    kept: BTreeMap<UnitId, BlobId>,
    /// Convicted units, and whether they come out the same when computed again.
    contested: BTreeMap<UnitId, bool>,
    /// What it computed for a dispute.
    shown: Option<Shown>,
    /// Unpaid units of which it said why.
    reported: BTreeSet<UnitId>,
    /// Whether its account has given notice.
    is_leaving: bool,
    units_count: u64,
    /// The step of each run at which old blobs were last removed.
    swept: BTreeMap<RunId, Step>,
    /// The step of each run whose checkpoint it got without a unit to do.
    kept_up: BTreeMap<RunId, Step>,
    /// Where its time had gone when a step last began.
    times: Times,
    /// When it last wrote `status.json`.
    written: Option<Instant>,
    /// What it said last.
    told: String,
}

/// Runs a miner until it is told to stop, is slashed, or all runs are finished.
///
/// # Errors
/// When the home is damaged, the chain is another one, or an address is taken.
pub async fn run(path: &Path, options: Options) -> Result<()> {
    let home = Home::open(path)?;
    let mut config = if path.join("config.toml").exists() {
        home.config()?
    } else {
        Config::default()
    };
    if !options.nodes.is_empty() {
        config.nodes.clone_from(&options.nodes);
    }
    if config.nodes.is_empty() {
        bail!("no node to ask; give one with --node, such as --node http://127.0.0.1:8420");
    }
    if config.network.is_empty() {
        "/ip4/0.0.0.0/tcp/0".clone_into(&mut config.network);
    }
    config.threads_count = options.threads_count.unwrap_or(config.threads_count).max(1);
    config.checkpointing |= options.checkpointing;
    if let Some(device) = options.device {
        config.device = device.to_string();
    }
    if let Some(worker) = options.worker {
        config.worker = worker;
    }
    if let Some(class) = options.class {
        config.class = class;
    }
    if config.worker.is_empty() != config.class.is_empty() {
        bail!("another engine needs both --worker, its command, and --class, its class");
    }
    home.write_config(&config)?;
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::warn!("priority stays as it is: {error}");
    }
    let mut stop = std::pin::pin!(crate::shutdown::requested());
    tokio::select! {
        () = &mut stop => Ok(()),
        result = mine(home, config, (options.cheat, options.slowness)) => result,
    }
}

async fn mine(home: Home, config: Config, (cheat, slowness): (Option<Cheat>, u32)) -> Result<()> {
    let device = config.open_device()?;
    let key = home.key("operator.key")?;
    let client = Arc::new(Client::new(config.nodes.clone()));
    let genesis: Genesis = patiently(|| client.get("/v1/genesis")).await?;
    home.write_genesis(&genesis)?;
    let chain = genesis.chain_id();
    let blobs = Arc::new(FolderStore::open(home.join("blobs"))?);
    let local = Arc::new(Local::default());
    let settings = NetworkConfig {
        signing_seed: key.to_seed(),
        listen: vec![config.network.clone()],
        bootstrap: bootstrap(&client, &config).await?,
        home: home.path().to_owned(),
        chain: chain.short(),
    };
    let (network, mut events) = Network::start(settings, Arc::clone(&blobs) as _).await?;
    // A miner has no state to judge gossip by, so it carries none.
    let listener = tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            if let NetworkEvent::PeerBanned { peer, offence } = event {
                tracing::warn!(%peer, ?offence, "peer banned");
            }
        }
    });
    let class = class_of(&client, &config.class).await?;
    let drawing = match cheat {
        Some(cheat) => Drawing::Cheat(cheat),
        None if config.worker.is_empty() => Drawing::Exact,
        None => Drawing::Worker(Arc::new(OtherEngine::new(config.worker.clone()))),
    };
    let (address, vrf) = (key.address(), key.vrf().public());
    tracing::info!(%chain, %address, cheat = cheat.map(|cheat| cheat.to_string()), "miner is up");
    let bench = Workbench::new(blobs, network.clone(), local, device);
    let bench = bench.following().slowed(slowness);
    let mut miner = Miner {
        trajectories: Trajectories::open(home.join("trajectories"))?,
        feedbacks: Feedbacks::open(home.join("feedback"))?,
        home,
        address,
        vrf,
        outbox: Outbox::new(key.clone(), chain),
        key,
        client,
        chain,
        bench: Arc::new(bench),
        class,
        drawing,
        recipes: BTreeMap::new(),
        products: BTreeMap::new(),
        openings: BTreeMap::new(),
        making: Making::default(),
        showing: Making::default(),
        kept: BTreeMap::new(),
        contested: BTreeMap::new(),
        shown: None,
        reported: BTreeSet::new(),
        is_leaving: false,
        units_count: 0,
        swept: BTreeMap::new(),
        kept_up: BTreeMap::new(),
        times: Times::default(),
        written: None,
        told: String::new(),
    };
    let ended = miner.work().await;
    listener.abort();
    network.shutdown().await;
    ended
}

/// Asks until a node answers; a refusal is final.
async fn patiently<T, F: Future<Output = Result<T, ClientError>>>(
    ask: impl Fn() -> F,
) -> Result<T> {
    let mut told = false;
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error @ ClientError::Refused(_)) => return Err(error.into()),
            Err(error @ ClientError::Unreachable { .. }) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!("{error}; asking again every second");
                }
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
        }
    }
}

/// The number of a class of which a miner has the name or number; nothing said is the exact one.
async fn class_of(client: &Client, wanted: &str) -> Result<ClassId> {
    if wanted.is_empty() {
        return Ok(ClassId::EXACT);
    }
    let answer: ClassesAnswer = patiently(|| client.get("/v1/classes")).await?;
    let named =
        |row: &&ClassRow| row.class.name.as_str() == wanted || row.class.id.to_string() == wanted;
    let Some(row) = answer.classes.iter().find(named) else {
        let known = answer.classes.iter();
        let known: Vec<String> = known
            .map(|row| format!("{} ({})", row.class.id, row.class.name.as_str()))
            .collect();
        bail!(
            "class {wanted:?} is not listed; listed are 0 (exact){}{}",
            if known.is_empty() { "" } else { ", " },
            known.join(", ")
        );
    };
    Ok(row.class.id)
}

/// Peers for gossip and blobs: configured ones, or the node's own addresses.
async fn bootstrap(client: &Client, config: &Config) -> Result<Vec<String>> {
    if !config.network_peers.is_empty() {
        return Ok(config.network_peers.clone());
    }
    let status: StatusAnswer = patiently(|| client.get("/v1/status")).await?;
    Ok(status.network_addresses)
}

impl Miner {
    async fn work(&mut self) -> Result<()> {
        let path = format!("/v1/tasks/{}", self.address);
        loop {
            let work: Work = patiently(|| self.client.get(&path)).await?;
            if work.chain != self.chain {
                bail!(
                    "the node is on chain {}; this miner is on {}",
                    work.chain,
                    self.chain
                );
            }
            if work.runs_count > 0 && work.finished_runs_count == work.runs_count {
                self.tell("all runs are finished")?;
            }
            self.outbox.observe(work.nonce, work.height);
            for unpaid in &work.unpaid {
                if self.reported.insert(unpaid.unit) {
                    tracing::warn!(unit = %unpaid.unit, "{}", unpaid.reason);
                }
            }
            if let Some(registered) = work.class.filter(|class| *class != self.class) {
                bail!(
                    "this account is registered with class {registered}, not {}; another class \
                     takes another account",
                    self.class
                );
            }
            if work.standing == Standing::Leaving && !std::mem::replace(&mut self.is_leaving, true)
            {
                self.tell("leaving: what is under way is finished, then the bond is free")?;
            }
            match work.standing {
                Standing::Unregistered if self.is_leaving => {
                    self.tell("left; its bond is in its account")?;
                    return Ok(());
                }
                Standing::Unregistered => self.register(&work).await?,
                Standing::Idle => self.submit(&Body::Resume, &work).await?,
                Standing::Active | Standing::Leaving => self.do_units(&work).await?,
                Standing::Slashed => {
                    let reason = work.slash.map(|finding| finding.to_string());
                    let reason = reason.unwrap_or_default();
                    self.tell(&format!("slashed, and given no more work: {reason}"))?;
                    tracing::error!(address = %self.address, "slashed: {reason}");
                    return Ok(());
                }
            }
            if self.written.is_none_or(|at| at.elapsed() > STATUS_INTERVAL) {
                self.write_status()?;
            }
            tokio::select! {
                () = tokio::time::sleep(ASK_INTERVAL) => {}
                made = self.making.next() => self.take(made).await,
                shown = self.showing.next() => self.take(shown).await,
            }
        }
    }
    async fn register(&mut self, work: &Work) -> Result<()> {
        let bond = work.bond_min;
        if work.balance < bond {
            let (address, balance) = (self.address, work.balance);
            self.tell(&format!(
                "{address} has {balance}; registering needs a bond of {bond}"
            ))?;
            tokio::time::sleep(RETRY_INTERVAL).await;
            return Ok(());
        }
        self.submit(
            &Body::RegisterMiner {
                bond,
                vrf: self.vrf,
                class: self.class,
            },
            work,
        )
        .await
    }
    async fn do_units(&mut self, work: &Work) -> Result<()> {
        self.note(work);
        for step in &work.steps {
            self.drop_old(step.context.run, step.context.step, &step.feedback)?;
            self.open(step, work).await?;
            for unit in &step.convicted {
                self.contest(&step.context, unit, work).await?;
            }
            for unit in &step.disputed {
                self.dispute(&step.context, unit, work).await?;
            }
            for unit in &step.units {
                let Some(body) = self.products.get(&unit.unit).cloned() else {
                    self.compute(&step.context, unit).await;
                    continue;
                };
                if self.conduct(unit.unit) == Conduct::Equivocates {
                    self.equivocate(&body, work).await;
                }
                self.submit(&body, work).await?;
            }
            if step.units.is_empty() {
                self.keep_up(&step.context).await;
            }
        }
        self.making.try_again();
        self.showing.try_again();
        Ok(())
    }
    /// Opens what is due. Units of an earlier life of this process are computed again.
    async fn open(&mut self, step: &WorkStep, work: &Work) -> Result<()> {
        let flying: BTreeSet<UnitId> = self
            .outbox
            .in_flight()
            .filter_map(|body| match body {
                Body::Open { openings } => Some(openings.as_slice()),
                _ => None,
            })
            .flatten()
            .map(|opening| opening.unit)
            .collect();
        let mut ready = Vec::new();
        for due in &step.due {
            let unit = due.unit.unit;
            let is_silent = self.conduct(unit) == Conduct::WithholdsOpening;
            if unit.kind == UnitKind::Gradient && !is_silent {
                self.show_states(&step.context, due, work).await?;
                continue;
            }
            if flying.contains(&unit) || ready.len() == OPENINGS_COUNT_MAX || is_silent {
                continue;
            }
            let Some(opening) = self.openings.get(&unit) else {
                self.compute(&step.context, &due.unit).await;
                continue;
            };
            let is_fault_first = opening.plant.is_some() && !due.is_known;
            ready.push(if due.is_audited && !is_fault_first {
                opening.clone()
            } else {
                opening.sealed(self.address)
            });
        }
        while ready.len() > 1 && encode(&ready).len() > OPENINGS_BYTES_MAX {
            // What does not fit is still due in the next round.
            ready.pop();
        }
        let openings = BoundedVec::new(ready)?;
        if openings.as_slice().is_empty() {
            return Ok(());
        }
        self.submit(&Body::Open { openings }, work).await
    }
    fn secrets(&self, plant_rate: Micro) -> Secrets {
        Secrets {
            key: self.key.clone(),
            plant_rate,
        }
    }
    async fn recipe(&mut self, run: RunId) -> Result<Arc<Recipe>> {
        if let Some(recipe) = self.recipes.get(&run) {
            return Ok(Arc::clone(recipe));
        }
        let answer: RunAnswer = self.client.get(&format!("/v1/runs/{run}")).await?;
        let recipe = Arc::new(answer.recipe);
        self.recipes.insert(run, Arc::clone(&recipe));
        Ok(recipe)
    }
    async fn submit(&mut self, body: &Body, work: &Work) -> Result<()> {
        let quote: Option<FeesAnswer> = match body.lane() {
            Lane::Duty => None,
            Lane::Paid => Some(self.client.get("/v1/fees").await?),
        };
        let offer = |content: &Transaction| {
            let offered = quote.map(|quote| quote.offer(content, Limits::default()));
            offered.unwrap_or(Fee::NONE)
        };
        let Some(signed) = self.outbox.sign(body, (work.nonce, work.height), offer) else {
            return Ok(());
        };
        match self.client.submit(&signed).await {
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::warn!(kind = body.kind(), "{error}");
                self.outbox.refused(body);
                Ok(())
            }
        }
    }
    /// Forgets units and blobs of a run's steps long past; other runs are at other steps.
    fn drop_old(&mut self, run: RunId, step: Step, feedback: &[BlobId]) -> Result<()> {
        let oldest = step.saturating_sub(STEPS_KEPT_COUNT);
        let is_old = |unit: &UnitId| unit.run == run && unit.step < oldest;
        let states = self.trajectories.drop_before(run, step)?;
        let copies = self.feedbacks.drop_before(run, step, feedback)?;
        for file in states.into_iter().chain(copies) {
            self.bench.blobs.remove(&file)?;
        }
        self.products.retain(|unit, _| !is_old(unit));
        self.openings.retain(|unit, _| !is_old(unit));
        self.contested.retain(|unit, _| !is_old(unit));
        self.shown = self.shown.take().filter(|shown| shown.unit().step >= step);
        self.reported.retain(|unit| !is_old(unit));
        let old: Vec<UnitId> = self
            .kept
            .keys()
            .filter(|unit| is_old(unit))
            .copied()
            .collect();
        for unit in old {
            if let Some(blob) = self.kept.remove(&unit) {
                self.bench.blobs.remove(&blob)?;
            }
        }
        if self.swept.insert(run, step) != Some(step) {
            let times = self.bench.local.times();
            tracing::info!(
                "run {run} is at step {step}; since the last, {}",
                times.since(&self.times)
            );
            self.times = times;
            self.sweep()?;
        }
        Ok(())
    }
    /// Removes blobs that nobody has needed for long: fetched inputs and checkpoints, and own
    /// blobs of an earlier life of this process, whose units are settled by now.
    fn sweep(&self) -> Result<()> {
        for id in self.bench.blobs.list(BLOBS_COUNT_MAX)? {
            let Some(path) = self.bench.blobs.path(&id)? else {
                continue;
            };
            let age = path
                .metadata()
                .and_then(|file| file.modified())
                .map(|time| time.elapsed());
            if matches!(age, Ok(Ok(age)) if age > BLOB_AGE_MAX) {
                self.bench.blobs.remove(&id)?;
            }
        }
        Ok(())
    }
    /// Says what it does: a line in the log when that changes, and `status.json`.
    fn tell(&mut self, doing: &str) -> Result<()> {
        if self.told != doing {
            tracing::info!("{doing}");
            doing.clone_into(&mut self.told);
        }
        self.write_status()
    }
    fn write_status(&mut self) -> Result<()> {
        self.written = Some(Instant::now());
        let status = MinerStatus {
            address: self.address,
            units_count: self.units_count,
            doing: self.told.clone(),
            local: self.bench.local.report(),
        };
        let text = serde_json::to_vec(&status).context("cannot encode status.json")?;
        write_atomically(&self.home.join("status.json"), &text)
    }
}
