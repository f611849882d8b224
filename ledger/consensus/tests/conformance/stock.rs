//! The networked engine: real sockets, real logs, several nodes in one process.

mod failures;
mod kills;

use crate::ledger::{Committed, MemoryApplication, block_id, set_at};
use ledger_consensus::{
    Application as _, EngineConfig, EngineHandle, HeightParams, StartError, Validator,
    ValidatorSet, start,
};
use protocol::{ChainId, Height, SigningKey};
use std::{
    net::TcpListener,
    path::PathBuf,
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};
use tempfile::TempDir;
use tokio::time::timeout;

const CHAIN: ChainId = ChainId::from_bytes([6; 32]);
/// Generous: a loaded machine is slow, a broken engine never arrives.
const PATIENCE: Duration = Duration::from_secs(300);

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed([seed; 32])
}

/// Ports nobody listens on, below the range from which the system takes ports for connections.
fn free_ports(count: usize) -> Vec<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 10_000).unwrap();
    let candidates =
        std::iter::repeat_with(|| 20_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000);
    candidates
        .filter(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok())
        .take(count)
        .collect()
}

fn address(port: u16) -> String {
    format!("/ip4/127.0.0.1/tcp/{port}")
}

/// A network of validators that can be started and stopped one by one.
struct Network {
    folder: TempDir,
    ports: Vec<u16>,
    set: ValidatorSet,
    applications: Vec<MemoryApplication>,
    engines: Vec<Option<EngineHandle>>,
}

impl Network {
    fn new(count: u8, block_interval_ms: u64, payload_bytes: usize) -> Self {
        let validators = (1..=count).map(|seed| Validator {
            key: key(seed).address(),
            power: 1,
        });
        let set = ValidatorSet::new(validators.collect()).unwrap();
        let params = HeightParams {
            block_interval_ms,
            ..HeightParams::new(set.clone())
        };
        let application = |_| MemoryApplication::new(params.clone(), payload_bytes);
        Self {
            folder: tempfile::tempdir().unwrap(),
            ports: free_ports(count.into()),
            set,
            applications: (0..count).map(application).collect(),
            engines: (0..count).map(|_| None).collect(),
        }
    }

    fn home(&self, index: usize) -> PathBuf {
        self.folder.path().join(index.to_string())
    }

    fn config(&self, index: usize) -> EngineConfig {
        let seed = u8::try_from(index + 1).unwrap();
        let listen = address(self.ports[index]);
        let others = self
            .ports
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != index);
        EngineConfig {
            peers: others.map(|(_, &port)| address(port)).collect(),
            ..EngineConfig::new(CHAIN, key(seed), self.home(index), listen)
        }
    }

    async fn start(&mut self, index: usize) {
        let application = self.applications[index].clone();
        self.engines[index] = Some(start(self.config(index), application).await.unwrap());
    }

    async fn start_all(&mut self) {
        for index in 0..self.engines.len() {
            self.start(index).await;
        }
    }

    async fn stop(&mut self, index: usize) {
        self.engines[index]
            .take()
            .unwrap()
            .shutdown()
            .await
            .unwrap();
    }

    async fn stop_all(&mut self) {
        for engine in self.engines.iter_mut().filter_map(Option::take) {
            engine.shutdown().await.unwrap();
        }
    }

    async fn all_reach(&self, height: u64) {
        for application in &self.applications {
            timeout(PATIENCE, application.reached(height))
                .await
                .unwrap();
        }
    }

    /// No fork, no gap, and a certificate anyone can check under every block.
    fn assert_one_chain(&self) {
        let chains: Vec<_> = self
            .applications
            .iter()
            .map(MemoryApplication::blocks)
            .collect();
        assert_same_chain(&chains, &self.set);
    }
}

