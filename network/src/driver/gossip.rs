//! Gossip in and out: size limits, judgements, scores.

use super::{Delivery, Driver};
use crate::{
    event::{Judgement, MessageToken, NetworkEvent},
    limits::OUTBOX_COUNT_MAX,
    reputation::Offence,
    topic::Topic,
};
use libp2p::{
    PeerId,
    gossipsub::{Event, MessageAcceptance, PublishError},
};
use std::time::Instant;

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
                let token = MessageToken {
                    id: message_id,
                    source: propagation_source,
                };
                match Topic::of(&message.topic, &self.chain) {
                    Some(topic) => self.on_message(topic, token, message.data),
                    None => self.judge(&token, Judgement::Ignore),
                }
            }
            Event::Subscribed { .. } => self.flush_outbox(),
            Event::GossipsubNotSupported { peer_id } => {
                tracing::debug!(peer = %peer_id, "peer speaks no gossip of this chain");
            }
            Event::Unsubscribed { .. } | Event::SlowPeer { .. } => {}
        }
    }

    fn on_message(&mut self, topic: Topic, token: MessageToken, bytes: Vec<u8>) {
        if bytes.is_empty() || bytes.len() > topic.bytes_max() {
            let offence = if bytes.is_empty() {
                Offence::MalformedMessage
            } else {
                Offence::OversizedMessage
            };
            self.report(&token, MessageAcceptance::Reject);
            self.offend(token.source, offence);
            return;
        }
        let event = match topic {
            Topic::Transactions => NetworkEvent::Transaction {
                bytes,
                token: token.clone(),
            },
            Topic::Announcements => NetworkEvent::Announcement {
                bytes,
                token: token.clone(),
            },
        };
        if self.emit(event) == Delivery::Dropped {
            self.judge(&token, Judgement::Ignore);
        }
    }

    pub(super) fn judge(&mut self, token: &MessageToken, judgement: Judgement) {
        let acceptance = match judgement {
            Judgement::Accept => MessageAcceptance::Accept,
            Judgement::Reject => MessageAcceptance::Reject,
            Judgement::Ignore => MessageAcceptance::Ignore,
        };
        self.report(token, acceptance);
        if judgement == Judgement::Reject {
            self.offend(token.source, Offence::MalformedMessage);
        }
    }

    fn report(&mut self, token: &MessageToken, acceptance: MessageAcceptance) {
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        if !gossip.report_message_validation_result(&token.id, &token.source, acceptance) {
            tracing::debug!(source = %token.source, "judgement came after the cache forgot");
        }
    }

    /// Publishes, or keeps the message for the first subscriber.
    pub(super) fn publish(&mut self, topic: Topic, bytes: Vec<u8>) {
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
