//! `cairn devnet`: a whole network on loopback, as separate processes, that trains a model.
//!
//! The devnet itself only writes homes, starts and watches processes, asks one validator for the
//! overview to show, and lets the holders vote. Everything else happens in the processes, which
//! run the same commands as real participants: `cairn validator --home …`, `cairn miner --home …`.

pub mod events;
pub mod layout;
pub mod places;
pub mod process;
pub mod recipe;
pub mod screen;
pub mod session;
pub mod summary;
pub mod vote;

use crate::{
    home::key_file,
    local::Report,
    mining::MinerStatus,
    rpc::{client::Client, overview::Overview},
};
use adversaries::Cheat;
use anyhow::{Context as _, Result};
use events::{Event, What};
use governance::parameters::Name;
use layout::{Layout, Participant, Role};
use places::Places;
use process::{Change, Process};
use protocol::{Address, Height, StateRoot, recipe::UpdateForm};
use screen::Screen;
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use summary::{Measured, Summary};
use vote::Holders;

/// How often the overview is read and the processes are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// State roots asked of a validator at once.
const ROOTS_PER_REQUEST: u64 = 1_000;

/// How a devnet is started. What is left out has a default, or stays as it was.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where everything is kept.
    pub home: PathBuf,
    /// Start over.
    pub fresh: bool,
    /// From which keys and weights are derived.
    pub seed: Option<u64>,
    /// End after this many steps.
    pub steps: Option<u64>,
    /// Print a summary for programs at the end.
    pub json: bool,
    /// Honest miners.
    pub miners: Option<u32>,
    /// Validators.
    pub validators: Option<u32>,
    /// Cheating miners.
    pub cheats: Option<Vec<Cheat>>,
    /// A recipe to train instead of the devnet's own.
    pub recipe: Option<PathBuf>,
    /// Classes of miners on other engines.
    pub classes: Vec<PathBuf>,
    /// The page's port; the others follow.
    pub port: u16,
    /// Blocks in a day of governance.
    pub day_blocks: u64,
    /// The stage of the hand-over to begin with, 0 to 3.
    pub stage: u8,
    /// Parameters that differ from their defaults.
    pub parameters: Vec<(Name, u64)>,
    /// What is trained, unless a recipe says so.
    pub training: Training,
    /// How updates are sent, if not as the recipe says.
    pub updates: Option<UpdateForm>,
    /// What happens to miners.
    pub events: Vec<Event>,
    /// Where participants are.
    pub places: Places,
}

/// What a devnet trains by its own recipes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Training {
    /// A little pre-training, then reinforcement.
    #[default]
    Both,
    /// Pre-training on the corpus alone.
    Pretrain,
}

impl Options {
    fn validators_count(&self) -> u32 {
        self.validators.unwrap_or(4)
    }
    fn miners_count(&self) -> u32 {
        self.miners.unwrap_or(3)
    }
    fn cheats_or_default(&self) -> Vec<Cheat> {
        let default = || "skip-steps".parse().into_iter().collect();
        self.cheats.clone().unwrap_or_else(default)
    }
}

/// A running devnet.
struct Devnet {
    options: Options,
    layout: Layout,
    processes: Vec<Process>,
    client: Client,
    holders: Holders,
    started: Instant,
    measured: Measured,
    is_fresh: bool,
    first_height: Option<Height>,
    overview: Option<Overview>,
    notes: Vec<String>,
    /// What has yet to happen to miners.
    events: Vec<Event>,
}

/// Runs a devnet until it is told to stop or the asked-for steps are done.
///
/// # Errors
/// When a home is damaged, a port is taken, or, with `--steps`, when not all is well at the end.
pub async fn run(options: Options) -> Result<()> {
    let started = Instant::now();
    let is_fresh = options.fresh || !options.home.join("devnet.json").exists();
    let layout = layout::prepare(&options.home, &options)?;
    check_ports(&options, &layout)?;
    let nodes = layout.nodes(&options);
    let holders = Holders::open(&options.home, &layout)?;
    let processes = start(&options, &layout)?;
    let mut devnet = Devnet {
        client: Client::new(nodes),
        holders,
        processes,
        started,
        measured: Measured::default(),
        is_fresh,
        first_height: None,
        overview: None,
        notes: Vec::new(),
        events: options.events.clone(),
        layout,
        options,
    };
    let mut screen = Screen::open(devnet.options.json)?;
    let watched = devnet.watch(&mut screen).await;
    let summary = match &watched {
        Ok(()) => devnet.summarise().await,
        Err(_) => None,
    };
    drop(screen);
    process::end(&mut devnet.processes);
    watched?;
    devnet.conclude(summary)
}

