//! Carries packets between devices, by the rules.
//!
//! A thread for each node reads what it sends, lets it pass its upward lane, and puts it into the
//! box of the node that it is for, with the time at which it arrives there. Another thread empties
//! the box in the order of these times, at the rate of that node's downward lane.

use crate::{
    lane::Lane,
    namespaces::position,
    rules::{Losses, Rules},
};
use anyhow::{Context as _, Result};
use serde::Serialize;
use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::File,
    io::{Read as _, Write as _},
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Longest packet that is read.
const PACKET_BYTES_MAX: usize = 1 << 16;
/// Where a packet of IPv4 says for whom it is.
const DESTINATION: std::ops::Range<usize> = 16..20;
/// How often a file of rules is looked at.
const RULES_INTERVAL: Duration = Duration::from_millis(100);

/// What a node's link carried to and from other nodes, the machine itself not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Count {
    /// Bytes that the node sent.
    pub(crate) sent_bytes: u64,
    /// Bytes that reached the node.
    pub(crate) received_bytes: u64,
    /// Its packets that met a full queue.
    pub(crate) dropped_packets: u64,
    /// Its packets that were lost or cut off.
    pub(crate) lost_packets: u64,
}

#[derive(Debug, Default)]
struct Totals {
    sent_bytes: AtomicU64,
    received_bytes: AtomicU64,
    dropped_packets: AtomicU64,
    lost_packets: AtomicU64,
}

fn add(total: &AtomicU64, more: u64) {
    total.fetch_add(more, Ordering::Relaxed);
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Packet {
    /// When it arrives.
    at_ns: u64,
    /// Keeps those that arrive together in order.
    turn: u64,
    from: usize,
    bytes: Vec<u8>,
}

#[derive(Debug, Default)]
struct Arrivals {
    packets: Mutex<BinaryHeap<Reverse<Packet>>>,
    came: Condvar,
}

/// Everything that threads share.
#[derive(Debug)]
struct Hub {
    started: Instant,
    rules: RwLock<Arc<Rules>>,
    devices: Vec<File>,
    arrivals: Vec<Arrivals>,
    totals: Vec<Totals>,
    turns: AtomicU64,
}

/// The running wire.
#[derive(Debug)]
pub(crate) struct Wire(Arc<Hub>);

impl Wire {
    /// Carries packets between devices, the last of which is the machine itself, until the process
    /// ends.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn start(devices: Vec<File>, rules: Rules, seed: u64) -> Result<Self> {
        let hub = Arc::new(Hub {
            started: Instant::now(),
            rules: RwLock::new(Arc::new(rules)),
            arrivals: devices.iter().map(|_| Arrivals::default()).collect(),
            totals: devices.iter().map(|_| Totals::default()).collect(),
            turns: AtomicU64::new(0),
            devices,
        });
        for node in 0..hub.devices.len() {
            let (sender, receiver) = (Arc::clone(&hub), Arc::clone(&hub));
            let losses = Losses::new(seed.wrapping_mul(251).wrapping_add(node as u64));
            let spawn = |name: String, work: Box<dyn FnOnce() + Send>| {
                let started = thread::Builder::new().name(name).spawn(work);
                started.context("cannot start a thread")
            };
            spawn(
                format!("from {node}"),
                Box::new(move || sender.send(node, losses)),
            )?;
            spawn(
                format!("to {node}"),
                Box::new(move || receiver.receive(node)),
            )?;
        }
        Ok(Self(hub))
    }
    /// Reads rules again whenever the file changes.
    pub(crate) fn follow(&self, path: PathBuf) {
        let hub = Arc::clone(&self.0);
        thread::spawn(move || {
            loop {
                thread::sleep(RULES_INTERVAL);
                // A file that is being written is read at the next look.
                if let Ok(rules) = Rules::read(&path) {
                    *hub.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
                }
            }
        });
    }
    /// What nodes' links carried.
    pub(crate) fn counts(&self) -> Vec<Count> {
        let nodes_count = self.0.devices.len() - 1;
        let totals = self.0.totals.iter().take(nodes_count);
        let count = |totals: &Totals| Count {
            sent_bytes: totals.sent_bytes.load(Ordering::Relaxed),
            received_bytes: totals.received_bytes.load(Ordering::Relaxed),
            dropped_packets: totals.dropped_packets.load(Ordering::Relaxed),
            lost_packets: totals.lost_packets.load(Ordering::Relaxed),
        };
        totals.map(count).collect()
    }
}

