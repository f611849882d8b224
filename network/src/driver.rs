//! The task that owns the swarm: commands in, events out, nothing that blocks.

mod command;
mod discovery;
mod gossip;

use crate::{
    address_book::AddressBook,
    behaviour::{Behaviour, BehaviourEvent},
    event::NetworkEvent,
    handle::{Command, CommandSender},
    host::{Host, Hosts},
    limits::{PER_HOST_COUNT_MAX, PROVIDED_COUNT_MAX},
    recent::Recent,
    reputation::{Consequence, Offence, Reputations},
    store::BlobStore,
    topic::Topic,
};
pub(crate) use discovery::Bootstrap;
use futures::StreamExt as _;
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm,
    core::ConnectedPoint,
    kad::QueryId,
    swarm::{ConnectionId, DialError, SwarmEvent},
};
use protocol::BlobId;
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinHandle, spawn_blocking},
    time::{MissedTickBehavior, interval},
};

const TICK: Duration = Duration::from_millis(500);

type DialReply = oneshot::Sender<Result<PeerId, String>>;

/// Owns the swarm and everything that is known about peers.
pub(crate) struct Driver {
    swarm: Swarm<Behaviour>,
    chain: String,
    events: mpsc::Sender<NetworkEvent>,
    bootstrap: Vec<Bootstrap>,
    book: AddressBook,
    reputations: Reputations,
    hosts: Hosts,
    /// Connected peers and where they are.
    links: BTreeMap<PeerId, Multiaddr>,
    dials: BTreeMap<ConnectionId, DialReply>,
    /// Messages waiting for a first subscriber, oldest first.
    outbox: VecDeque<(Topic, Vec<u8>)>,
    /// Blobs we provide, oldest first; all of them are in one of the two queues below or done.
    provided: VecDeque<BlobId>,
    unannounced: VecDeque<BlobId>,
    announcing: HashMap<QueryId, BlobId>,
    lookups: HashMap<QueryId, mpsc::Sender<PeerId>>,
    dropped_event_count: u64,
    saving: Option<JoinHandle<()>>,
    recent: Recent,
    recent_protocol: StreamProtocol,
    /// When peers were asked what we missed, oldest first.
    pulls: VecDeque<Instant>,
    /// Our own way in, for tasks that report back.
    commands: CommandSender,
}

/// What the driver is made of.
pub(crate) struct Parts {
    pub(crate) swarm: Swarm<Behaviour>,
    pub(crate) chain: String,
    pub(crate) events: mpsc::Sender<NetworkEvent>,
    pub(crate) bootstrap: Vec<Bootstrap>,
    pub(crate) book: AddressBook,
    pub(crate) recent: Recent,
    pub(crate) recent_protocol: StreamProtocol,
    pub(crate) commands: CommandSender,
}