/// Starts all participants but those that join later.
fn start(options: &Options, layout: &Layout) -> Result<Vec<Process>> {
    for event in &options.events {
        let mut miners = layout.of(Role::Miner);
        anyhow::ensure!(
            miners.any(|miner| miner.name == event.name),
            "there is no miner {}",
            event.name
        );
    }
    let mut processes = Vec::with_capacity(layout.participants.len());
    for (index, participant) in (0..).zip(&layout.participants) {
        let slowness = events::slowness(&options.events, &participant.name);
        let place = (options.places.prefix(index), slowness);
        let mut process = Process::new(&options.home, participant, place);
        if !events::joins_late(&options.events, &participant.name) {
            process.start()?;
        }
        processes.push(process);
    }
    Ok(processes)
}

/// Says at once which port is taken, instead of letting one process fail in its log.
fn check_ports(options: &Options, layout: &Layout) -> Result<()> {
    if options.places.namespaces.is_some() {
        return Ok(());
    }
    let count = u16::try_from(3 * layout.participants.len()).unwrap_or(u16::MAX);
    for port in options.port..options.port.saturating_add(count) {
        std::net::TcpListener::bind(("127.0.0.1", port)).with_context(|| {
            let last = options.port + count - 1;
            let first = options.port;
            format!(
                "port {port} on 127.0.0.1 is taken; this devnet needs {first} to {last} \
                 (--port chooses others)"
            )
        })?;
    }
    Ok(())
}

