//! From a configuration to a running network.

use crate::{
    address_book::{AddressBook, Retry, peer_in},
    behaviour::{Behaviour, protocol},
    blob::{fetch::Fetcher, serve::serve},
    driver::{Bootstrap, Driver, Parts},
    error::StartError,
    event::NetworkEvent,
    handle::{CommandSender, NetworkHandle},
    limits::{COMMAND_COUNT_MAX, DIAL_TIME_MAX, EVENT_COUNT_MAX, IDLE_TIME_MAX},
    recent::{self, Recent},
    store::BlobStore,
};
use futures::StreamExt as _;
use libp2p::{
    Multiaddr, StreamProtocol, Swarm, SwarmBuilder, TransportError, core::transport::ListenerId,
    identity::Keypair, multiaddr::Protocol, noise, swarm, swarm::SwarmEvent, tcp, yamux,
};
use std::{
    collections::HashSet,
    fs, io,
    net::{IpAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
};
use tokio::sync::{mpsc, oneshot};

/// What a network needs to know to start.
#[derive(Clone)]
pub struct NetworkConfig {
    /// Seed of the ed25519 key that names this node.
    pub signing_seed: [u8; 32],
    /// Multiaddresses to listen on; port 0 takes any free port.
    pub listen: Vec<String>,
    /// Multiaddresses of peers to start from, with or without their peer ids.
    pub bootstrap: Vec<String>,
    /// Folder for the `peers` file.
    pub home: PathBuf,
    /// Name of the chain; part of every protocol name, so that networks never mix.
    pub chain: String,
}

impl std::fmt::Debug for NetworkConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            signing_seed: _,
            listen,
            bootstrap,
            home,
            chain,
        } = self;
        f.debug_struct("NetworkConfig")
            .field("listen", listen)
            .field("bootstrap", bootstrap)
            .field("home", home)
            .field("chain", chain)
            .finish_non_exhaustive()
    }
}

/// The network of one node.
#[derive(Debug)]
pub struct Network;

impl Network {
    /// Listens, starts dialling, and serves the blobs of `store`. Runs on the current tokio
    /// runtime until it is shut down or every handle is dropped.
    ///
    /// # Errors
    /// When an address is wrong, in use or refused, or the home folder cannot be used.
    pub async fn start(
        config: NetworkConfig,
        store: Arc<dyn BlobStore>,
    ) -> Result<(NetworkHandle, mpsc::Receiver<NetworkEvent>), StartError> {
        check_chain_name(&config.chain)?;
        let listen = parse_addresses(&config.listen)?;
        let bootstrap = parse_addresses(&config.bootstrap)?;
        let home_error = |path: PathBuf| |source| StartError::Home { path, source };
        fs::create_dir_all(&config.home).map_err(home_error(config.home.clone()))?;
        let peers = config.home.join("peers");
        let book = AddressBook::load(peers.clone()).map_err(home_error(peers))?;

        let mut swarm = swarm(config.signing_seed, &config.chain)?;
        let listen_addresses: Arc<[Multiaddr]> = listen_on(&mut swarm, listen).await?.into();
        let (sender, commands) = mpsc::channel(COMMAND_COUNT_MAX);
        let (events, received_events) = mpsc::channel(EVENT_COUNT_MAX);
        let (alive, handles_gone) = oneshot::channel();
        let sender = CommandSender::new(sender);
        let blob_protocol = protocol(&config.chain, "blob")?;
        let incoming = accept(&mut swarm, &blob_protocol)?;
        let control = swarm.behaviour().stream.new_control();
        let fetcher = Fetcher::new(Arc::clone(&store), sender.clone(), control, blob_protocol);
        let handle = NetworkHandle {
            commands: sender.clone(),
            fetcher: Arc::new(fetcher),
            local_peer: *swarm.local_peer_id(),
            listen_addresses,
            _alive: Arc::new(alive),
        };
        let recent = Recent::default();
        let recent_protocol = protocol(&config.chain, "recent")?;
        let incoming_recent = accept(&mut swarm, &recent_protocol)?;
        let servers = vec![
            tokio::spawn(serve(incoming, Arc::clone(&store), sender.clone())),
            tokio::spawn(recent::serve(incoming_recent, recent.clone())),
        ];
        let bootstrap = bootstrap
            .into_iter()
            .map(|address| Bootstrap {
                peer: peer_in(&address),
                address,
                retry: Retry::default(),
            })
            .collect();
        let driver = Driver::new(Parts {
            swarm,
            chain: config.chain,
            events,
            bootstrap,
            book,
            recent,
            recent_protocol,
            commands: sender,
        });
        tokio::spawn(driver.run(commands, handles_gone, servers, store));
        Ok((handle, received_events))
    }
}