impl Driver {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts {
            swarm,
            chain,
            events,
            bootstrap,
            book,
            recent,
            recent_protocol,
            commands,
        } = parts;
        Self {
            swarm,
            chain,
            events,
            bootstrap,
            book,
            recent,
            recent_protocol,
            commands,
            pulls: VecDeque::new(),
            reputations: Reputations::default(),
            hosts: Hosts::default(),
            links: BTreeMap::new(),
            saving: None,
            dials: BTreeMap::new(),
            outbox: VecDeque::new(),
            provided: VecDeque::new(),
            unannounced: VecDeque::new(),
            announcing: HashMap::new(),
            lookups: HashMap::new(),
            dropped_event_count: 0,
        }
    }

    /// Runs until shut down or until every handle is gone.
    pub(crate) async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut handles_gone: oneshot::Receiver<()>,
        servers: Vec<JoinHandle<()>>,
        store: Arc<dyn BlobStore>,
    ) {
        let mut stored = spawn_blocking(move || store.list(PROVIDED_COUNT_MAX));
        let mut listing = true;
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let reply = loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
                command = commands.recv() => match command {
                    Some(Command::Shutdown { reply }) => break Some(reply),
                    Some(command) => self.on_command(command),
                    None => break None,
                },
                _ = ticks.tick() => self.on_tick(Instant::now()),
                _ = &mut handles_gone => break None,
                listed = &mut stored, if listing => {
                    listing = false;
                    match listed {
                        Ok(Ok(ids)) => ids.into_iter().for_each(|id| self.provide(id)),
                        Ok(Err(error)) => tracing::warn!(%error, "stored blobs not announced"),
                        Err(error) => tracing::error!(%error, "listing blobs failed"),
                    }
                }
            }
        };
        servers.iter().for_each(JoinHandle::abort);
        if let Some(saving) = self.saving.take() {
            // A writer that panicked has nothing to wait for.
            drop(saving.await);
        }
        if let Some(snapshot) = self.book.take_changes() {
            snapshot.write();
        }
        // The listener and every connection close with the swarm, and the way in closes with its
        // receiver, before the caller goes on.
        drop((self, commands));
        if let Some(reply) = reply {
            // A caller that stopped waiting does not need the answer.
            reply.send(()).unwrap_or_default();
        }
    }

    fn on_tick(&mut self, now: Instant) {
        for peer in self.reputations.pardon(now) {
            self.swarm.behaviour_mut().bans.unblock_peer(peer);
        }
        self.check_gossip_scores(now);
        self.dial_known_peers(now);
        self.announce_blobs();
        self.flush_outbox();
        self.drop_abandoned();
        // One writer at a time, so that an older book never replaces a newer one.
        if self.saving.as_ref().is_none_or(JoinHandle::is_finished)
            && let Some(snapshot) = self.book.take_changes()
        {
            self.saving = Some(spawn_blocking(move || snapshot.write()));
        }
    }

    fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Gossip(event)) => self.on_gossip(event),
            SwarmEvent::Behaviour(BehaviourEvent::Identify(event)) => self.on_identify(event),
            SwarmEvent::Behaviour(BehaviourEvent::Kademlia(event)) => self.on_kademlia(event),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => {
                self.on_connected(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                num_established: 0,
                ..
            } => {
                self.on_disconnected(peer_id);
            }
            SwarmEvent::OutgoingConnectionError {
                connection_id,
                peer_id,
                error,
            } => {
                self.on_dial_failed(connection_id, peer_id, &error);
            }
            _ => {}
        }
    }

    fn on_connected(&mut self, peer: PeerId, id: ConnectionId, endpoint: &ConnectedPoint) {
        let address = endpoint.get_remote_address().clone();
        if let Some(reply) = self.dials.remove(&id) {
            // A fetch that gave up no longer wants the connection, which does no harm.
            drop(reply.send(Ok(peer)));
        }
        if endpoint.is_dialer() {
            self.book.learn(peer, [address.clone()]);
            self.bootstrap_reached(peer, &address);
        }
        self.book.connected(&peer);
        self.reputations.record(peer, Instant::now());
        if self.links.contains_key(&peer) {
            return;
        }
        if endpoint.is_listener() && self.is_host_full(&address) {
            tracing::debug!(%peer, %address, "refused: its network address is full or banned");
            self.swarm.disconnect_peer_id(peer).unwrap_or_default();
            return;
        }
        self.links.insert(peer, address.clone());
        self.emit(NetworkEvent::PeerConnected {
            peer,
            address: address.to_string(),
        });
    }

    /// The last connection with a peer ended. Peers we refused were never announced.
    fn on_disconnected(&mut self, peer: PeerId) {
        if self.links.remove(&peer).is_some() {
            self.emit(NetworkEvent::PeerDisconnected { peer });
        }
    }

    /// Whether a public address has all the connections it may have, or too many bans.
    fn is_host_full(&self, address: &Multiaddr) -> bool {
        let Some(host) = Host::of(address) else {
            return false;
        };
        let same = |address: &&Multiaddr| Host::of(address) == Some(host);
        self.links.values().filter(same).count() >= PER_HOST_COUNT_MAX
            || self.hosts.is_refused(host, Instant::now())
    }

    fn on_dial_failed(&mut self, id: ConnectionId, peer: Option<PeerId>, error: &DialError) {
        tracing::debug!(?peer, %error, "dial failed");
        if let Some(reply) = self.dials.remove(&id) {
            // A fetch that gave up does not mind.
            drop(reply.send(Err(error.to_string())));
        }
    }

    /// Notes an offence and, when it was one too many, throws the peer out.
    fn offend(&mut self, peer: PeerId, offence: Offence) {
        let now = Instant::now();
        tracing::debug!(%peer, %offence, "offence");
        let consequence = self.reputations.offend(peer, offence, now);
        let points = f64::from(self.reputations.points(&peer, now));
        self.swarm
            .behaviour_mut()
            .gossip
            .set_application_score(&peer, -points);
        if consequence == Consequence::Banned {
            tracing::info!(%peer, %offence, "peer banned");
            if let Some(host) = self.links.get(&peer).and_then(Host::of) {
                self.hosts.strike(host, now);
            }
            let behaviour = self.swarm.behaviour_mut();
            behaviour.bans.block_peer(peer);
            behaviour.kademlia.remove_peer(&peer);
            self.emit(NetworkEvent::PeerBanned { peer, offence });
        }
    }

    /// Hands an event to the node; a full queue loses it, and says whether that happened.
    fn emit(&mut self, event: NetworkEvent) -> Delivery {
        match self.events.try_send(event) {
            Ok(()) => Delivery::Taken,
            Err(_) => {
                self.dropped_event_count += 1;
                if self.dropped_event_count.is_power_of_two() {
                    let count = self.dropped_event_count;
                    tracing::warn!(count, "node does not read network events; events dropped");
                }
                Delivery::Dropped
            }
        }
    }
}

/// Whether an event found room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delivery {
    Taken,
    Dropped,
}