impl Devnet {
    async fn watch(&mut self, screen: &mut Screen) -> Result<()> {
        let mut stop = std::pin::pin!(crate::shutdown::requested());
        let mut look = tokio::time::interval(LOOK_INTERVAL);
        loop {
            tokio::select! {
                () = &mut stop => return Ok(()),
                _ = look.tick() => {}
            }
            self.look_at_processes()?;
            self.look_at_chain().await;
            self.disturb()?;
            if screen.show(self)? == screen::Wish::End || self.is_over() {
                return Ok(());
            }
        }
    }
    fn note(&mut self, note: String) {
        tracing::info!("{note}");
        self.notes.push(note);
    }
    /// Lets happen to miners what is due.
    fn disturb(&mut self) -> Result<()> {
        let overview = self.overview.as_ref();
        let run = overview.and_then(|overview| overview.run.as_ref());
        let Some(now) = run.map(|run| run.step) else {
            return Ok(());
        };
        let due: Vec<Event> = self
            .events
            .extract_if(.., |event| event.is_due(now))
            .collect();
        for event in due {
            let mut processes = self.processes.iter_mut();
            let process = processes.find(|process| process.participant.name == event.name);
            match (process, event.what) {
                (Some(process), What::Join(_)) => process.start()?,
                (Some(process), What::Kill(_)) => process.kill(),
                (Some(process), What::Vanish(_)) => process.vanish(),
                (Some(_), What::Slow(_)) | (None, _) => {}
            }
            self.note(event.to_string());
        }
        Ok(())
    }
    fn look_at_processes(&mut self) -> Result<()> {
        let mut notes = Vec::new();
        for process in &mut self.processes {
            let name = process.participant.name.clone();
            match process.look()? {
                None => {}
                Some(Change::Done) => notes.push(format!("{name} ended: it has no more work")),
                Some(Change::Died(status)) => {
                    let words = process.last_words();
                    notes.push(format!(
                        "{name} died ({status}) and is started again: {words}"
                    ));
                }
                Some(Change::Vanished) => notes.push(format!("{name} was killed")),
                Some(Change::Restarted) => notes.push(format!("{name} is started again")),
                Some(Change::GaveUp(words)) => {
                    anyhow::bail!("{name} died three times right after its start: {words}");
                }
            }
        }
        for note in notes {
            self.note(note);
        }
        let pids = self
            .processes
            .iter()
            .filter_map(Process::pid)
            .chain([std::process::id()]);
        let rss_kib: u64 = pids.map(rss_kib).sum();
        self.measured.rss_mib_max = self.measured.rss_mib_max.max(rss_kib >> 10);
        Ok(())
    }
    async fn look_at_chain(&mut self) {
        let Ok(overview) = self.client.get::<Overview>("/v1/overview").await else {
            return;
        };
        let first = *self.first_height.get_or_insert(overview.height);
        // On a fresh start the first answer may come after the first block.
        let is_new = overview.height > first || (self.is_fresh && overview.height > Height::ZERO);
        if self.measured.first_block_s == 0.0 && is_new {
            self.measured.first_block_s = self.started.elapsed().as_secs_f64();
        }
        if let Err(error) = self.holders.act(&self.client, &overview).await {
            tracing::debug!("the vote waits: {error:#}");
        }
        self.overview = Some(overview);
    }
    fn is_over(&self) -> bool {
        let run = self
            .overview
            .as_ref()
            .and_then(|overview| overview.run.as_ref());
        let (Some(steps), Some(run)) = (self.options.steps, run) else {
            return false;
        };
        run.step.get() >= steps.min(run.steps_count)
    }
    /// Sums up while the validators still answer.
    async fn summarise(&mut self) -> Option<Summary> {
        self.measured.wall_s = self.started.elapsed().as_secs_f64();
        self.look_at_chain().await;
        let overview = self.overview.clone()?;
        self.measured.state_roots_agree = self.state_roots_agree(overview.height).await;
        self.measured.reports = self.reports().await;
        let cheats = self.cheats().ok()?;
        self.measured.disturbed = self.disturbed().ok()?;
        Some(Summary::new(&overview, &cheats, &self.measured))
    }
    fn cheats(&self) -> Result<Vec<summary::Cheat>> {
        let cheats = self.layout.cheats().filter_map(|participant| {
            let cheat = participant.cheat.clone()?;
            let key = Layout::home(&self.options.home, participant).join("operator.key");
            Some(key_file(&key).map(|key| (cheat, key.address())))
        });
        cheats.collect()
    }
    /// Accounts of miners to which something happens on purpose.
    fn disturbed(&self) -> Result<Vec<Address>> {
        let events = &self.options.events;
        let miners = self.layout.of(Role::Miner);
        let disturbed = miners.filter(|miner| events.iter().any(|event| event.name == miner.name));
        let key = |miner| Layout::home(&self.options.home, miner).join("operator.key");
        let address = |miner| key_file(&key(miner)).map(|key| key.address());
        disturbed.map(address).collect()
    }
    /// Compares the state after every height among all validators that answer.
    async fn state_roots_agree(&self, height: Height) -> bool {
        let mut from = 1;
        while from <= height.get() {
            let to = (from + ROOTS_PER_REQUEST - 1).min(height.get());
            let mut expected: Option<Vec<StateRoot>> = None;
            for node in self.client.nodes() {
                let client = Client::new(vec![node.clone()]);
                let path = format!("/v1/roots/{from}/{to}");
                let Ok(mut roots) = client.get::<Vec<StateRoot>>(&path).await else {
                    continue;
                };
                let known = expected.get_or_insert_with(|| roots.clone());
                // A validator may be a block behind the one that was asked for the height.
                let shared = known.len().min(roots.len());
                roots.truncate(shared);
                if known[..shared] != roots[..] {
                    return false;
                }
            }
            from = to + 1;
        }
        height > Height::ZERO
    }
    /// What every process that answers says of itself.
    async fn reports(&self) -> Vec<(Participant, Report)> {
        let mut reports = Vec::new();
        let validators = self.layout.of(Role::Validator);
        for (node, participant) in self.client.nodes().iter().zip(validators) {
            let client = Client::new(vec![node.clone()]);
            if let Ok(report) = client.get::<Report>("/v1/local").await {
                reports.push((participant.clone(), report));
            }
        }
        for participant in self.layout.of(Role::Miner) {
            let path = Layout::home(&self.options.home, participant).join("status.json");
            let Ok(bytes) = std::fs::read(path) else {
                continue;
            };
            if let Ok(status) = serde_json::from_slice::<MinerStatus>(&bytes) {
                reports.push((participant.clone(), status.local));
            }
        }
        reports
    }
    fn conclude(&self, summary: Option<Summary>) -> Result<()> {
        let Some(summary) = summary else {
            anyhow::ensure!(
                self.options.steps.is_none(),
                "ended before the network answered"
            );
            return Ok(());
        };
        if self.options.json {
            screen::print(&serde_json::to_string_pretty(&summary).context("cannot encode")?)?;
        } else {
            screen::print(&screen::summary_text(&summary, &self.options.home))?;
        }
        let Some(steps) = self.options.steps else {
            return Ok(());
        };
        let run = self
            .overview
            .as_ref()
            .and_then(|overview| overview.run.as_ref());
        let mut troubles = summary.troubles(run.map_or(0, |run| run.pretrain_steps_count));
        let wanted = steps.min(run.map_or(steps, |run| run.steps_count));
        if summary.steps < wanted {
            troubles.push(format!(
                "ended after step {}; {wanted} were asked for",
                summary.steps
            ));
        }
        anyhow::ensure!(
            troubles.is_empty(),
            "not all is well: {}",
            troubles.join("; ")
        );
        Ok(())
    }
}

/// Resident memory of a process in KiB; zero once it is gone.
fn rss_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status"));
    let status = status.unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let digits = line.and_then(|line| line.split_whitespace().next());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}
