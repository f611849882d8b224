//! Watching for a doppelgänger: another process that signs with this validator's key.
//!
//! Two copies of a key contradict each other sooner or later, and a contradiction is slashed. What
//! this home signed is in its signing history; what the key signed elsewhere, after the history was
//! copied, is on the chain alone. So a validator that starts again first follows the chain under
//! a throwaway key, without a vote, until it has caught up and seen some blocks made. Certificates
//! with its key's signature above its history are another's work ([`signing::check`] finds them),
//! and then it does not start.
//!
//! [`signing::check`]: crate::signing::check

use crate::{
    chain::{Chain, application::ChainApplication},
    home::{Config, Home},
};
use anyhow::{Context as _, Result};
use ledger_consensus::{EngineConfig, EngineHandle};
use protocol::{Height, SigningKey};
use std::{fs, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

/// Blocks that are watched unless the configuration says otherwise.
pub const WATCH_BLOCKS: u64 = 3;
/// How long the first block may take, while peers are being found.
const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// How long a later block may take, in intervals and at least.
const SILENCE_INTERVALS: u32 = 8;
const SILENCE_MIN: Duration = Duration::from_secs(2);

/// Follows the chain until `watch_blocks` blocks came as fast as they are made, or none comes any
/// more: then nobody signs, and somebody must begin. Whether to go on: not if the process was
/// asked to end meanwhile.
///
/// # Errors
/// When the engine cannot start or stops by itself.
pub async fn watch(home: &Home, config: &Config, chain: &Arc<Chain>) -> Result<bool> {
    let blocks = config.watch_blocks.unwrap_or(WATCH_BLOCKS);
    if blocks == 0 {
        return Ok(true);
    }
    let folder = home.join("watch");
    let clear = || match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot clear {}", folder.display()))
        }
        _ => Ok(()),
    };
    clear()?;
    tracing::info!(blocks, "watching for another process with this key");
    let engine = observer(config, chain, &folder).await?;
    let heights = chain.heights();
    let interval = Duration::from_millis(config.block_interval_ms);
    let ended = tokio::select! {
        () = settled(heights, blocks, interval) => Ok(true),
        ended = engine.stopped() => ended.context("consensus stopped").map(|()| true),
        () = crate::shutdown::requested() => Ok(false),
    };
    engine.shutdown().await?;
    clear()?;
    ended
}

/// Follows the chain without a vote until this is over. Whether to go on.
///
/// # Errors
/// When the engine cannot start or stops by itself.
pub async fn follow(
    home: &Home,
    config: &Config,
    chain: &Arc<Chain>,
    until: impl Future<Output = Result<bool>>,
) -> Result<bool> {
    let folder = home.join("watch");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let engine = observer(config, chain, &folder).await?;
    let ended = tokio::select! {
        goes_on = until => goes_on,
        ended = engine.stopped() => ended.context("consensus stopped").map(|()| true),
    };
    engine.shutdown().await?;
    ended
}

/// An engine that votes for nobody: its key is new, and no validator's.
async fn observer(
    config: &Config,
    chain: &Arc<Chain>,
    folder: &std::path::Path,
) -> Result<EngineHandle> {
    let key = SigningKey::generate();
    let mut application = ChainApplication::new(Arc::clone(chain), &key, config.block_interval_ms);
    application.speaks = config.speaks();
    let listen = config.consensus.clone();
    let mut settings = EngineConfig::new(chain.id(), key, folder.to_owned(), listen);
    settings.peers.clone_from(&config.consensus_peers);
    Ok(ledger_consensus::start(settings, application).await?)
}

/// Blocks that come in less than half an interval are old ones, fetched from peers.
async fn settled(mut heights: watch::Receiver<Height>, blocks: u64, interval: Duration) {
    let silence = (interval * SILENCE_INTERVALS).max(SILENCE_MIN);
    let (mut patience, mut before, mut fresh_count) = (CONNECT_WAIT, Instant::now(), 0);
    while fresh_count < blocks {
        match timeout(patience, heights.changed()).await {
            Ok(Ok(())) => {
                fresh_count += u64::from(before.elapsed() * 2 >= interval);
                (patience, before) = (silence, Instant::now());
            }
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(250);

    /// How long it watches while blocks come after these many milliseconds, one after another.
    async fn watched_ms(gaps_ms: &[u64]) -> u128 {
        let (sender, receiver) = watch::channel(Height::ZERO);
        let started = Instant::now();
        let making = async {
            for (gap_ms, height) in gaps_ms.iter().zip(1..) {
                tokio::time::sleep(Duration::from_millis(*gap_ms)).await;
                sender.send_replace(Height::new(height));
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = settled(receiver, 3, INTERVAL) => started.elapsed().as_millis(),
            () = making => 0,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn old_blocks_do_not_count_and_silence_ends_it() {
        assert_eq!(watched_ms(&[250, 250, 250, 250]).await, 750);
        let caught_up = [400, 1, 1, 1, 1, 1, 250, 250];
        assert_eq!(
            watched_ms(&caught_up).await,
            905,
            "the first and two more are fresh"
        );
        assert_eq!(watched_ms(&[]).await, 5_000, "nobody answers");
        assert_eq!(watched_ms(&[250]).await, 2_250, "the others stop too");
        assert_eq!(
            watched_ms(&[4_000, 1_900, 250]).await,
            6_150,
            "slow blocks count"
        );
    }
}