fn assert_same_chain(chains: &[Vec<Committed>], set: &ValidatorSet) {
    for chain in chains {
        for ((block, certificate), height) in chain.iter().zip(1..) {
            assert_eq!(certificate.height.get(), height);
            assert_eq!(certificate.block_id, block_id(block));
            assert_eq!(certificate.verify(CHAIN, set), Ok(()));
        }
    }
    for pair in chains.windows(2) {
        for (left, right) in pair[0].iter().zip(&pair[1]) {
            assert_eq!(left.0, right.0);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_nodes_commit_the_same_blocks() {
    let mut network = Network::new(4, 50, 200);
    network.start_all().await;
    network.all_reach(20).await;
    network.stop_all().await;
    network.assert_one_chain();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_validator_that_lost_its_blocks_catches_up_where_it_may_not_sign() {
    let mut network = Network::new(4, 50, 200);
    network.start_all().await;
    network.all_reach(8).await;
    // It would propose the first block, which its signing history forbids.
    let proposer = network.set.proposer(Height::new(1), 0).key;
    let is_proposer = |index: &u8| key(index + 1).address() == proposer;
    let victim = usize::from((0..4).find(is_proposer).unwrap());
    network.stop(victim).await;
    let params = HeightParams {
        block_interval_ms: 50,
        ..HeightParams::new(network.set.clone())
    };
    network.applications[victim] = MemoryApplication::new(params, 200);
    network.start(victim).await;
    let others = &network.applications[(victim + 1) % 4];
    let ahead = others.blocks().len() as u64 + 5;
    network.all_reach(ahead).await;
    network.stop_all().await;
    network.assert_one_chain();
    for application in &network.applications {
        assert_eq!(application.0.evidence.lock().unwrap().as_slice(), []);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_blocks_travel_in_many_parts() {
    let mut network = Network::new(4, 50, 1_000_000);
    network.start_all().await;
    network.all_reach(5).await;
    network.stop_all().await;
    network.assert_one_chain();
    assert!(
        network.applications[0]
            .blocks()
            .iter()
            .all(|(block, _)| block.len() >= 1_000_000)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_node_catches_up() {
    let mut network = Network::new(4, 50, 200);
    network.start_all().await;
    network.all_reach(5).await;
    network.stop(3).await;
    let left_at = network.applications[3].blocks().len() as u64;
    timeout(PATIENCE, network.applications[0].reached(left_at + 10))
        .await
        .unwrap();
    network.start(3).await;
    network.all_reach(left_at + 30).await;
    network.stop_all().await;
    network.assert_one_chain();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_stopped_as_a_whole_resumes() {
    let mut network = Network::new(4, 50, 200);
    for round in 1..=3 {
        network.start_all().await;
        network.all_reach(round * 5).await;
        network.stop_all().await;
    }
    network.assert_one_chain();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn validators_may_change_at_every_height() {
    let mut network = Network::new(5, 50, 200);
    let params = network.applications[0].params(Height::new(1));
    let application = |_| MemoryApplication::rotating(params.clone(), 200);
    network.applications = (0..5).map(application).collect();
    network.start_all().await;
    network.all_reach(15).await;
    network.stop(4).await;
    let left_at = network.applications[4].blocks().len() as u64;
    timeout(PATIENCE, network.applications[0].reached(left_at + 10))
        .await
        .unwrap();
    network.start(4).await;
    network.all_reach(left_at + 20).await;
    network.stop_all().await;
    for application in &network.applications {
        for (_, certificate) in application.blocks() {
            let set = set_at(&network.set, certificate.height);
            assert_eq!(certificate.verify(CHAIN, &set), Ok(()));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_validator_alone_commits() {
    let mut network = Network::new(1, 0, 200);
    network.start_all().await;
    network.all_reach(20).await;
    network.stop_all().await;
    network.assert_one_chain();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_without_a_vote_receives_blocks() {
    let mut network = Network::new(1, 50, 200);
    network.start_all().await;
    let follower = MemoryApplication::new(HeightParams::new(network.set.clone()), 0);
    let config = EngineConfig {
        peers: vec![address(network.ports[0])],
        ..EngineConfig::new(CHAIN, key(99), network.home(9), address(free_ports(1)[0]))
    };
    let handle = start(config, follower.clone()).await.unwrap();
    timeout(PATIENCE, follower.reached(20)).await.unwrap();
    handle.shutdown().await.unwrap();
    network.applications.push(follower);
    network.stop_all().await;
    network.assert_one_chain();
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let network = Network::new(1, 50, 200);
    let _taken = TcpListener::bind(("127.0.0.1", network.ports[0])).unwrap();
    let error = start(network.config(0), network.applications[0].clone())
        .await
        .unwrap_err();
    assert!(matches!(error, StartError::Port { .. }), "{error}");
    assert!(
        error.to_string().contains(&network.ports[0].to_string()),
        "{error}"
    );
}

#[tokio::test]
async fn an_unreadable_log_is_named() {
    let network = Network::new(1, 50, 200);
    let log = network.home(0).join("wal/consensus.wal");
    std::fs::create_dir_all(log.parent().unwrap()).unwrap();
    std::fs::write(&log, b"this is not a write-ahead log").unwrap();
    let error = start(network.config(0), network.applications[0].clone())
        .await
        .unwrap_err();
    assert!(matches!(error, StartError::Log { .. }), "{error}");
    assert!(error.to_string().contains("consensus.wal"), "{error}");
}

#[tokio::test]
async fn a_log_in_use_is_named() {
    let network = Network::new(1, 50, 200);
    let engine = start(network.config(0), network.applications[0].clone())
        .await
        .unwrap();
    let config = EngineConfig {
        listen: address(free_ports(1)[0]),
        ..network.config(0)
    };
    let error = start(config, network.applications[0].clone())
        .await
        .unwrap_err();
    assert!(matches!(error, StartError::Log { .. }), "{error}");
    engine.shutdown().await.unwrap();
}