fn accept(
    swarm: &mut Swarm<Behaviour>,
    protocol: &StreamProtocol,
) -> Result<libp2p_stream::IncomingStreams, StartError> {
    let mut control = swarm.behaviour().stream.new_control();
    let accepted = control.accept(protocol.clone());
    accepted.map_err(|error| StartError::Transport {
        reason: error.to_string(),
    })
}

fn check_chain_name(name: &str) -> Result<(), StartError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if (1..=64).contains(&name.len()) && name.chars().all(allowed) {
        Ok(())
    } else {
        Err(StartError::ChainName {
            name: name.chars().take(80).collect(),
        })
    }
}

fn parse_addresses(texts: &[String]) -> Result<Vec<Multiaddr>, StartError> {
    let parse = |text: &String| {
        text.parse::<Multiaddr>()
            .map_err(|error| StartError::Address {
                text: text.clone(),
                reason: error.to_string(),
            })
    };
    texts.iter().map(parse).collect()
}

fn swarm(seed: [u8; 32], chain: &str) -> Result<Swarm<Behaviour>, StartError> {
    let transport_error = |error: &dyn std::fmt::Display| StartError::Transport {
        reason: error.to_string(),
    };
    let key = Keypair::ed25519_from_bytes(seed).map_err(|e| transport_error(&e))?;
    let behaviour = Behaviour::new(&key, chain)?;
    let settings = |config: swarm::Config| config.with_idle_connection_timeout(IDLE_TIME_MAX);
    let transport = |key: Keypair| {
        SwarmBuilder::with_existing_identity(key)
            .with_tokio()
            .with_tcp(
                tcp::Config::default(),
                noise::Config::new,
                yamux::Config::default,
            )
            .map_err(|e| transport_error(&e))
    };
    match transport(key.clone())?.with_dns() {
        Ok(builder) => builder
            .with_behaviour(|_| behaviour)
            .map(|builder| builder.with_swarm_config(settings))
            .map(|builder| builder.with_connection_timeout(DIAL_TIME_MAX).build())
            .map_err(|e| transport_error(&e)),
        Err(error) => {
            tracing::warn!(%error, "no name resolution; only numeric addresses can be dialled");
            transport(key)?
                .with_behaviour(|_| behaviour)
                .map(|builder| builder.with_swarm_config(settings))
                .map(|builder| builder.with_connection_timeout(DIAL_TIME_MAX).build())
                .map_err(|e| transport_error(&e))
        }
    }
}

/// Listens everywhere asked, and waits until the real addresses are known.
async fn listen_on(
    swarm: &mut Swarm<Behaviour>,
    addresses: Vec<Multiaddr>,
) -> Result<Vec<Multiaddr>, StartError> {
    let mut waiting: HashSet<ListenerId> = HashSet::new();
    for address in addresses {
        check_free(&address)?;
        let listener = swarm
            .listen_on(address.clone())
            .map_err(|error| listen_error(&address, &error))?;
        waiting.insert(listener);
    }
    let mut found = Vec::new();
    while !waiting.is_empty() {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr {
                listener_id,
                address,
            } => {
                waiting.remove(&listener_id);
                found.push(address);
            }
            SwarmEvent::ListenerClosed {
                addresses, reason, ..
            } => {
                let address = addresses
                    .first()
                    .map(Multiaddr::to_string)
                    .unwrap_or_default();
                let reason = reason
                    .err()
                    .map(|error| error.to_string())
                    .unwrap_or_default();
                return Err(StartError::Listen { address, reason });
            }
            _ => {}
        }
    }
    Ok(found)
}

/// The transport lets programs of one user share a port, so ask the operating system first.
fn check_free(address: &Multiaddr) -> Result<(), StartError> {
    let mut parts = address.iter();
    let ip: IpAddr = match parts.next() {
        Some(Protocol::Ip4(ip)) => ip.into(),
        Some(Protocol::Ip6(ip)) => ip.into(),
        _ => return Ok(()),
    };
    let Some(Protocol::Tcp(port)) = parts.next() else {
        return Ok(());
    };
    match TcpListener::bind((ip, port)) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(StartError::AddressInUse {
            address: address.to_string(),
        }),
        Err(error) => Err(StartError::Listen {
            address: address.to_string(),
            reason: error.to_string(),
        }),
        Ok(_) => Ok(()),
    }
}

fn listen_error(address: &Multiaddr, error: &TransportError<io::Error>) -> StartError {
    let address = address.to_string();
    match error {
        TransportError::Other(error) if error.kind() == io::ErrorKind::AddrInUse => {
            StartError::AddressInUse { address }
        }
        error => StartError::Listen {
            address,
            reason: error.to_string(),
        },
    }
}
