//! Finding peers and providers: bootstrap addresses, the address book, Kademlia.

use super::Driver;
use crate::{
    address_book::{Retry, without_peer},
    behaviour::{identify_protocol, protocol},
    limits::{
        ADDRESS_COUNT_MAX, ANNOUNCING_COUNT_MAX, LOOKUP_COUNT_MAX, PEER_COUNT_TARGET,
        PROVIDED_COUNT_MAX,
    },
};
use libp2p::{
    Multiaddr, PeerId, identify,
    kad::{
        self, GetProvidersOk, InboundRequest, ProviderRecord, QueryId, QueryResult, RecordKey,
        store::RecordStore as _,
    },
    multiaddr::Protocol,
    swarm::dial_opts::{DialOpts, PeerCondition},
};
use protocol::BlobId;
use std::{
    collections::HashSet,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// Bootstrap addresses are tried this often however long they fail.
const BOOTSTRAP_RETRY_MAX: Duration = Duration::from_secs(30);

/// An address to start from.
#[derive(Debug)]
pub(crate) struct Bootstrap {
    pub(crate) address: Multiaddr,
    /// Who is there, once known.
    pub(crate) peer: Option<PeerId>,
    pub(crate) retry: Retry,
}

impl Driver {
    /// Redials bootstrap peers that are not connected, then known peers up to the target.
    pub(super) fn dial_known_peers(&mut self, now: Instant) {
        let mut due = Vec::new();
        for entry in &mut self.bootstrap {
            let connected = entry
                .peer
                .is_some_and(|peer| self.links.contains_key(&peer));
            let itself = entry.peer == Some(*self.swarm.local_peer_id());
            if !connected && !itself && entry.retry.is_due(now) {
                entry.retry.tried(now, BOOTSTRAP_RETRY_MAX);
                due.push((entry.peer, entry.address.clone()));
            }
        }
        for (peer, address) in due {
            self.dial_quietly(match peer {
                Some(peer) => DialOpts::peer_id(peer)
                    .condition(PeerCondition::DisconnectedAndNotDialing)
                    .addresses(vec![address])
                    .build(),
                None => DialOpts::unknown_peer_id().address(address).build(),
            });
        }
        let wanted = PEER_COUNT_TARGET.saturating_sub(self.links.len());
        for _ in 0..wanted.min(4) {
            let (links, reputations) = (&self.links, &self.reputations);
            let excluded =
                |peer: &PeerId| links.contains_key(peer) || reputations.is_banned(peer, now);
            let Some(peer) = self.book.next_to_dial(now, excluded) else {
                return;
            };
            self.dial_quietly(
                DialOpts::peer_id(peer)
                    .condition(PeerCondition::DisconnectedAndNotDialing)
                    .addresses(self.book.addresses(&peer))
                    .build(),
            );
        }
    }

    fn dial_quietly(&mut self, options: DialOpts) {
        if let Err(error) = self.swarm.dial(options) {
            tracing::debug!(%error, "not dialled");
        }
    }

    /// Learns who is behind a bootstrap address.
    pub(super) fn bootstrap_reached(&mut self, peer: PeerId, address: &Multiaddr) {
        let reached = without_peer(address.clone());
        for entry in &mut self.bootstrap {
            if entry.peer == Some(peer) || without_peer(entry.address.clone()) == reached {
                entry.peer = Some(peer);
                entry.retry.succeeded();
            }
        }
    }

    /// A peer said who it is: remember where it listens, if it is of our chain.
    pub(super) fn on_identify(&mut self, event: identify::Event) {
        let identify::Event::Received { peer_id, info, .. } = event else {
            return;
        };
        if info.protocol_version != identify_protocol(&self.chain) {
            tracing::debug!(peer = %peer_id, version = info.protocol_version, "other network");
            // It may have closed the connection first.
            self.swarm.disconnect_peer_id(peer_id).unwrap_or_default();
            return;
        }
        let near = self.links.get(&peer_id).is_some_and(is_loopback);
        let mut addresses: Vec<Multiaddr> = info.listen_addrs;
        addresses.retain(|address| is_dialable(address) && (near || !is_loopback(address)));
        addresses.truncate(ADDRESS_COUNT_MAX);
        let speaks_kademlia =
            protocol(&self.chain, "kademlia").is_ok_and(|name| info.protocols.contains(&name));
        if speaks_kademlia {
            for address in &addresses {
                self.swarm
                    .behaviour_mut()
                    .kademlia
                    .add_address(&peer_id, address.clone());
            }
        }
        self.book.learn(peer_id, addresses);
    }

    pub(super) fn on_kademlia(&mut self, event: kad::Event) {
        match event {
            kad::Event::RoutingUpdated {
                peer, addresses, ..
            } => {
                let addresses: Vec<Multiaddr> = addresses.iter().cloned().collect();
                self.book.learn(peer, addresses);
            }
            kad::Event::InboundRequest {
                request:
                    InboundRequest::AddProvider {
                        record: Some(record),
                    },
            } => {
                self.on_provider_record(record);
            }
            kad::Event::OutboundQueryProgressed {
                id, result, step, ..
            } => {
                if let QueryResult::GetProviders(Ok(GetProvidersOk::FoundProviders {
                    providers,
                    ..
                })) = result
                {
                    self.on_providers(id, providers);
                }
                if step.last {
                    self.lookups.remove(&id);
                    self.announcing.remove(&id);
                }
            }
            _ => {}
        }
    }

    /// Keeps a record that names a blob, unless its author already placed too many.
    fn on_provider_record(&mut self, record: ProviderRecord) {
        let allowed = record.key.as_ref().len() == 32
            && self
                .reputations
                .record(record.provider, Instant::now())
                .may_place_record();
        let store = self.swarm.behaviour_mut().kademlia.store_mut();
        if !allowed {
            tracing::debug!(peer = %record.provider, "provider record refused");
        } else if let Err(error) = store.add_provider(record) {
            tracing::debug!(%error, "provider record not kept");
        }
    }

    fn on_providers(&mut self, query: QueryId, providers: HashSet<PeerId>) {
        let local = *self.swarm.local_peer_id();
        if let Some(found) = self.lookups.get(&query) {
            // A full queue means that the fetch has candidates enough.
            let others = providers.into_iter().filter(|peer| *peer != local);
            others
                .take_while(|peer| found.try_send(*peer).is_ok())
                .for_each(drop);
        }
    }

    /// Starts asking who has a blob; the answers end when the channel closes.
    pub(super) fn look_up(&mut self, id: BlobId, found: mpsc::Sender<PeerId>) {
        if self.lookups.len() >= LOOKUP_COUNT_MAX {
            return;
        }
        let query = self.swarm.behaviour_mut().kademlia.get_providers(key(&id));
        self.lookups.insert(query, found);
    }

    /// Ends lookups whose fetch is over and forgets dials nobody waits for.
    pub(super) fn drop_abandoned(&mut self) {
        let kademlia = &mut self.swarm.behaviour_mut().kademlia;
        self.lookups.retain(|query, found| {
            if found.is_closed()
                && let Some(mut query) = kademlia.query_mut(query)
            {
                query.finish();
            }
            !found.is_closed()
        });
        self.dials.retain(|_, reply| !reply.is_closed());
    }

    pub(super) fn provide(&mut self, id: BlobId) {
        if self.provided.contains(&id) {
            return;
        }
        if self.provided.len() >= PROVIDED_COUNT_MAX
            && let Some(oldest) = self.provided.front().copied()
        {
            self.stop_providing(oldest);
        }
        self.provided.push_back(id);
        self.unannounced.push_back(id);
        self.announce_blobs();
    }

    pub(super) fn stop_providing(&mut self, id: BlobId) {
        self.provided.retain(|provided| *provided != id);
        self.unannounced.retain(|waiting| *waiting != id);
        self.swarm
            .behaviour_mut()
            .kademlia
            .stop_providing(&key(&id));
    }

    /// Announces waiting blobs, a bounded number at a time, once there is anyone to tell.
    pub(super) fn announce_blobs(&mut self) {
        if self.links.is_empty() {
            return;
        }
        while self.announcing.len() < ANNOUNCING_COUNT_MAX {
            let Some(id) = self.unannounced.pop_front() else {
                return;
            };
            match self
                .swarm
                .behaviour_mut()
                .kademlia
                .start_providing(key(&id))
            {
                Ok(query) => drop(self.announcing.insert(query, id)),
                Err(error) => tracing::warn!(%id, %error, "blob not announced"),
            }
        }
    }
}

fn key(id: &BlobId) -> RecordKey {
    RecordKey::new(id.as_bytes())
}

fn is_loopback(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_loopback(),
        Some(Protocol::Ip6(ip)) => ip.is_loopback(),
        _ => false,
    }
}

/// Whether it starts with a host and continues with TCP: what our transport can dial.
fn is_dialable(address: &Multiaddr) -> bool {
    let mut parts = address.iter();
    let host = match parts.next() {
        Some(Protocol::Ip4(ip)) => !ip.is_unspecified(),
        Some(Protocol::Ip6(ip)) => !ip.is_unspecified(),
        Some(Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_)) => true,
        _ => false,
    };
    host && matches!(parts.next(), Some(Protocol::Tcp(port)) if port != 0)
}
