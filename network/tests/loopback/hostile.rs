//! Peers that do not run our code: a bare swarm that serves blobs as told and gossips anything.

use crate::harness::{ANY_PORT, CHAIN, patiently};
use bao_tree::{
    BlockSize, ByteRanges,
    io::{outboard::PreOrderMemOutboard, round_up_to_chunks, sync::encode_ranges_validated},
};
use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol, Swarm, SwarmBuilder, gossipsub,
    identity::Keypair,
    noise,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::mpsc, task::JoinHandle};

#[derive(NetworkBehaviour)]
struct Bare {
    gossip: gossipsub::Behaviour,
    stream: libp2p_stream::Behaviour,
}

/// What a hostile provider does with a request, in terms of how many it answered before.
pub(crate) type Plan = fn(answered_count: usize, encoded: Vec<u8>) -> Option<Vec<u8>>;

/// A bare swarm that runs until dropped.
pub(crate) struct Hostile {
    pub(crate) peer: PeerId,
    pub(crate) address: String,
    pub(crate) control: libp2p_stream::Control,
    /// Ranges that were asked of it.
    pub(crate) asked: Arc<Mutex<Vec<(u64, u64)>>>,
    gossip: mpsc::Sender<Vec<u8>>,
    dial: mpsc::Sender<Multiaddr>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

pub(crate) fn blob_protocol() -> StreamProtocol {
    StreamProtocol::try_from_owned(format!("/cairn/{CHAIN}/blob/1")).unwrap()
}

fn topic() -> gossipsub::IdentTopic {
    gossipsub::IdentTopic::new(format!("/cairn/{CHAIN}/transactions/1"))
}

/// Whether a hostile peer signs what it gossips, as the protocol demands.
#[derive(Clone, Copy)]
pub(crate) enum Signing {
    Signed,
    Unsigned,
}

fn swarm(signing: Signing) -> Swarm<Bare> {
    let key = Keypair::generate_ed25519();
    let mut config = gossipsub::ConfigBuilder::default();
    config
        .protocol_id_prefix(format!("/cairn/{CHAIN}/gossip"))
        .max_transmit_size(64 * 1024 * 1024)
        .heartbeat_interval(Duration::from_millis(100));
    let authenticity = match signing {
        Signing::Signed => gossipsub::MessageAuthenticity::Signed(key.clone()),
        Signing::Unsigned => {
            config.validation_mode(gossipsub::ValidationMode::None);
            gossipsub::MessageAuthenticity::Author(key.public().to_peer_id())
        }
    };
    let mut gossip = gossipsub::Behaviour::new(authenticity, config.build().unwrap()).unwrap();
    gossip.subscribe(&topic()).unwrap();
    SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )
        .unwrap()
        .with_behaviour(|_| Bare {
            gossip,
            stream: libp2p_stream::Behaviour::new(),
        })
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(600)))
        .build()
}

impl Hostile {
    /// A peer that holds `blob` and answers requests as planned.
    pub(crate) async fn start(blob: Vec<u8>, plan: Plan) -> Self {
        Self::start_signing(blob, plan, Signing::Signed).await
    }

    pub(crate) async fn start_signing(blob: Vec<u8>, plan: Plan, signing: Signing) -> Self {
        let mut swarm = swarm(signing);
        let peer = *swarm.local_peer_id();
        swarm.listen_on(ANY_PORT.parse().unwrap()).unwrap();
        let address = patiently(async {
            loop {
                if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                    return format!("{address}/p2p/{peer}");
                }
            }
        })
        .await;
        let mut control = swarm.behaviour().stream.new_control();
        let incoming = control.accept(blob_protocol()).unwrap();
        let asked = Arc::default();
        let (gossip, messages) = mpsc::channel(64);
        let (dial, dials) = mpsc::channel(1);
        let tasks = vec![
            tokio::spawn(serve(incoming, blob, plan, Arc::clone(&asked))),
            tokio::spawn(drive(swarm, messages, dials)),
        ];
        Self {
            peer,
            address,
            control,
            asked,
            gossip,
            dial,
            tasks,
        }
    }

    /// A peer that has nothing to serve.
    pub(crate) async fn without_blobs() -> Self {
        Self::start(Vec::new(), |_, _| None).await
    }

    pub(crate) async fn dial(&self, address: &str) {
        self.dial.send(address.parse().unwrap()).await.unwrap();
    }

    pub(crate) async fn gossip(&self, bytes: Vec<u8>) {
        self.gossip.send(bytes).await.unwrap();
    }
}

async fn drive(
    mut swarm: Swarm<Bare>,
    mut messages: mpsc::Receiver<Vec<u8>>,
    mut dials: mpsc::Receiver<Multiaddr>,
) {
    let mut ready = false;
    loop {
        tokio::select! {
            event = swarm.select_next_some() => {
                if let SwarmEvent::Behaviour(BareEvent::Gossip(event)) = event
                    && let gossipsub::Event::Subscribed { topic: subscribed, .. } = event
                {
                    ready |= subscribed == topic().hash();
                }
            }
            Some(bytes) = messages.recv(), if ready => {
                // A victim that hung up is what the tests look for elsewhere.
                swarm.behaviour_mut().gossip.publish(topic(), bytes).ok();
            }
            Some(address) = dials.recv() => swarm.dial(address).unwrap(),
        }
    }
}

async fn serve(
    mut incoming: libp2p_stream::IncomingStreams,
    blob: Vec<u8>,
    plan: Plan,
    asked: Arc<Mutex<Vec<(u64, u64)>>>,
) {
    let outboard = PreOrderMemOutboard::create(&blob, BlockSize::from_chunk_log(4));
    while let Some((_, mut stream)) = incoming.next().await {
        while let Some((start, end)) = read_range(&mut stream).await {
            let answered_count = {
                let mut asked = asked.lock().unwrap();
                asked.push((start, end));
                asked.len() - 1
            };
            let mut encoded = Vec::new();
            let ranges = round_up_to_chunks(&ByteRanges::from(start..end));
            encode_ranges_validated(&blob[..], &outboard, &ranges, &mut encoded).unwrap();
            let Some(answer) = plan(answered_count, encoded) else {
                break;
            };
            if stream.write_all(&answer).await.is_err() || stream.flush().await.is_err() {
                break;
            }
        }
    }
}

/// Reads a request as the specification lays it out: name, size, start, end.
async fn read_range(stream: &mut Stream) -> Option<(u64, u64)> {
    let mut request = [0; 56];
    stream.read_exact(&mut request).await.ok()?;
    let number = |at: usize| u64::from_le_bytes(request[at..at + 8].try_into().unwrap());
    Some((number(40), number(48)))
}

/// The honest answer: status 0 and the encoding.
pub(crate) fn honest(_: usize, encoded: Vec<u8>) -> Option<Vec<u8>> {
    Some([vec![0], encoded].concat())
}

/// Flips one bit near the end of every answer.
pub(crate) fn liar(_: usize, mut encoded: Vec<u8>) -> Option<Vec<u8>> {
    let at = encoded.len() - 100;
    encoded[at] ^= 1;
    honest(0, encoded)
}
