//! The protocols on every connection, and their settings.

use crate::{
    error::StartError,
    limits::{
        FRAME_BYTES_MAX, INCOMING_COUNT_MAX, OUTGOING_COUNT_MAX, PENDING_COUNT_MAX,
        PER_PEER_COUNT_MAX, PROVIDED_COUNT_MAX, RECORD_COUNT_MAX,
    },
    topic::Topic,
};
use libp2p::{
    StreamProtocol, allow_block_list, connection_limits,
    gossipsub::{
        self, IdentityTransform, MaxCountSubscriptionFilter, MessageId, PeerScoreParams,
        PeerScoreThresholds, TopicScoreParams, ValidationMode, WhitelistSubscriptionFilter,
    },
    identify,
    identity::Keypair,
    kad, ping,
    swarm::NetworkBehaviour,
};
use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

/// Gossip that tracks our two topics only, however many a peer subscribes to.
pub(crate) type Gossip = gossipsub::Behaviour<
    IdentityTransform,
    MaxCountSubscriptionFilter<WhitelistSubscriptionFilter>,
>;

/// Everything spoken on a connection.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    pub(crate) limits: connection_limits::Behaviour,
    pub(crate) bans: allow_block_list::Behaviour<allow_block_list::BlockedPeers>,
    pub(crate) gossip: Gossip,
    pub(crate) identify: identify::Behaviour,
    pub(crate) kademlia: kad::Behaviour<kad::store::MemoryStore>,
    pub(crate) ping: ping::Behaviour,
    pub(crate) stream: libp2p_stream::Behaviour,
}

impl Behaviour {
    pub(crate) fn new(key: &Keypair, chain: &str) -> Result<Self, StartError> {
        let limits = connection_limits::ConnectionLimits::default()
            .with_max_pending_incoming(Some(PENDING_COUNT_MAX))
            .with_max_pending_outgoing(Some(PENDING_COUNT_MAX))
            .with_max_established_incoming(Some(INCOMING_COUNT_MAX))
            .with_max_established_outgoing(Some(OUTGOING_COUNT_MAX))
            .with_max_established_per_peer(Some(PER_PEER_COUNT_MAX));
        let identify = identify::Config::new(identify_protocol(chain), key.public())
            .with_agent_version(concat!("cairn/", env!("CARGO_PKG_VERSION")).to_owned());
        Ok(Self {
            limits: connection_limits::Behaviour::new(limits),
            bans: allow_block_list::Behaviour::default(),
            gossip: gossip(key, chain).map_err(|reason| StartError::Transport { reason })?,
            identify: identify::Behaviour::new(identify),
            kademlia: kademlia(key, chain)?,
            ping: ping::Behaviour::default(),
            stream: libp2p_stream::Behaviour::new(),
        })
    }
}

/// What peers of the same chain say they speak.
pub(crate) fn identify_protocol(chain: &str) -> String {
    format!("/cairn/{chain}/1")
}

/// A protocol name of this chain.
pub(crate) fn protocol(chain: &str, name: &str) -> Result<StreamProtocol, StartError> {
    StreamProtocol::try_from_owned(format!("/cairn/{chain}/{name}/1")).map_err(|error| {
        StartError::Transport {
            reason: error.to_string(),
        }
    })
}

fn kademlia(
    key: &Keypair,
    chain: &str,
) -> Result<kad::Behaviour<kad::store::MemoryStore>, StartError> {
    let peer = key.public().to_peer_id();
    let store = kad::store::MemoryStoreConfig {
        max_records: 0,
        max_value_bytes: 0,
        max_provided_keys: RECORD_COUNT_MAX + PROVIDED_COUNT_MAX,
        ..Default::default()
    };
    let mut config = kad::Config::new(protocol(chain, "kademlia")?);
    config
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_provider_record_ttl(Some(Duration::from_secs(2 * 3600)))
        .set_provider_publication_interval(Some(Duration::from_secs(1800)))
        .set_query_timeout(Duration::from_secs(20))
        .set_periodic_bootstrap_interval(Some(Duration::from_secs(120)));
    let store = kad::store::MemoryStore::with_config(peer, store);
    let mut kademlia = kad::Behaviour::with_config(peer, store, config);
    kademlia.set_mode(Some(kad::Mode::Server));
    Ok(kademlia)
}

