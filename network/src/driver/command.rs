//! What handles, fetches and the blob server ask of the driver.

use super::{DialReply, Driver};
use crate::{event::PeerStatus, handle::Command};
use libp2p::{
    Multiaddr, PeerId,
    swarm::dial_opts::{DialOpts, PeerCondition},
};
use std::{collections::BTreeMap, time::Instant};

impl Driver {
    pub(super) fn on_command(&mut self, command: Command) {
        match command {
            Command::Publish { topic, bytes } => self.publish(topic, bytes),
            Command::Judge { token, judgement } => self.judge(token, judgement),
            Command::Provide { id } => self.provide(id),
            Command::StopProviding { id } => self.stop_providing(id),
            Command::Providers { id, found } => self.look_up(id, found),
            Command::Offence { peer, offence } => self.offend(peer, offence),
            Command::Missed { peer, bytes } => self.on_missed(peer, bytes),
            Command::Connect {
                peer,
                address,
                reply,
            } => self.connect(peer, address, reply),
            Command::Received { peer, bytes } => {
                let record = self.reputations.record(peer, Instant::now());
                record.received_bytes = record.received_bytes.saturating_add(bytes);
            }
            Command::Sent { peer, bytes } => {
                let record = self.reputations.record(peer, Instant::now());
                record.sent_bytes = record.sent_bytes.saturating_add(bytes);
            }
            // Callers that stopped waiting do not need these answers.
            Command::Connected { reply } => drop(reply.send(self.connected())),
            Command::Peers { reply } => drop(reply.send(self.statuses())),
            Command::Shutdown { reply } => drop(reply),
        }
    }

    /// Connected peers, those with the fewest points first.
    fn connected(&self) -> Vec<PeerId> {
        let now = Instant::now();
        let mut peers: Vec<PeerId> = self.links.keys().copied().collect();
        peers.sort_by_key(|peer| self.reputations.points(peer, now));
        peers
    }

    fn statuses(&mut self) -> Vec<PeerStatus> {
        let now = Instant::now();
        let gossip = &self.swarm.behaviour().gossip;
        let topic_counts: BTreeMap<&PeerId, usize> = gossip
            .all_peers()
            .map(|(peer, topics)| (peer, topics.len()))
            .collect();
        let status = |(peer, address): (&PeerId, &Multiaddr)| {
            let record = self.reputations.record(*peer, now);
            PeerStatus {
                peer: *peer,
                address: address.to_string(),
                score: gossip.peer_score(peer).unwrap_or_default(),
                topic_count: topic_counts.get(peer).copied().unwrap_or_default(),
                malformed_count: record.malformed_count,
                received_bytes: record.received_bytes,
                sent_bytes: record.sent_bytes,
            }
        };
        self.links.iter().map(status).collect()
    }

    /// Answers with the peer once connected: at once when it is, else after a dial.
    fn connect(&mut self, peer: Option<PeerId>, address: Option<Multiaddr>, reply: DialReply) {
        let answer = match peer {
            Some(peer) if self.links.contains_key(&peer) => Ok(peer),
            Some(peer) if peer == *self.swarm.local_peer_id() => Err("it is this node".to_owned()),
            Some(peer) if self.reputations.is_banned(&peer, Instant::now()) => {
                Err("it is banned".to_owned())
            }
            _ => return self.dial(peer, address, reply),
        };
        // A fetch that gave up does not need the answer.
        drop(reply.send(answer));
    }

    fn dial(&mut self, peer: Option<PeerId>, address: Option<Multiaddr>, reply: DialReply) {
        let options = match (peer, address) {
            (Some(peer), address) => {
                let mut addresses: Vec<Multiaddr> = address.into_iter().collect();
                addresses.extend(self.book.addresses(&peer));
                DialOpts::peer_id(peer)
                    .condition(PeerCondition::Disconnected)
                    .addresses(addresses)
                    .extend_addresses_through_behaviour()
                    .build()
            }
            (None, Some(address)) => DialOpts::unknown_peer_id().address(address).build(),
            (None, None) => return,
        };
        let id = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => drop(self.dials.insert(id, reply)),
            // A fetch that gave up does not need the answer.
            Err(error) => drop(reply.send(Err(error.to_string()))),
        }
    }
}
