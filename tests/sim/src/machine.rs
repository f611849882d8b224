//! One node: what a process of it holds, and what outlives that.

use crate::{
    Join, Liar, Plan,
    disk::Disk,
    joining::{Source, join},
    mutant::{Mutant, Port},
    plan,
};
use ledger_consensus::signer::{LocalSigner, Signer};
use ledger_consensus::stock::{
    core_engine::{CoreConfig, CoreEngine, Crash, Memory, Recipient, Stopped, World, wal_in},
    history_in,
};
use ledger_state::{account::account, staking::rotation::signing_key};
use ledger_store::{Choice, Store as _, StoreError};
use node::{
    chain::{Chain, application::ChainApplication},
    outbox::Outbox,
    pruning::drop_below,
    rpc::fees::{Limits, fees},
    snapshots::Snapshots,
};
use protocol::{
    Address, Height, SigningKey, StateRoot,
    genesis::Genesis,
    transaction::{Body, Transaction},
};
use rand::{Rng as _, rngs::StdRng};
use std::{
    fs::OpenOptions,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::broadcast;

/// What the world of one call noted.
pub(crate) struct Outside<'a> {
    pub(crate) now_ms: u64,
    /// Effects until the process ends.
    pub(crate) fuse: &'a mut Option<u32>,
    pub(crate) trace: &'a mut blake3::Hasher,
    pub(crate) sent: Vec<(Recipient, Vec<u8>)>,
    pub(crate) timers: Vec<(u64, u64)>,
    /// The last thing that was announced.
    pub(crate) last: &'static str,
}

impl World for Outside<'_> {
    fn now_ms(&self) -> u64 {
        self.now_ms
    }
    fn effect(&mut self, what: &'static str) -> Result<(), Crash> {
        self.last = what;
        self.trace.update(what.as_bytes());
        match self.fuse.as_mut() {
            None => Ok(()),
            Some(0) => Err(Crash),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }
    fn send(&mut self, to: Recipient, message: Vec<u8>) {
        self.trace.update(&message);
        self.sent.push((to, message));
    }
    fn set_timer(&mut self, timer: u64, after_ms: u64) {
        self.trace.update(&after_ms.to_le_bytes());
        self.timers.push((timer, after_ms));
    }
}

/// What a process holds.
pub(crate) struct Process {
    pub(crate) chain: Arc<Chain>,
    pub(crate) engine: CoreEngine<Port<ChainApplication>>,
    pub(crate) accepted: broadcast::Receiver<Vec<u8>>,
    outbox: Outbox,
}

/// Why a process does not run.
#[derive(Debug)]
pub(crate) enum Down {
    /// It ended while it started, or the disk refused: it is started again.
    Again,
    /// Its own checks found damage.
    Damaged(String),
}

/// A node.
pub(crate) struct Machine {
    pub(crate) number: usize,
    /// Names the validator.
    operator: SigningKey,
    /// Signs votes and proposals: the operator's, until it rotates.
    pub(crate) key: SigningKey,
    pub(crate) liar: Option<Liar>,
    folder: PathBuf,
    choice: Option<Choice>,
    mutant: Option<Mutant>,
    pub(crate) disk: Arc<Disk>,
    pub(crate) process: Option<Process>,
    /// Processes so far; timers of earlier ones mean nothing.
    pub(crate) incarnation: u32,
    pub(crate) fuse: Option<u32>,
    /// Whether its ends are cuts of the power.
    is_unpowered: bool,
    /// Whether a turn of its application is under way.
    pub(crate) is_turning: bool,
    /// The last block that it acknowledged.
    pub(crate) acknowledged: Height,
    /// Of its state, for others.
    pub(crate) snapshots: Arc<Snapshots>,
    /// The height at which it took the state of others or another key.
    pub(crate) renewed_at: Option<Height>,
    /// How it comes back from a lost disk; nothing if it has one.
    pub(crate) joins: Option<Join>,
    /// How often it looked for a state since.
    pub(crate) tries_count: u32,
    /// Blocks that it keeps, if not all, and blocks between two snapshots.
    keep_blocks: Option<u64>,
    snapshot_blocks: u64,
    interval_ms: u64,
}

impl Machine {
    pub(crate) fn new(plan: &Plan, number: usize, folder: &Path) -> Result<Self, StoreError> {
        // Twins come after the nodes, in the order of their liars.
        let twins = plan.liars.iter().filter(|(_, liar)| *liar == Liar::Twin);
        let twin = number.checked_sub(plan.stakes.len());
        let known = twin.map_or(number, |twin| {
            twins.map(|(node, _)| *node).nth(twin).unwrap()
        });
        let liar = plan.liars.iter().find(|(node, _)| *node == known);
        let folder = folder.join(number.to_string());
        std::fs::create_dir_all(&folder).unwrap();
        let disk = Disk::open(plan.store, &folder.join("store"), plan.mutant)?;
        let snapshots = Arc::new(Snapshots::in_folder(folder.join("snapshots")));
        Ok(Self {
            number,
            operator: plan::operator(known),
            key: plan::operator(known),
            liar: liar.map(|(_, liar)| *liar),
            folder,
            choice: plan.store,
            mutant: plan.mutant,
            disk,
            process: None,
            incarnation: 0,
            fuse: None,
            is_unpowered: plan.unpowered.contains(&number),
            is_turning: false,
            acknowledged: Height::ZERO,
            snapshots,
            renewed_at: None,
            joins: None,
            tries_count: 0,
            keep_blocks: plan.keep_blocks.get(&known).copied(),
            snapshot_blocks: plan.snapshot_blocks,
            interval_ms: plan.interval_ms,
        })
    }

