//! What is remembered about how peers behave, and when patience ends.
//!
//! Every offence costs points; points halve every ten minutes. At [`BAN_POINTS`] the peer is
//! banned for ten minutes, and for twice as long each further time. The points also enter the
//! gossip score, so that a suspect is left out of the mesh before it is banned.

use crate::limits::{RECORDS_PER_PEER_MAX, REPUTATION_COUNT_MAX};
use libp2p::PeerId;
use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

/// Points at which a peer is banned.
const BAN_POINTS: u32 = 100;
const HALVING: Duration = Duration::from_secs(600);
const PLACING: Duration = Duration::from_secs(1800);
const BAN_FIRST: Duration = Duration::from_secs(600);
const BAN_MAX: Duration = Duration::from_secs(6 * 3600);

/// What a peer did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Offence {
    /// A gossip message that the node rejected.
    MalformedMessage,
    /// A gossip message over its topic's limit.
    OversizedMessage,
    /// Gossip below the transport's own rules: bad signatures, oversized frames, broken promises.
    GossipRules,
    /// A blob request that cannot be honest.
    BlobRequest,
    /// A blob response that is not one.
    BlobResponse,
    /// Blob bytes that do not hash to the blob.
    CorruptBlob,
    /// A blob segment that took too long.
    Slow,
}

impl Offence {
    const fn points(self) -> u32 {
        match self {
            Self::MalformedMessage | Self::OversizedMessage | Self::BlobRequest => 20,
            Self::BlobResponse | Self::CorruptBlob => 50,
            Self::GossipRules => BAN_POINTS,
            Self::Slow => 5,
        }
    }

    const fn is_malformed(self) -> bool {
        !matches!(self, Self::Slow)
    }
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MalformedMessage => "sent malformed gossip",
            Self::OversizedMessage => "sent oversized gossip",
            Self::GossipRules => "broke the gossip protocol",
            Self::BlobRequest => "sent a malformed blob request",
            Self::BlobResponse => "sent a malformed blob response",
            Self::CorruptBlob => "served bytes that are not the blob's",
            Self::Slow => "was too slow",
        })
    }
}

/// What follows from an offence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consequence {
    Noted,
    Banned,
}

/// One peer's record.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    points: u32,
    decayed_at: Instant,
    seen_at: Instant,
    banned_until: Option<Instant>,
    ban_count: u32,
    pub(crate) malformed_count: u64,
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
    /// Provider records placed since the start of the current half hour.
    placed_count: u32,
    placed_since: Instant,
}

impl Record {
    const fn new(now: Instant) -> Self {
        Self {
            points: 0,
            decayed_at: now,
            seen_at: now,
            banned_until: None,
            ban_count: 0,
            malformed_count: 0,
            received_bytes: 0,
            sent_bytes: 0,
            placed_count: 0,
            placed_since: now,
        }
    }

    /// Points after decay.
    pub(crate) fn points(&self, now: Instant) -> u32 {
        let halvings = now.saturating_duration_since(self.decayed_at).as_secs() / HALVING.as_secs();
        self.points
            .checked_shr(u32::try_from(halvings).unwrap_or(u32::MAX))
            .unwrap_or(0)
    }

    /// Counts a provider record; says whether it is within the peer's share.
    pub(crate) fn may_place_record(&mut self) -> bool {
        if self.seen_at.saturating_duration_since(self.placed_since) >= PLACING {
            self.placed_since = self.seen_at;
            self.placed_count = 0;
        }
        self.placed_count = self.placed_count.saturating_add(1);
        self.placed_count <= RECORDS_PER_PEER_MAX
    }

    fn is_banned(&self, now: Instant) -> bool {
        self.banned_until.is_some_and(|until| now < until)
    }

    fn decay(&mut self, now: Instant) {
        let points = self.points(now);
        if points != self.points {
            self.points = points;
            self.decayed_at = now;
        }
    }
}

/// Records of a bounded number of peers; the stalest clean one is forgotten first.
#[derive(Debug, Default)]
pub(crate) struct Reputations(BTreeMap<PeerId, Record>);

impl Reputations {
    /// The record of a peer, made if there is none.
    pub(crate) fn record(&mut self, peer: PeerId, now: Instant) -> &mut Record {
        if !self.0.contains_key(&peer) && self.0.len() >= REPUTATION_COUNT_MAX {
            let stalest = self.0.iter().min_by_key(|(_, record)| {
                (
                    record.is_banned(now),
                    record.points(now) > 0,
                    record.seen_at,
                )
            });
            if let Some(stalest) = stalest.map(|(peer, _)| *peer) {
                self.0.remove(&stalest);
            }
        }
        let record = self.0.entry(peer).or_insert_with(|| Record::new(now));
        record.seen_at = now;
        record
    }