fn gossip(key: &Keypair, chain: &str) -> Result<Gossip, String> {
    let mut config = gossipsub::ConfigBuilder::default();
    config
        .protocol_id_prefix(format!("/cairn/{chain}/gossip"))
        .validation_mode(ValidationMode::Strict)
        .validate_messages()
        .message_id_fn(message_id)
        .max_transmit_size(FRAME_BYTES_MAX)
        .max_messages_per_rpc(Some(256))
        .heartbeat_initial_delay(Duration::from_millis(200))
        .heartbeat_interval(Duration::from_millis(700))
        .history_length(12)
        .history_gossip(4)
        .duplicate_cache_time(Duration::from_secs(60));
    let config = config.build().map_err(|error| error.to_string())?;
    let names: HashSet<_> = Topic::ALL
        .iter()
        .map(|topic| topic.name(chain).hash())
        .collect();
    let filter = MaxCountSubscriptionFilter {
        filter: WhitelistSubscriptionFilter(names),
        max_subscribed_topics: 8,
        max_subscriptions_per_request: 16,
    };
    let mut gossip = Gossip::new_with_subscription_filter(
        gossipsub::MessageAuthenticity::Signed(key.clone()),
        config,
        filter,
    )?;
    gossip.with_peer_score(score(chain), THRESHOLDS)?;
    for topic in Topic::ALL {
        gossip
            .subscribe(&topic.name(chain))
            .map_err(|error| error.to_string())?;
    }
    Ok(gossip)
}

/// BLAKE3 of topic and content. The topic is part of it, so that nobody can suppress a
/// transaction by sending its bytes as an announcement first.
fn message_id(message: &gossipsub::Message) -> MessageId {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update(message.topic.as_str().as_bytes())
        .update(&[0])
        .update(&message.data);
    MessageId::new(hasher.finalize().as_bytes())
}

/// Malformed messages cost 2 times their count squared, and 20 points each in the application
/// score until a ban at 100: three end the exchange of gossip. The graylist lies beyond the ban,
/// for peers that keep trying after one.
const THRESHOLDS: PeerScoreThresholds = PeerScoreThresholds {
    gossip_threshold: -60.0,
    publish_threshold: -100.0,
    graylist_threshold: -200.0,
    accept_px_threshold: 10.0,
    opportunistic_graft_threshold: 1.0,
};

/// Scores reward first deliveries a little and punish invalid ones. Missing deliveries are not
/// punished: traffic is too thin to tell an idle peer from a silent one.
fn score(chain: &str) -> PeerScoreParams {
    let topic = TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_weight: 0.01,
        time_in_mesh_quantum: Duration::from_secs(1),
        time_in_mesh_cap: 300.0,
        first_message_deliveries_weight: 0.05,
        first_message_deliveries_decay: gossipsub::score_parameter_decay(Duration::from_secs(600)),
        first_message_deliveries_cap: 100.0,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: -2.0,
        invalid_message_deliveries_decay: gossipsub::score_parameter_decay(Duration::from_secs(
            600,
        )),
        ..Default::default()
    };
    let topics: HashMap<_, _> = Topic::ALL
        .iter()
        .map(|name| (name.name(chain).hash(), topic.clone()))
        .collect();
    PeerScoreParams {
        topics,
        topic_score_cap: 10.0,
        app_specific_weight: 1.0,
        ip_colocation_factor_weight: -1.0,
        ip_colocation_factor_threshold: 32.0,
        ip_colocation_factor_whitelist: HashSet::from([
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ]),
        behaviour_penalty_weight: -1.0,
        behaviour_penalty_threshold: 6.0,
        behaviour_penalty_decay: gossipsub::score_parameter_decay(Duration::from_secs(600)),
        ..Default::default()
    }
}