    fn home(&self) -> PathBuf {
        self.folder.join("engine")
    }

    /// Each key has a history of its own, as in production.
    fn history(&self) -> PathBuf {
        let mut path = history_in(&self.home());
        if self.key.address() != self.operator.address() {
            path.set_file_name(format!("signing-history-{}", self.key.address()));
        }
        path
    }

    /// Whether the chain has another key for this validator than it signs with.
    pub(crate) fn is_succeeded(&self) -> bool {
        let (operator, next) = (self.operator.address(), plan::successor(self.number));
        let named = |process: &Process| process.chain.view(|view| signing_key(view, operator));
        self.key.address() == operator && self.process.as_ref().map(named) == Some(next.address())
    }

    /// Ends the process in good order; the next one signs with the new key.
    pub(crate) fn succeed(&mut self) {
        self.process = None;
        self.key = plan::successor(self.number);
        self.renewed_at = Some(self.acknowledged);
        self.reopen();
    }

    /// What a node does besides: it drops blocks that it does not keep, or makes a snapshot.
    pub(crate) fn upkeep(&self, genesis: &Genesis) -> Result<(), String> {
        let Some(process) = &self.process else {
            return Ok(());
        };
        let tip = process.chain.view(ledger_state::run::tip).height;
        if let Some(keep) = self.keep_blocks {
            let below = Height::new(tip.get().saturating_sub(keep).saturating_add(1));
            let dropped = drop_below(&process.chain, genesis, below);
            return dropped.map_err(|error| format!("node {}: {error:#}", self.number));
        }
        if self.snapshot_blocks > 0 && tip.get().is_multiple_of(self.snapshot_blocks) {
            let made = self.snapshots.make(self.disk.as_ref());
            made.map_err(|error| format!("node {}: no snapshot: {error:#}", self.number))?;
        }
        Ok(())
    }

    /// Blocks below the first that it has.
    pub(crate) fn dropped(&self) -> u64 {
        let first = self.disk.first().map_or(0, Height::get);
        first.saturating_sub(1)
    }

    /// Whom others may ask for a state.
    pub(crate) fn source(&self) -> Option<Source> {
        let process = self.process.as_ref().filter(|_| self.liar.is_none())?;
        let source = Source {
            name: format!("node {}", self.number),
            chain: Arc::clone(&process.chain),
            snapshots: Arc::clone(&self.snapshots),
        };
        source.offers().then_some(source)
    }

    /// Takes the state of others into an empty store; what it took.
    pub(crate) fn join(
        &mut self,
        genesis: &Genesis,
        sources: &[Source],
    ) -> Result<(Height, StateRoot), String> {
        let choice = self.choice.unwrap_or(Choice::Redb);
        let store = self.folder.join("store");
        // A database of a file is closed before its folder goes.
        self.disk = Disk::open(None, &store, None).unwrap();
        std::fs::remove_dir_all(&store).ok();
        let joined = join(&self.folder, choice, genesis, sources);
        let (height, root) = joined.map_err(|error| format!("node {}: {error}", self.number))?;
        self.choice = Some(choice);
        self.disk = Disk::open(self.choice, &store, self.mutant).map_err(|e| e.to_string())?;
        self.acknowledged = height;
        self.renewed_at = Some(height);
        Ok((height, root))
    }

    /// Whose duties a process of it does.
    pub(crate) fn operator(&self) -> Address {
        self.operator.address()
    }

    /// Starts a process.
    pub(crate) fn start(
        &mut self,
        genesis: &Genesis,
        seed: u64,
        world: &mut Outside<'_>,
    ) -> Result<(), Down> {
        self.incarnation += 1;
        self.is_turning = false;
        let store = Arc::clone(&self.disk);
        let chain = Chain::open(genesis, store).map_err(|e| Down::Damaged(e.to_string()))?;
        let signer = LocalSigner::new(chain.id(), self.operator.clone(), self.key.clone(), None);
        let own = (self.key.address(), Arc::new(signer) as Arc<dyn Signer>);
        let application = ChainApplication::with_signer(Arc::clone(&chain), own, self.interval_ms);
        let application = Port {
            inner: application,
            mutant: self.mutant,
            node: self.number,
        };
        let forgets = self.mutant == Some(Mutant::ForgetsSignatures);
        let config = CoreConfig {
            chain: chain.id(),
            key: self.key.clone(),
            home: self.home(),
            history: self.history(),
            seed: seed ^ (u64::from(self.incarnation) << 32) ^ self.number as u64,
            memory: if forgets { Memory::Lost } else { Memory::Kept },
        };
        let accepted = chain.accepted();
        let engine = match CoreEngine::start(config, application, world) {
            Ok(engine) => engine,
            Err(Stopped::Crashed | Stopped::Core { .. } | Stopped::Engine(_)) => {
                return Err(Down::Again);
            }
            Err(error) => return Err(Down::Damaged(error.to_string())),
        };
        let outbox = Outbox::new(self.operator.clone(), chain.id());
        self.process = Some(Process {
            chain,
            engine,
            accepted,
            outbox,
        });
        Ok(())
    }