    pub(crate) fn offend(&mut self, peer: PeerId, offence: Offence, now: Instant) -> Consequence {
        let record = self.record(peer, now);
        record.decay(now);
        if record.points == 0 {
            record.decayed_at = now;
        }
        record.points = record.points.saturating_add(offence.points());
        if offence.is_malformed() {
            record.malformed_count = record.malformed_count.saturating_add(1);
        }
        if record.points < BAN_POINTS || record.is_banned(now) {
            return Consequence::Noted;
        }
        let length = BAN_FIRST
            .saturating_mul(1 << record.ban_count.min(16))
            .min(BAN_MAX);
        record.ban_count = record.ban_count.saturating_add(1);
        record.banned_until = now.checked_add(length);
        record.points = BAN_POINTS / 2;
        Consequence::Banned
    }

    pub(crate) fn points(&self, peer: &PeerId, now: Instant) -> u32 {
        self.0.get(peer).map_or(0, |record| record.points(now))
    }

    pub(crate) fn is_banned(&self, peer: &PeerId, now: Instant) -> bool {
        self.0.get(peer).is_some_and(|record| record.is_banned(now))
    }

    /// Ends bans whose time is over and names the peers.
    pub(crate) fn pardon(&mut self, now: Instant) -> Vec<PeerId> {
        let mut pardoned = Vec::new();
        for (peer, record) in &mut self.0 {
            if record.banned_until.is_some_and(|until| now >= until) {
                record.banned_until = None;
                pardoned.push(*peer);
            }
        }
        pardoned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_offences_end_in_a_ban_that_ends() {
        let (mut reputations, peer, now) =
            (Reputations::default(), PeerId::random(), Instant::now());
        for _ in 0..4 {
            let noted = reputations.offend(peer, Offence::MalformedMessage, now);
            assert_eq!(noted, Consequence::Noted);
        }
        let banned = reputations.offend(peer, Offence::MalformedMessage, now);
        assert_eq!(banned, Consequence::Banned);
        assert!(reputations.is_banned(&peer, now));
        assert!(reputations.pardon(now).is_empty());
        let later = now + BAN_FIRST;
        assert_eq!(reputations.pardon(later), [peer]);
        assert!(!reputations.is_banned(&peer, later));
        assert_eq!(reputations.record(peer, later).malformed_count, 5);
    }

    #[test]
    fn rare_offences_are_forgiven() {
        let (mut reputations, peer, start) =
            (Reputations::default(), PeerId::random(), Instant::now());
        for day in 0..50 {
            let now = start + Duration::from_secs(3600) * day;
            let noted = reputations.offend(peer, Offence::MalformedMessage, now);
            assert_eq!(noted, Consequence::Noted);
        }
    }

    #[test]
    fn provider_records_of_one_peer_are_bounded_per_half_hour() {
        let (mut reputations, peer, now) =
            (Reputations::default(), PeerId::random(), Instant::now());
        for _ in 0..RECORDS_PER_PEER_MAX {
            assert!(reputations.record(peer, now).may_place_record());
        }
        assert!(!reputations.record(peer, now).may_place_record());
        assert!(reputations.record(peer, now + PLACING).may_place_record());
    }

    #[test]
    fn second_ban_is_longer() {
        let (mut reputations, peer, start) =
            (Reputations::default(), PeerId::random(), Instant::now());
        assert_eq!(
            reputations.offend(peer, Offence::GossipRules, start),
            Consequence::Banned
        );
        let again = start + BAN_FIRST;
        assert_eq!(
            reputations.offend(peer, Offence::GossipRules, again),
            Consequence::Banned
        );
        assert!(reputations.is_banned(&peer, again + BAN_FIRST));
        assert!(!reputations.is_banned(&peer, again + BAN_FIRST * 2));
    }

    #[test]
    fn memory_of_peers_is_bounded_and_keeps_the_banned() {
        let (mut reputations, now) = (Reputations::default(), Instant::now());
        let bad = PeerId::random();
        reputations.offend(bad, Offence::GossipRules, now);
        for _ in 0..REPUTATION_COUNT_MAX * 2 {
            reputations.record(PeerId::random(), now);
        }
        assert_eq!(reputations.0.len(), REPUTATION_COUNT_MAX);
        assert!(reputations.is_banned(&bad, now));
    }
}
