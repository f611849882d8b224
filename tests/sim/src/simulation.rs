//! The queue of events, and what each does.

mod operators;
mod outcome;

pub use outcome::Outcome;

use crate::{
    Fault, Plan, Violation,
    check::Checker,
    disk::Mood,
    machine::{Down, Machine, Outside},
    network::Network,
    plan::{self, BEGIN_MS},
    workload::Workload,
};
use ledger_consensus::stock::core_engine::{Recipient, Stopped, said};
use protocol::{Height, genesis::Genesis};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use std::{collections::BTreeMap, path::PathBuf, rc::Rc};
use tempfile::TempDir;

/// Wait of a process before it is started again by whatever watches it.
const RESTART_MS: u64 = 500;
/// Longest time that an application takes to answer, in microseconds.
const TURN_US_MAX: u64 = 4_000;
/// Longest wait of an operator before a process is started again with the key that the chain has.
const SUCCESSION_US_MAX: u64 = 1_500_000;
/// Hurried restarts of one node, after which something is wrong.
const RESTARTS_COUNT_MAX: u32 = 400;

/// Something that happens at its time.
#[derive(Debug, Clone)]
enum Event {
    /// A message arrives.
    Message {
        from: usize,
        to: usize,
        bytes: Rc<[u8]>,
    },
    /// A transaction arrives.
    Transaction { to: usize, bytes: Rc<[u8]> },
    /// A timer of a process elapses.
    Timer {
        node: usize,
        incarnation: u32,
        timer: u64,
    },
    /// The application of a process answers.
    Turn { node: usize, incarnation: u32 },
    /// A process is started.
    Start(usize),
    /// A fault of the plan, by its number.
    Breaks(usize),
    /// Sides that were apart come together.
    Joins(usize),
    /// A holder names another key, by the number of the plan.
    Rotates(usize),
    /// A validator that has another key on the chain is started again with it.
    Succeeds(usize),
    /// Everything that broke is mended.
    Heals,
    /// People do something.
    People,
}

/// One history.
pub struct Simulation {
    plan: Plan,
    genesis: Genesis,
    folder: TempDir,
    now_us: u64,
    events: BTreeMap<(u64, u64), Event>,
    events_count: u64,
    happened: u64,
    random: StdRng,
    machines: Vec<Machine>,
    network: Network,
    workload: Workload,
    checker: Checker,
    trace: blake3::Hasher,
    is_healed: bool,
    states_taken: u64,
    rotated: u64,
    ends: BTreeMap<&'static str, u64>,
    /// Whether it ends when liars have a third of the power.
    ends_void: bool,
    /// Everybody must get there, once all is mended.
    goal: Option<Height>,
}

impl std::fmt::Debug for Simulation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Simulation({})", self.plan.seed)
    }
}

/// A folder in memory where there is one: a history writes and synchronises much.
fn folder() -> TempDir {
    let memory = PathBuf::from("/dev/shm");
    let builder = tempfile::Builder::new().prefix("cairn-sim-").to_owned();
    builder
        .tempdir_in(memory)
        .or_else(|_| builder.tempdir())
        .unwrap()
}

