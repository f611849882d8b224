//! Waits for enough validators to be connected before the first round.
//!
//! Gossip reaches only peers that are connected when it is sent, so a network whose nodes all
//! start at once would lose its first round and its timeouts. Waiting is bounded: a validator
//! whose peers are away starts anyway.

use super::assembler::peer_id;
use crate::ValidatorSet;
use malachitebft_app_channel::{NetworkRequest, app::net::PeerId};
use protocol::PublicKey;
use std::time::Duration;
use tokio::{sync::mpsc, time::Instant};
use tracing::info;

/// Time between looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// How long a quorum waits for the validators still missing, and for subscriptions to arrive.
const LATECOMER_WAIT: Duration = Duration::from_millis(300);

/// Knows who is connected.
pub(super) struct PeerGate {
    pub(super) network: mpsc::Sender<NetworkRequest>,
    pub(super) wait_max: Duration,
}

impl PeerGate {
    /// Returns soon after validators with a quorum of the power are connected, own included, or
    /// when `wait_max` has passed.
    pub(super) async fn wait(&self, validators: &ValidatorSet, own: PublicKey) {
        if validators
            .get(&own)
            .is_none_or(|validator| validators.is_quorum(validator.power))
        {
            return;
        }
        let start = Instant::now();
        while start.elapsed() < self.wait_max {
            let Some(power) = self.power_connected(validators, own).await else {
                return;
            };
            if validators.is_quorum(power) {
                tokio::time::sleep(LATECOMER_WAIT).await;
                return;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        info!("consensus starts before enough validators are connected");
    }

    async fn power_connected(&self, validators: &ValidatorSet, own: PublicKey) -> Option<u64> {
        let network = NetworkRequest::dump_state(&self.network).await.ok()??;
        let vouched = |key: &PublicKey| {
            let mut keys = network.peers.values().map(|it| &it.consensus_public_key);
            keys.any(|it| it.as_deref() == Some(key.as_bytes().as_slice()))
        };
        let connected = |key: &PublicKey| {
            PeerId::from_bytes(&peer_id(key).to_bytes())
                .is_ok_and(|peer| network.peers.contains_key(&peer))
                || vouched(key)
        };
        let present = validators
            .as_slice()
            .iter()
            .filter(|it| it.key == own || connected(&it.key));
        Some(
            present
                .map(|validator| validator.power)
                .fold(0, u64::saturating_add),
        )
    }
}
