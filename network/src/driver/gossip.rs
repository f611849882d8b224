//! Gossip in and out: size limits, judgements, scores.

use super::{Delivery, Driver};
use crate::{
    event::{Judgement, MessageToken, NetworkEvent, Origin},
    limits::{OUTBOX_COUNT_MAX, PULL_COUNT_MAX, RECENT_TIME_MAX},
    recent::pull,
    reputation::Offence,
    topic::Topic,
};
use libp2p::{
    PeerId,
    gossipsub::{Event, MessageAcceptance, PublishError},
};
use std::{sync::Arc, time::Instant};

/// A gossip score, without our own points, that no honest peer earns.
const SCORE_MIN: f64 = -100.0;

impl Driver {
    pub(super) fn on_gossip(&mut self, event: Event) {
        match event {
            Event::Message {
                propagation_source,
                message_id,
                message,
            } => {
                let origin = Origin::Gossip(message_id);
                match Topic::of(&message.topic, &self.chain) {
                    Some(topic) => {
                        self.on_message(topic, origin, propagation_source, message.data);
                    }
                    None => self.report(&origin, propagation_source, MessageAcceptance::Ignore),
                }
            }
            Event::Subscribed { peer_id, topic } => {
                self.flush_outbox();
                if Topic::of(&topic, &self.chain) == Some(Topic::Transactions) {
                    self.pull_from(peer_id);
                }
            }
            Event::GossipsubNotSupported { peer_id } => {
                tracing::debug!(peer = %peer_id, "peer speaks no gossip of this chain");
            }
            Event::Unsubscribed { .. } | Event::SlowPeer { .. } => {}
        }
    }

    fn on_message(&mut self, topic: Topic, origin: Origin, source: PeerId, bytes: Vec<u8>) {
        if bytes.is_empty() || bytes.len() > topic.bytes_max() {
            self.report(&origin, source, MessageAcceptance::Reject);
            self.offend(
                source,
                match bytes.len() {
                    0 => Offence::MalformedMessage,
                    _ => Offence::OversizedMessage,
                },
            );
            return;
        }
        let event = match topic {
            Topic::Transactions => {
                let transaction = Some(Arc::from(bytes.as_slice()));
                let token = MessageToken {
                    origin: origin.clone(),
                    source,
                    transaction,
                };
                NetworkEvent::Transaction { bytes, token }
            }
            Topic::Announcements => {
                let token = MessageToken {
                    origin: origin.clone(),
                    source,
                    transaction: None,
                };
                NetworkEvent::Announcement { bytes, token }
            }
        };
        if self.emit(event) == Delivery::Dropped {
            self.report(&origin, source, MessageAcceptance::Ignore);
        }
    }

    pub(super) fn judge(&mut self, token: MessageToken, judgement: Judgement) {
        let MessageToken {
            origin,
            source,
            transaction,
        } = token;
        let acceptance = match judgement {
            Judgement::Accept => MessageAcceptance::Accept,
            Judgement::Reject => MessageAcceptance::Reject,
            Judgement::Ignore => MessageAcceptance::Ignore,
        };
        self.report(&origin, source, acceptance);
        match (judgement, transaction) {
            (Judgement::Accept, Some(transaction)) => {
                self.recent.remember(transaction, Instant::now());
            }
            (Judgement::Reject, _) => self.offend(source, Offence::MalformedMessage),
            _ => {}
        }
    }

    fn report(&mut self, origin: &Origin, source: PeerId, acceptance: MessageAcceptance) {
        let Origin::Gossip(id) = origin else {
            return;
        };
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        if !gossip.report_message_validation_result(id, &source, acceptance) {
            tracing::debug!(%source, "judgement came after the cache forgot");
        }
    }

    /// Asks a newly met peer for the transactions we missed, unless we just asked many.
    fn pull_from(&mut self, peer: PeerId) {
        let now = Instant::now();
        self.pulls
            .retain(|at| now.saturating_duration_since(*at) < RECENT_TIME_MAX);
        if self.pulls.len() >= PULL_COUNT_MAX {
            return;
        }
        self.pulls.push_back(now);
        let control = self.swarm.behaviour().stream.new_control();
        let (protocol, commands) = (self.recent_protocol.clone(), self.commands.clone());
        tokio::spawn(pull(control, protocol, peer, commands));
    }

    /// A transaction came by asking. What we know already is not shown to the node again.
    pub(super) fn on_missed(&mut self, peer: PeerId, bytes: Vec<u8>) {
        if !self.recent.contains(&bytes) {
            self.on_message(Topic::Transactions, Origin::Pulled, peer, bytes);
        }
    }

    /// Publishes, or keeps the message for the first subscriber.
    pub(super) fn publish(&mut self, topic: Topic, bytes: Vec<u8>) {
        if topic == Topic::Transactions {
            self.recent
                .remember(Arc::from(bytes.as_slice()), Instant::now());
        }
        let name = topic.name(&self.chain);
        match self
            .swarm
            .behaviour_mut()
            .gossip
            .publish(name, bytes.clone())
        {
            Ok(_) | Err(PublishError::Duplicate) => {}
            Err(PublishError::NoPeersSubscribedToTopic | PublishError::AllQueuesFull(_)) => {
                if self.outbox.len() >= OUTBOX_COUNT_MAX {
                    self.outbox.pop_front();
                    tracing::warn!("oldest unsent message dropped: no peer takes messages");
                }
                self.outbox.push_back((topic, bytes));
            }
            Err(error) => tracing::error!(%error, "message not published"),
        }
    }

    /// Tries again to send what found no subscriber.
    pub(super) fn flush_outbox(&mut self) {
        for _ in 0..self.outbox.len() {
            if let Some((topic, bytes)) = self.outbox.pop_front() {
                self.publish(topic, bytes);
            }
        }
    }

    /// Bans peers whose gossip alone made their score hopeless: those offences happen below us,
    /// where messages with bad signatures or oversized frames are dropped unseen.
    pub(super) fn check_gossip_scores(&mut self, now: Instant) {
        let peers: Vec<PeerId> = self.links.keys().copied().collect();
        for peer in peers {
            let points = f64::from(self.reputations.points(&peer, now));
            let gossip = &mut self.swarm.behaviour_mut().gossip;
            gossip.set_application_score(&peer, -points);
            let score = gossip.peer_score(&peer).unwrap_or_default() + points;
            if score < SCORE_MIN && !self.reputations.is_banned(&peer, now) {
                self.offend(peer, Offence::GossipRules);
            }
        }
    }
}
