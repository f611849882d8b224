//! What a process knows about itself: compute spent, memory, peers. Never part of the chain.

pub mod timeline;

use crate::signer::remote::RemoteSigner;
use network::Traffic;
use protocol::{Micro, task::UnitKind};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};
use timeline::{Activity, Busy, Timeline, Times};

/// Counters of this process.
#[derive(Debug, Default)]
pub struct Local {
    peers_count: AtomicUsize,
    addresses: Mutex<Vec<String>>,
    consensus: Mutex<Vec<String>>,
    spent: Mutex<BTreeMap<Work, Spent>>,
    timeline: Timeline,
    traffic: OnceLock<Traffic>,
    signer: OnceLock<Arc<RemoteSigner>>,
}

/// What was spent on one sort of work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Processor time in microseconds.
    pub us: u64,
    /// Computations.
    pub count: u64,
}

/// The counters, for programs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Time spent on own units, in microseconds of processor time.
    pub mining_us: u64,
    /// Time spent on audits, in microseconds of processor time.
    pub audit_us: u64,
    /// Time spent on aggregating and evaluating checkpoints, in microseconds of processor time.
    pub checkpoint_us: u64,
    /// The same by sort of work.
    pub spent: Vec<(Work, Spent)>,
    /// Where its time went.
    pub times: Times,
    /// Blob bytes that peers sent.
    pub received_bytes: u64,
    /// Blob bytes that were sent to peers.
    pub sent_bytes: u64,
    /// Largest resident memory so far, in KiB.
    pub rss_kib_max: u64,
    /// Peers of the blob and gossip network.
    pub peers_count: usize,
}

/// What time is spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Work {
    /// Own units.
    Mining(Sort),
    /// Others' units.
    Audit(Sort),
    /// Checkpoints.
    Checkpoint,
}

/// A sort of units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sort {
    /// Their kind.
    pub kind: UnitKind,
    /// Whose they are.
    pub trust: Trust,
}

/// How much of a miner's work is audited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// All of it.
    Newcomer,
    /// A sample.
    Vested,
}

impl Trust {
    /// That of a unit which is audited at this rate.
    #[must_use]
    pub fn of(rate: Micro) -> Self {
        if rate >= Micro::ONE {
            Self::Newcomer
        } else {
            Self::Vested
        }
    }
}

impl Local {
    /// Peers of the blob and gossip network.
    #[must_use]
    pub fn peers_count(&self) -> usize {
        self.peers_count.load(Ordering::Relaxed)
    }
    /// Records the number of peers.
    pub fn set_peers_count(&self, count: usize) {
        self.peers_count.store(count, Ordering::Relaxed);
    }
    /// Where the blob and gossip network listens.
    #[must_use]
    pub fn network_addresses(&self) -> Vec<String> {
        self.addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
    /// Records where the blob and gossip network listens.
    pub fn set_network_addresses(&self, addresses: Vec<String>) {
        *self
            .addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = addresses;
    }
    /// Where validators are reached for consensus: this node, and those it knows.
    #[must_use]
    pub fn consensus_addresses(&self) -> Vec<String> {
        self.consensus
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
    /// Records where validators are reached for consensus.
    pub fn set_consensus_addresses(&self, addresses: Vec<String>) {
        *self
            .consensus
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = addresses;
    }
    /// Reports from now on what this network carries.
    pub fn count_traffic(&self, traffic: Traffic) {
        // Only the first one is reported: a process has one network.
        drop(self.traffic.set(traffic));
    }
    /// Reports from now on how it stands with this signer.
    pub fn watch_signer(&self, signer: Arc<RemoteSigner>) {
        // A process has one.
        drop(self.signer.set(signer));
    }
    /// The signer in another process, if there is one.
    #[must_use]
    pub fn signer(&self) -> Option<&RemoteSigner> {
        self.signer.get().map(AsRef::as_ref)
    }
    /// Notes that it is busy until what is returned is dropped.
    pub fn busy(&self, activity: Activity) -> Busy<'_> {
        self.timeline.begin(activity)
    }
    /// Where the time went until now.
    #[must_use]
    pub fn times(&self) -> Times {
        self.timeline.times()
    }
    /// Runs a computation on this thread and counts the processor time it took.
    pub fn timed<T>(&self, work: Work, compute: impl FnOnce() -> T) -> T {
        let started = thread_time_us();
        let result = compute();
        self.count(work, thread_time_us().saturating_sub(started));
        result
    }
    fn count(&self, work: Work, us: u64) {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let spent = spent.entry(work).or_default();
        spent.us = spent.us.saturating_add(us);
        spent.count = spent.count.saturating_add(1);
    }
    /// The counters now.
    #[must_use]
    pub fn report(&self) -> Report {
        let spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = |is_wanted: fn(Work) -> bool| {
            let wanted = spent.iter().filter(|(work, _)| is_wanted(**work));
            wanted.map(|(_, spent)| spent.us).sum()
        };
        Report {
            mining_us: sum(|work| matches!(work, Work::Mining(_))),
            audit_us: sum(|work| matches!(work, Work::Audit(_))),
            checkpoint_us: sum(|work| matches!(work, Work::Checkpoint)),
            spent: spent.iter().map(|(work, spent)| (*work, *spent)).collect(),
            times: self.timeline.times(),
            received_bytes: self.traffic.get().map_or(0, Traffic::received_bytes),
            sent_bytes: self.traffic.get().map_or(0, Traffic::sent_bytes),
            rss_kib_max: rss_kib_max(),
            peers_count: self.peers_count(),
        }
    }
}

/// Processor time of this thread in microseconds of processor time.
fn thread_time_us() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let us = i128::from(time.tv_sec) * 1_000_000 + i128::from(time.tv_nsec) / 1_000;
    u64::try_from(us).unwrap_or(0)
}

/// Largest resident memory of this process so far, in KiB; zero where the system does not say.
#[must_use]
pub fn rss_kib_max() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let digits = line.and_then(|line| line.split_whitespace().next());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}
