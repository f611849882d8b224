//! What the driver needs of the world beside its application: the time, and somewhere to publish.

use super::{context::CairnContext, parts::Part, peers::PeerGate};
use crate::ValidatorSet;
use malachitebft_app_channel::{NetworkMsg, app::streaming::StreamMessage};
use protocol::PublicKey;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;

/// The driver's way out.
pub(super) trait Outlet {
    /// Milliseconds since 1970.
    fn now_ms(&self) -> u64;

    /// Publishes a body's parts in order, without waiting for the network.
    fn publish(&mut self, parts: Vec<StreamMessage<Part>>);

    /// Returns when enough validators are connected to begin, or not any time soon.
    fn await_peers(&self, validators: &ValidatorSet, own: PublicKey);
}

/// The clock of this machine and the engine's network.
pub(super) struct StockOutlet {
    pub(super) network: mpsc::Sender<NetworkMsg<CairnContext>>,
    pub(super) runtime: tokio::runtime::Handle,
    pub(super) gate: PeerGate,
}

impl Outlet for StockOutlet {
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn publish(&mut self, parts: Vec<StreamMessage<Part>>) {
        let network = self.network.clone();
        self.runtime.spawn(async move {
            for message in parts {
                if network
                    .send(NetworkMsg::PublishProposalPart(message))
                    .await
                    .is_err()
                {
                    return;
                }
            }
        });
    }

    fn await_peers(&self, validators: &ValidatorSet, own: PublicKey) {
        self.runtime.block_on(self.gate.wait(validators, own));
    }
}