    /// Ends the process; if the power is cut, what was not synchronised is gone, in part.
    pub(crate) fn cut(&mut self, last: &'static str, random: &mut StdRng) {
        self.fuse = None;
        let synced = self.process.as_ref().map(|p| p.engine.log_bytes_synced());
        self.process = None;
        if let Some(synced) = synced.filter(|_| self.is_unpowered) {
            tear_log(&wal_in(&self.home()), synced, random);
        }
        if last.starts_with("sign") && random.gen_bool(0.5) {
            tear_history(&self.history(), random);
        }
        self.reopen();
    }

    /// Loses the store, and keeps the folder of the engine.
    pub(crate) fn wipe(&mut self, joins: Join) {
        (self.joins, self.tries_count) = (Some(joins), 0);
        self.process = None;
        self.fuse = None;
        self.acknowledged = Height::ZERO;
        std::fs::remove_dir_all(self.folder.join("snapshots")).ok();
        let folder = self.folder.join("store");
        // A database of a file is closed before its folder goes.
        self.disk = Disk::open(None, &folder, None).unwrap();
        std::fs::remove_dir_all(&folder).ok();
        self.disk = Disk::open(self.choice, &folder, self.mutant).unwrap();
    }

    fn reopen(&mut self) {
        if self.choice.is_some() {
            let folder = self.folder.join("store");
            self.disk = Disk::open(None, &folder, None).unwrap();
            self.disk = Disk::open(self.choice, &folder, self.mutant).unwrap();
        } else {
            self.disk = self.disk.after_crash();
        }
    }

    /// The state on the disk as its own root has it: whether they agree.
    pub(crate) fn is_disk_whole(&self) -> bool {
        let Ok(Some((tip, state))) = self.disk.snapshot() else {
            return false;
        };
        ledger_state::State::from_entries(state).root() == tip.state_root
    }
}

/// Cuts a log somewhere between what is surely there and its end.
fn tear_log(path: &Path, synced: u64, random: &mut StdRng) {
    let Ok(file) = OpenOptions::new().write(true).open(path) else {
        return;
    };
    let bytes = file.metadata().unwrap().len();
    if bytes > synced {
        file.set_len(random.gen_range(synced..=bytes)).unwrap();
    }
}

/// Leaves some of a record of a signature that never left, after the last whole one.
fn tear_history(path: &Path, random: &mut StdRng) {
    const SLOT_BYTES: usize = 128;
    let mut bytes = std::fs::read(path).unwrap();
    let is_whole = |slot: &[u8]| slot[69..77] != [0; 8];
    // The head is the first.
    let last = bytes.chunks(SLOT_BYTES).skip(1).rposition(is_whole);
    let end = (last.map_or(0, |last| last + 1) + 1) * SLOT_BYTES;
    if let Some(slot) = bytes.get_mut(end..end + SLOT_BYTES) {
        slot.fill(0);
        let count = random.gen_range(1..69);
        random.fill(&mut slot[..count]);
        std::fs::write(path, bytes).unwrap();
    }
}

impl Process {
    /// What a validator does at every block: it reports contradictions, and asks to be let out.
    pub(crate) fn duties(&mut self, address: Address) {
        let (nonce, height, release) = self.chain.view(|view| {
            let body = Body::Unjail { operator: address };
            let may = ledger_state::rehearse(&mut view.clone(), address, &body).is_ok();
            let tip = ledger_state::run::tip(view);
            (
                account(view, address).nonce,
                tip.height,
                may.then_some(body),
            )
        });
        self.outbox.observe(nonce, height);
        let twice = self.chain.double_signs().into_iter().map(Box::new);
        let reports = twice.map(|evidence| Body::ReportDoubleSign { evidence });
        let quote = fees(&self.chain);
        for body in reports.chain(release) {
            let offer = |content: &Transaction| quote.offer(content, Limits::default());
            let Some(signed) = self.outbox.sign(&body, (nonce, height), offer) else {
                continue;
            };
            let verified = signed.verify(self.chain.id()).unwrap();
            if self.chain.submit_verified(verified).is_err() {
                self.outbox.refused(&body);
                break;
            }
        }
    }
}