impl Hub {
    fn now_ns(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
    fn rules(&self) -> Arc<Rules> {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&rules)
    }
    /// Whether the machine itself is at one end.
    fn is_outside(&self, from: usize, to: usize) -> bool {
        from.max(to) == self.devices.len() - 1
    }
    /// Takes what a node sends, for as long as its device is there.
    fn send(&self, from: usize, mut losses: Losses) {
        let mut buffer = vec![0; PACKET_BYTES_MAX];
        let mut lane = Lane::default();
        while let Ok(length) = (&self.devices[from]).read(&mut buffer) {
            let packet = &buffer[..length];
            let Some(to) = self.destination(packet).filter(|to| *to != from) else {
                continue;
            };
            if let Some(at_ns) = self.leave((from, to), length, &mut lane, &mut losses) {
                self.put(to, (from, at_ns), packet.to_vec());
            }
        }
    }
    fn destination(&self, packet: &[u8]) -> Option<usize> {
        // What is no IPv4 is the system's own talk about addresses.
        let is_ipv4 = packet.first()? >> 4 == 4;
        let address = packet.get(DESTINATION)?.try_into().ok()?;
        position(address, self.devices.len() - 1).filter(|_| is_ipv4)
    }
    /// When a packet arrives, if it does.
    fn leave(
        &self,
        (from, to): (usize, usize),
        length: usize,
        lane: &mut Lane,
        losses: &mut Losses,
    ) -> Option<u64> {
        let now_ns = self.now_ns();
        if self.is_outside(from, to) {
            return Some(now_ns);
        }
        let (rules, totals) = (self.rules(), &self.totals[from]);
        let Some(left_ns) = lane.pass(now_ns, length, rules.rate_mbit) else {
            add(&totals.dropped_packets, 1);
            return None;
        };
        add(&totals.sent_bytes, length as u64);
        if losses.next(rules.loss_micro) || !rules.joins(from, to) {
            add(&totals.lost_packets, 1);
            return None;
        }
        Some(left_ns + rules.delay_ms * 1_000_000)
    }
    fn put(&self, to: usize, (from, at_ns): (usize, u64), bytes: Vec<u8>) {
        let arrivals = &self.arrivals[to];
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        let packet = Packet {
            at_ns,
            turn,
            from,
            bytes,
        };
        let mut packets = arrivals
            .packets
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        packets.push(Reverse(packet));
        drop(packets);
        arrivals.came.notify_one();
    }
    /// Gives a node what arrives for it.
    fn receive(&self, to: usize) {
        let mut lane = Lane::default();
        loop {
            let packet = self.next(to);
            if !self.is_outside(packet.from, to) {
                let rate_mbit = self.rules().rate_mbit;
                let passed = lane.pass(packet.at_ns, packet.bytes.len(), rate_mbit);
                let Some(passed_ns) = passed else {
                    add(&self.totals[packet.from].dropped_packets, 1);
                    continue;
                };
                self.sleep_until(passed_ns);
                add(&self.totals[to].received_bytes, packet.bytes.len() as u64);
            }
            // A device that is gone, or a system that takes no more, loses the packet.
            drop((&self.devices[to]).write(&packet.bytes));
        }
    }
    /// The next packet for a node, when it arrives.
    fn next(&self, to: usize) -> Packet {
        let arrivals = &self.arrivals[to];
        let lock = || arrivals.packets.lock();
        let mut packets = lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let now_ns = self.now_ns();
            let due_ns = packets.peek().map(|Reverse(packet)| packet.at_ns);
            match due_ns {
                Some(due_ns) if due_ns <= now_ns => {
                    if let Some(Reverse(packet)) = packets.pop() {
                        return packet;
                    }
                }
                Some(due_ns) => {
                    let pause = Duration::from_nanos(due_ns - now_ns);
                    let waited = arrivals.came.wait_timeout(packets, pause);
                    packets = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                None => {
                    let waited = arrivals.came.wait(packets);
                    packets = waited.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
    fn sleep_until(&self, at_ns: u64) {
        let pause = at_ns.saturating_sub(self.now_ns());
        if pause > 0 {
            thread::sleep(Duration::from_nanos(pause));
        }
    }
}
