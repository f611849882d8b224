//! Looks whether blocks come, and says so in the log when none does: once a pause is long, and
//! again whenever it has doubled. What to do then is in the runbook (`node/operations/runbook.md`).

use crate::{chain::Chain, local::Local};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};

/// A pause that is worth a line.
const PAUSE: Duration = Duration::from_secs(30);

/// Watches until the task is ended.
pub async fn run(chain: Arc<Chain>, local: Arc<Local>) {
    let mut heights = chain.heights();
    let mut since = Instant::now();
    let mut patience = PAUSE;
    loop {
        match timeout(patience, heights.changed()).await {
            Ok(Ok(())) => {
                if patience > PAUSE {
                    let seconds = since.elapsed().as_secs();
                    let height = *heights.borrow_and_update();
                    tracing::warn!(%height, "blocks come again, after {seconds} s");
                }
                since = Instant::now();
                patience = PAUSE;
            }
            Ok(Err(_)) => return,
            Err(_) => {
                let seconds = since.elapsed().as_secs();
                let height = *heights.borrow();
                let peers = local.peers_count();
                tracing::error!(%height, peers, "no block for {seconds} s");
                patience = patience.saturating_mul(2);
            }
        }
    }
}
