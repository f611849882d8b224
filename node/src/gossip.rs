//! Joins the mempool to the network: what is taken here travels, what arrives is judged.

use crate::{
    chain::{Chain, SubmitError},
    local::Local,
};
use network::{Judgement, NetworkEvent, NetworkHandle};
use std::{sync::Arc, time::Duration};
use tokio::sync::{broadcast::error::RecvError, mpsc};

/// How often the number of peers is read.
const PEERS_INTERVAL: Duration = Duration::from_secs(2);

/// Moves transactions in both directions until the node stops.
pub async fn run(
    chain: Arc<Chain>,
    network: NetworkHandle,
    mut events: mpsc::Receiver<NetworkEvent>,
    local: Arc<Local>,
) {
    let mut accepted = chain.accepted();
    let mut peers = tokio::time::interval(PEERS_INTERVAL);
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Some(event) => receive(&chain, &network, event).await,
                None => return,
            },
            taken = accepted.recv() => match taken {
                Ok(bytes) => {
                    if let Err(error) = network.publish_transaction(bytes).await {
                        tracing::debug!("transaction not gossiped: {error}");
                    }
                }
                Err(RecvError::Lagged(count)) => tracing::warn!(count, "transactions not gossiped"),
                Err(RecvError::Closed) => return,
            },
            _ = peers.tick() => local.set_peers_count(network.peers().await.len()),
        }
    }
}

async fn receive(chain: &Chain, network: &NetworkHandle, event: NetworkEvent) {
    match event {
        NetworkEvent::Transaction { bytes, token } => {
            let judgement = match chain.submit_gossiped(&bytes) {
                Ok(_) => Judgement::Accept,
                Err(error) => judge(&error),
            };
            network.judge(token, judgement).await;
        }
        NetworkEvent::Announcement { token, .. } => network.judge(token, Judgement::Ignore).await,
        NetworkEvent::PeerBanned { peer, offence } => {
            tracing::warn!(%peer, ?offence, "peer banned");
        }
        NetworkEvent::PeerConnected { peer, address } => tracing::debug!(%peer, address, "peer"),
        NetworkEvent::PeerDisconnected { peer } => tracing::debug!(%peer, "peer left"),
        _ => {}
    }
}

/// A rule that refuses a transaction here and now may accept it elsewhere or later.
fn judge(error: &SubmitError) -> Judgement {
    if error.is_malformed() {
        tracing::warn!("malformed transaction: {error}");
        Judgement::Reject
    } else {
        Judgement::Ignore
    }
}
