//! Our configuration, and malachite's made from it.

use super::StartError;
use crate::signer::Signer;
use malachitebft_app_channel::app::{
    config::{
        ConsensusConfig, DiscoveryConfig, NodeConfig, P2pConfig, ProtocolNames,
        PubSubMaxSizePerTopic, ValuePayload, ValueSyncConfig,
    },
    net::Multiaddr,
};
use protocol::{ChainId, SigningKey};
use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// The signing history in an engine's folder.
#[must_use]
pub fn history_in(home: &Path) -> PathBuf {
    home.join("signing-history")
}

/// Everything the networked engine needs to know before it starts.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// The chain; nodes of other chains are disconnected.
    pub chain: ChainId,
    /// The network identity; and, unless there is a signer, what signs votes. If it is no
    /// validator's key then, the node follows.
    pub key: SigningKey,
    /// Signs for the validator, with its history. Nothing for `key` with the history in `home`.
    pub signer: Option<Arc<dyn Signer>>,
    /// Folder of the engine's own files: the write-ahead log and undecided bodies.
    pub home: PathBuf,
    /// Where to listen, for example `/ip4/127.0.0.1/tcp/27000`.
    pub listen: String,
    /// Peers to stay connected to, in the same form.
    pub peers: Vec<String>,
    /// Longest wait for a quorum of validators to be connected before the first round.
    pub peer_wait_ms: u64,
}

impl EngineConfig {
    /// A configuration with no peers that waits at most four seconds for a quorum.
    #[must_use]
    pub fn new(chain: ChainId, key: SigningKey, home: PathBuf, listen: String) -> Self {
        Self {
            chain,
            key,
            signer: None,
            home,
            listen,
            peers: Vec::new(),
            peer_wait_ms: 4_000,
        }
    }
    /// The file that remembers what the key signed; see [`crate::SigningHistory`].
    #[must_use]
    pub fn history(&self) -> PathBuf {
        history_in(&self.home)
    }
}

/// What malachite asks of a configuration.
#[derive(Debug, Clone)]
pub(super) struct EngineSettings {
    moniker: String,
    consensus: ConsensusConfig,
    sync: ValueSyncConfig,
}

impl NodeConfig for EngineSettings {
    fn moniker(&self) -> &str {
        &self.moniker
    }
    fn consensus(&self) -> &ConsensusConfig {
        &self.consensus
    }
    fn consensus_mut(&mut self) -> &mut ConsensusConfig {
        &mut self.consensus
    }
    fn value_sync(&self) -> &ValueSyncConfig {
        &self.sync
    }
    fn value_sync_mut(&mut self) -> &mut ValueSyncConfig {
        &mut self.sync
    }
}

impl EngineSettings {
    /// Translates a configuration.
    pub(super) fn new(config: &EngineConfig) -> Result<Self, StartError> {
        let listen_addr = address(&config.listen)?;
        let is_transport = |name: &str| matches!(name, "tcp" | "quic-v1");
        if !listen_addr.protocol_stack().any(is_transport) {
            let reason = "it names neither tcp nor quic-v1".to_owned();
            return Err(StartError::Address {
                address: config.listen.clone(),
                reason,
            });
        }
        let persistent_peers = config
            .peers
            .iter()
            .map(|peer| address(peer))
            .collect::<Result<_, _>>()?;
        let consensus = ConsensusConfig {
            p2p: network(config.chain, listen_addr, persistent_peers),
            value_payload: ValuePayload::ProposalAndParts,
            ..ConsensusConfig::default()
        };
        let sync = ValueSyncConfig {
            status_update_interval: Duration::from_secs(1),
            request_timeout: Duration::from_secs(5),
            batch_size: 20,
            ..ValueSyncConfig::default()
        };
        Ok(Self {
            moniker: config.key.address().short(),
            consensus,
            sync,
        })
    }
    /// The same under another name, which is that of its figures.
    pub(super) fn registered(self, moniker: String) -> Self {
        Self { moniker, ..self }
    }
}

fn network(chain: ChainId, listen_addr: Multiaddr, persistent_peers: Vec<Multiaddr>) -> P2pConfig {
    let name = |what: &str| format!("/cairn/{}/consensus/{what}/1", chain.short());
    P2pConfig {
        listen_addr,
        persistent_peers,
        discovery: DiscoveryConfig {
            // Many nodes may share a host in tests and an address behind a NAT.
            max_connections_per_ip: 256,
            ip_throttle_duration: Duration::from_secs(1),
            ..DiscoveryConfig::default()
        },
        pubsub_max_size_per_topic: PubSubMaxSizePerTopic {
            consensus: size("64 KiB"),
            proposal_parts: size("65 KiB"),
            liveness: size("64 KiB"),
        },
        protocol_names: ProtocolNames {
            consensus: name("identify"),
            discovery_kad: name("discovery/kad"),
            discovery_regres: name("discovery/request"),
            sync: name("sync"),
            validator_proof: name("validator-proof"),
        },
        ..P2pConfig::default()
    }
}

/// A size by its text, because the type is not named in malachite's interface.
fn size<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn address(text: &str) -> Result<Multiaddr, StartError> {
    text.parse().map_err(
        |error: <Multiaddr as std::str::FromStr>::Err| StartError::Address {
            address: text.to_owned(),
            reason: error.to_string(),
        },
    )
}

/// The socket a `/ip4/…/tcp/…` address listens on; nothing for other transports or port 0.
pub(super) fn socket(listen: &str) -> Option<SocketAddr> {
    let parts: Vec<&str> = listen.split('/').collect();
    let ["", "ip4" | "ip6", host, "tcp", port, ..] = parts.as_slice() else {
        return None;
    };
    let port: u16 = port.parse().ok()?;
    let host: IpAddr = host.parse().ok()?;
    (port != 0).then_some(SocketAddr::new(host, port))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_read_from_tcp_addresses() {
        let table = [
            ("/ip4/127.0.0.1/tcp/27000", Some("127.0.0.1:27000")),
            ("/ip6/::1/tcp/27000", Some("[::1]:27000")),
            ("/ip4/127.0.0.1/tcp/0", None),
            ("/ip4/127.0.0.1/udp/27000/quic-v1", None),
            ("127.0.0.1:27000", None),
        ];
        for (listen, expect) in table {
            assert_eq!(
                socket(listen).map(|it| it.to_string()).as_deref(),
                expect,
                "{listen}"
            );
        }
    }

    #[test]
    fn addresses_that_cannot_be_listened_on_are_named() {
        for listen in ["nonsense", "/ip4/127.0.0.1", "/ip4/127.0.0.1/tcp/99999"] {
            let config = EngineConfig::new(
                ChainId::from_bytes([0; 32]),
                SigningKey::from_seed([1; 32]),
                PathBuf::new(),
                listen.to_owned(),
            );
            let error = EngineSettings::new(&config).err().unwrap();
            assert!(error.to_string().contains(listen), "{error}");
        }
    }

    #[test]
    fn every_size_is_understood() {
        let p2p = network(ChainId::from_bytes([0; 32]), Multiaddr::empty(), vec![]);
        let sizes = p2p.pubsub_max_size_per_topic;
        assert!(sizes.consensus.is_some() && sizes.liveness.is_some());
        let part_bytes = sizes.proposal_parts.unwrap().as_u64();
        assert!(part_bytes >= super::super::parts::CHUNK_BYTES as u64 + 100);
    }
}