impl Simulation {
    /// A history that has not begun.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        let mut random = StdRng::seed_from_u64(plan.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let folder = folder();
        let genesis = plan.genesis();
        let machines = (0..plan.nodes_count()).map(|node| Machine::new(&plan, node, folder.path()));
        let machines = machines.map(Result::unwrap).collect();
        let network = Network::new(&plan, &mut random);
        let mut simulation = Self {
            workload: Workload::new(&plan, genesis.chain_id()),
            checker: Checker::new(&plan),
            genesis,
            folder,
            now_us: 0,
            events: BTreeMap::new(),
            events_count: 0,
            happened: 0,
            random,
            machines,
            network,
            trace: blake3::Hasher::new(),
            is_healed: false,
            states_taken: 0,
            rotated: 0,
            ends: BTreeMap::new(),
            ends_void: true,
            goal: None,
            plan,
        };
        for node in 0..simulation.machines.len() {
            let after_us = simulation.random.gen_range(0..50_000);
            simulation.at(after_us, Event::Start(node));
        }
        for number in 0..simulation.plan.faults.len() {
            let after_us = simulation.plan.faults[number].0 * 1_000;
            simulation.at(after_us, Event::Breaks(number));
        }
        for number in 0..simulation.plan.rotations.len() {
            let after_us = simulation.plan.rotations[number].0 * 1_000;
            simulation.at(after_us, Event::Rotates(number));
        }
        let heal_us = simulation.plan.heal_ms * 1_000;
        simulation.at(heal_us, Event::Heals);
        simulation.at(1_000, Event::People);
        simulation
    }

    /// Says who of all nodes hears the second of two twins.
    #[must_use]
    pub fn hearing(mut self, hears_second: Vec<bool>) -> Self {
        self.network.set_hearing(hears_second);
        self
    }

    /// Ends nothing early when liars have a third of the power: so a test sees what they can do.
    #[must_use]
    pub fn promising_all(mut self) -> Self {
        self.ends_void = false;
        self
    }

    /// Lets it happen.
    ///
    /// # Errors
    /// What was violated first.
    pub fn run(mut self) -> Result<Outcome, Box<Violation>> {
        match self.happen() {
            Ok(outcome) => Ok(outcome),
            Err(what) => Err(Box::new(Violation {
                what,
                at_ms: self.now_us / 1_000,
                command: self.plan.command(),
                trace: *self.trace.finalize().as_bytes(),
            })),
        }
    }

    fn happen(&mut self) -> Result<Outcome, String> {
        let patience_us = (self.plan.heal_ms + self.plan.patience_ms) * 1_000;
        while let Some(((at, _), event)) = self.events.pop_first() {
            self.now_us = at;
            self.happened += 1;
            self.one(event)?;
            if (self.ends_void && self.checker.is_void) || self.is_done() {
                return self.end();
            }
            if self.now_us > patience_us {
                return Err(self.stuck());
            }
        }
        Err("nothing happens any more".to_owned())
    }

    fn one(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Message { from, to, bytes } => {
                let from = self.machines[from].key.address();
                self.step(to, |engine, world| engine.receive(from, &bytes, world))
            }
            Event::Transaction { to, bytes } => {
                if let Some(process) = &self.machines[to].process {
                    drop(process.chain.submit_gossiped(&bytes));
                }
                Ok(())
            }
            Event::Timer {
                node,
                incarnation,
                timer,
            } if self.machines[node].incarnation == incarnation => {
                self.step(node, |engine, world| engine.elapsed(timer, world))
            }
            Event::Turn { node, incarnation } if self.machines[node].incarnation == incarnation => {
                self.machines[node].is_turning = false;
                self.step(node, |engine, world| engine.turn(world))
            }
            Event::Timer { .. } | Event::Turn { .. } => Ok(()),
            Event::Start(node) => self.start(node),
            Event::Breaks(number) => {
                self.breaks(number);
                Ok(())
            }
            Event::Joins(number) => {
                self.network.join(number);
                Ok(())
            }
            Event::Rotates(number) => {
                self.rotate(number);
                Ok(())
            }
            Event::Succeeds(node) => {
                self.succeed(node);
                Ok(())
            }
            Event::Heals => {
                self.heal();
                Ok(())
            }
            Event::People => {
                self.workload.act(&self.machines, &mut self.random);
                self.gossip();
                let mean_us = self.plan.transactions_every_ms * 1_000;
                let after_us = self.random.gen_range(0..=mean_us * 2);
                self.at(after_us, Event::People);
                Ok(())
            }
        }
    }

    fn at(&mut self, after_us: u64, event: Event) {
        self.events_count += 1;
        let key = (self.now_us + after_us, self.events_count);
        self.events.insert(key, event);
    }

    fn now_ms(&self) -> u64 {
        BEGIN_MS + self.now_us / 1_000
    }

    fn start(&mut self, node: usize) -> Result<(), String> {
        if self.machines[node].process.is_some() {
            return Ok(());
        }
        if self.machines[node].joins.is_some() && !self.take_state(node)? {
            self.at(RESTART_MS * 1_000, Event::Start(node));
            return Ok(());
        }
        let now_ms = self.now_ms();
        let machine = &mut self.machines[node];
        let mut fuse = machine.fuse;
        let mut world = Outside {
            now_ms,
            fuse: &mut fuse,
            trace: &mut self.trace,
            sent: Vec::new(),
            timers: Vec::new(),
            last: "start",
        };
        let started = machine.start(&self.genesis, self.plan.seed, &mut world);
        let (sent, timers, last) = (world.sent, world.timers, world.last);
        machine.fuse = fuse;
        self.carry(node, sent, timers)?;
        match started {
            Ok(()) => self.after(node),
            Err(Down::Again) => {
                self.fall(node, last);
                Ok(())
            }
            Err(Down::Damaged(reason)) => Err(format!("node {node} cannot start: {reason}")),
        }
    }

    /// Lets a process do something.
    fn step(
        &mut self,
        node: usize,
        act: impl FnOnce(&mut Engine, &mut Outside<'_>) -> Result<(), Stopped>,
    ) -> Result<(), String> {
        let now_ms = self.now_ms();
        let machine = &mut self.machines[node];
        let Some(process) = machine.process.as_mut() else {
            return Ok(());
        };
        self.trace.update(&self.now_us.to_le_bytes());
        self.trace.update(&node.to_le_bytes());
        let mut world = Outside {
            now_ms,
            fuse: &mut machine.fuse,
            trace: &mut self.trace,
            sent: Vec::new(),
            timers: Vec::new(),
            last: "",
        };
        let acted = act(&mut process.engine, &mut world);
        let (sent, timers, last) = (world.sent, world.timers, world.last);
        self.carry(node, sent, timers)?;
        match acted {
            Ok(()) => self.after(node),
            Err(Stopped::Crashed | Stopped::Engine(_) | Stopped::Core { .. }) => {
                self.fall(node, last);
                Ok(())
            }
            Err(error) => Err(format!("node {node}: {error}")),
        }
    }

    /// Looks at what a step brought.
    fn after(&mut self, node: usize) -> Result<(), String> {
        let machine = &mut self.machines[node];
        let Some(process) = machine.process.as_ref() else {
            return Ok(());
        };
        let is_asking = process.engine.is_asking();
        let tip = process
            .chain
            .view(|view| ledger_state::run::tip(view).height);
        if is_asking && !machine.is_turning {
            machine.is_turning = true;
            let incarnation = machine.incarnation;
            let after_us = self.random.gen_range(0..TURN_US_MAX);
            self.at(after_us, Event::Turn { node, incarnation });
        }
        if tip == self.machines[node].acknowledged {
            return Ok(());
        }
        if self.machines[node].liar.is_none() {
            self.checker.committed(&self.machines[node])?;
        }
        let machine = &mut self.machines[node];
        machine.acknowledged = tip;
        let operator = machine.operator();
        if let Some(process) = machine.process.as_mut() {
            process.duties(operator);
        }
        machine.upkeep(&self.genesis)?;
        if machine.liar.is_none() && machine.is_succeeded() {
            let after_us = self.random.gen_range(0..SUCCESSION_US_MAX);
            self.at(after_us, Event::Succeeds(node));
        }
        self.gossip();
        Ok(())
    }

    /// A process is gone, and will be started again.
    fn fall(&mut self, node: usize, last: &'static str) {
        let away_ms = self.away_ms(node);
        *self.ends.entry(last).or_default() += 1;
        self.machines[node].cut(last, &mut self.random);
        self.at(away_ms * 1_000, Event::Start(node));
    }

    /// The fault that burned the fuse says how long, if it was one.
    fn away_ms(&self, node: usize) -> u64 {
        let faults = self.plan.faults.iter().rev();
        let mut of_node = faults.filter_map(|(at_ms, fault)| match fault {
            Fault::Crash {
                node: n, away_ms, ..
            } if *n == node && at_ms * 1_000 <= self.now_us => Some(*away_ms),
            _ => None,
        });
        let burned = self.machines[node].fuse == Some(0);
        of_node.next().filter(|_| burned).unwrap_or(RESTART_MS)
    }

    fn breaks(&mut self, number: usize) {
        match self.plan.faults[number].1.clone() {
            Fault::Crash { node, effects, .. } => self.machines[node].fuse = Some(effects),
            Fault::Blackout { effects } => {
                for (machine, effects) in self.machines.iter_mut().zip(effects) {
                    machine.fuse = Some(effects);
                }
            }
            Fault::Wipe {
                node,
                away_ms,
                joins,
            } => {
                self.machines[node].wipe(joins);
                self.at(away_ms * 1_000, Event::Start(node));
            }
            Fault::CommitFails { node } => self.machines[node].disk.set_mood(Mood::Fails),
            Fault::CommitLies { node } => self.machines[node].disk.set_mood(Mood::Lies),
            Fault::Partition { sides, for_ms } => {
                self.network.part(number, sides);
                self.at(for_ms * 1_000, Event::Joins(number));
            }
        }
    }

    fn heal(&mut self) {
        self.is_healed = true;
        self.network.heal();
        for machine in &mut self.machines {
            machine.fuse = None;
            machine.disk.set_mood(Mood::Good);
        }
        let ahead = self.checker.height().get() + self.plan.heights_after;
        self.goal = Some(Height::new(ahead));
    }

    /// Sends what a node said on its ways, as a liar tells it if it is one.
    fn carry(
        &mut self,
        node: usize,
        sent: Vec<(Recipient, Vec<u8>)>,
        timers: Vec<(u64, u64)>,
    ) -> Result<(), String> {
        let incarnation = self.machines[node].incarnation;
        for (timer, after_ms) in timers {
            let event = Event::Timer {
                node,
                incarnation,
                timer,
            };
            self.at(after_ms * 1_000, event);
        }
        for (to, bytes) in sent {
            if self.machines[node].liar.is_none()
                && let Some(said) = said(&bytes)
            {
                self.checker.heard(&said)?;
            }
            for peer in 0..self.machines.len() {
                let key = self.machines[peer].key.address();
                if to == Recipient::All || to == Recipient::One(key) {
                    self.tell(node, peer, &bytes);
                }
            }
        }
        Ok(())
    }

    fn tell(&mut self, from: usize, to: usize, bytes: &[u8]) {
        let machine = &self.machines[from];
        let told = match machine.liar {
            Some(liar) => {
                let chain = self.genesis.chain_id();
                liar.tells(chain, &machine.key, bytes, &mut self.random)
            }
            None => vec![bytes.to_vec()],
        };
        for bytes in told {
            let bytes: Rc<[u8]> = bytes.into();
            for way in self.network.ways(from, to, &mut self.random) {
                let bytes = Rc::clone(&bytes);
                self.at(way, Event::Message { from, to, bytes });
            }
        }
    }

    /// Carries transactions on that nodes took first.
    fn gossip(&mut self) {
        for from in 0..self.machines.len() {
            while let Some(bytes) = self.taken(from) {
                let bytes: Rc<[u8]> = bytes.into();
                for to in 0..self.machines.len() {
                    for way in self.network.ways(from, to, &mut self.random) {
                        let bytes = Rc::clone(&bytes);
                        self.at(way, Event::Transaction { to, bytes });
                    }
                }
            }
        }
    }

    fn taken(&mut self, node: usize) -> Option<Vec<u8>> {
        let process = self.machines[node].process.as_mut()?;
        process.accepted.try_recv().ok()
    }

    /// Whether everybody honest is where it must get, and liars that were heard are found out.
    fn is_done(&self) -> bool {
        let Some(goal) = self.goal.filter(|_| self.is_healed) else {
            return false;
        };
        let honest = self.machines.iter().filter(|m| m.liar.is_none());
        let mut honest = honest.map(|m| m.process.is_some() && m.acknowledged >= goal);
        honest.all(|is_there| is_there) && self.loud().all(|key| self.checker.is_found_out(key))
    }

    fn loud(&self) -> impl Iterator<Item = protocol::Address> {
        let loud = self.plan.liars.iter().filter(|(_, liar)| liar.is_loud());
        loud.map(|(node, _)| plan::operator(*node).address())
    }

    fn stuck(&self) -> String {
        let goal = self.goal.unwrap_or(Height::ZERO);
        let at = |machine: &Machine| match &machine.process {
            Some(process) => {
                let (height, round) = process.engine.place();
                let round = round.map_or("-".to_owned(), |round| round.to_string());
                format!("{}:{height}/{round}", machine.number)
            }
            None => format!("{}:down", machine.number),
        };
        let places: Vec<String> = self.machines.iter().map(at).collect();
        let free: Vec<usize> = self.plan.liars.iter().map(|(node, _)| *node).collect();
        format!(
            "no progress to height {goal} within {} ms of the last fault: {} (liars {free:?}, not \
             found out {})",
            self.plan.patience_ms,
            places.join(" "),
            self.loud()
                .filter(|key| !self.checker.is_found_out(*key))
                .count(),
        )
    }

    fn end(&mut self) -> Result<Outcome, String> {
        for machine in &self.machines {
            if machine.liar.is_none() && !machine.is_disk_whole() {
                let node = machine.number;
                return Err(format!(
                    "the disk of node {node} has another state than its tip says"
                ));
            }
        }
        if let Some(machine) = self
            .machines
            .iter()
            .find(|m| m.incarnation > RESTARTS_COUNT_MAX)
        {
            return Err(format!("node {} was started too often", machine.number));
        }
        let (blocks, transactions) = self.checker.counts();
        let took_ms = self.now_us / 1_000;
        Ok(Outcome {
            trace: *self.trace.finalize().as_bytes(),
            blocks,
            transactions,
            events: self.happened,
            starts: self.machines.iter().map(|m| u64::from(m.incarnation)).sum(),
            sets_changed: self.checker.sets_changed,
            states_taken: self.states_taken,
            rotated: self.rotated,
            signed_again: self.signed_again(),
            ends: std::mem::take(&mut self.ends),
            dropped: self.machines.iter().map(Machine::dropped).sum(),
            took_ms,
            recovered_ms: took_ms.saturating_sub(self.plan.heal_ms),
            found_out: self
                .loud()
                .filter(|key| self.checker.is_found_out(*key))
                .count(),
            is_void: self.checker.is_void,
        })
    }

    /// Where the nodes' files are.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

type Engine = ledger_consensus::stock::core_engine::CoreEngine<
    crate::mutant::Port<node::chain::application::ChainApplication>,
>;
