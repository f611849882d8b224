//! Nodes for tests: a temporary home, a free port, and waiting for what should happen.

use network::{
    FolderStore, Judgement, MessageToken, Network, NetworkConfig, NetworkEvent, NetworkHandle,
    PeerId, PeerStatus, StartError,
};
use std::{path::Path, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

pub(crate) const CHAIN: &str = "loopback-test";
pub(crate) const ANY_PORT: &str = "/ip4/127.0.0.1/tcp/0";

/// Only ends tests that would hang; says nothing about how fast things should be.
const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) async fn patiently<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what)
        .await
        .expect("what was waited for did not happen")
}

pub(crate) struct Node {
    pub(crate) network: NetworkHandle,
    pub(crate) events: mpsc::Receiver<NetworkEvent>,
    pub(crate) store: Arc<FolderStore>,
    pub(crate) home: TempDir,
    pub(crate) seed: u8,
}

pub(crate) fn config(seed: u8, home: &Path, bootstrap: Vec<String>) -> NetworkConfig {
    NetworkConfig {
        signing_seed: [seed; 32],
        listen: vec![ANY_PORT.to_owned()],
        bootstrap,
        home: home.to_owned(),
        chain: CHAIN.to_owned(),
    }
}

impl Node {
    pub(crate) async fn start(seed: u8, bootstrap: &[&Self]) -> Self {
        let bootstrap = bootstrap
            .iter()
            .flat_map(|node| node.network.listen_addresses())
            .collect();
        Self::start_at(seed, bootstrap, tempfile::tempdir().unwrap())
            .await
            .unwrap()
    }

    pub(crate) async fn start_at(
        seed: u8,
        bootstrap: Vec<String>,
        home: TempDir,
    ) -> Result<Self, StartError> {
        let store = Arc::new(FolderStore::open(home.path().join("blobs")).unwrap());
        let config = config(seed, home.path(), bootstrap);
        let (network, events) = Network::start(config, store.clone()).await?;
        Ok(Self {
            network,
            events,
            store,
            home,
            seed,
        })
    }

    /// Stops, and starts again with the same home and key.
    pub(crate) async fn restart(self, bootstrap: Vec<String>) -> Self {
        self.network.shutdown().await;
        Self::start_at(self.seed, bootstrap, self.home)
            .await
            .unwrap()
    }

    pub(crate) fn peer(&self) -> PeerId {
        self.network.local_peer()
    }

    pub(crate) async fn event<T>(
        &mut self,
        mut wanted: impl FnMut(NetworkEvent) -> Option<T>,
    ) -> T {
        patiently(async {
            loop {
                let event = self.events.recv().await.expect("the network runs");
                if let Some(found) = wanted(event) {
                    return found;
                }
            }
        })
        .await
    }

    pub(crate) async fn transaction(&mut self) -> (Vec<u8>, MessageToken) {
        self.event(|event| match event {
            NetworkEvent::Transaction { bytes, token } => Some((bytes, token)),
            _ => None,
        })
        .await
    }

    /// Waits for the next transaction and passes it on.
    pub(crate) async fn accept(&mut self) -> Vec<u8> {
        let (bytes, token) = self.transaction().await;
        self.network.judge(token, Judgement::Accept).await;
        bytes
    }

    /// Waits until every one of these peers is connected.
    pub(crate) async fn connected_to(&self, peers: &[PeerId]) {
        patiently(async {
            loop {
                let connected = self.network.peers().await;
                if peers
                    .iter()
                    .all(|peer| connected.iter().any(|status| status.peer == *peer))
                {
                    return;
                }
                sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    /// Waits until a peer's status is as wanted.
    pub(crate) async fn status(
        &self,
        peer: PeerId,
        wanted: impl Fn(&PeerStatus) -> bool,
    ) -> PeerStatus {
        patiently(async {
            loop {
                let mut peers = self.network.peers().await;
                peers.retain(|status| status.peer == peer && wanted(status));
                if let Some(status) = peers.pop() {
                    return status;
                }
                sleep(Duration::from_millis(10)).await;
            }
        })
        .await
    }
}

/// Bytes that do not repeat, so that misplaced chunks show.
pub(crate) fn noise(seed: u8, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new_keyed(&[seed; 32])
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}
