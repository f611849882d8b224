//! Dropping blocks that a node does not want to keep: `keep_blocks` in its configuration.
//!
//! The state needs no past, and neither does proving it: how the first header that is kept follows
//! from genesis is noted before those below it go. What a node no longer has it says by name, and
//! peers that catch up are told from where on it can help them.

pub mod blobs;

use crate::{chain::Chain, keeping::lowest};
use anyhow::Result;
use protocol::{Height, genesis::Genesis};
use std::sync::Arc;

/// The least that is kept: a peer that fetches a snapshot must find the blocks after it.
pub const KEEP_BLOCKS_MIN: u64 = 100;
/// Blocks above the limit before the next are dropped, so that not every block drops one.
const SLACK_BLOCKS: u64 = 20;
/// Records that are dropped in one batch.
const RECORDS_COUNT: usize = 2_000;

/// Drops blocks as the chain goes on; ends at once if all are kept.
pub async fn run(chain: Arc<Chain>, genesis: Arc<Genesis>, keep_blocks: u64) {
    if keep_blocks == 0 {
        return;
    }
    let keep = keep_blocks.max(KEEP_BLOCKS_MIN);
    let mut heights = chain.heights();
    heights.mark_changed();
    while heights.changed().await.is_ok() {
        let below = lowest(keep, *heights.borrow_and_update());
        let (chain, genesis) = (Arc::clone(&chain), Arc::clone(&genesis));
        let dropped = tokio::task::spawn_blocking(move || {
            if chain.store().first()?.saturating_add(SLACK_BLOCKS) > below {
                return Ok(());
            }
            drop_below(&chain, &genesis, below)
        });
        match dropped.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("old blocks stay: {error:#}"),
            Err(error) => tracing::warn!("old blocks stay: {error}"),
        }
    }
}

/// Drops the blocks below a height, and notes before how the first that stays follows from genesis.
///
/// # Errors
/// When the store cannot be read or written, or the headers do not lead there.
pub fn drop_below(chain: &Chain, genesis: &Genesis, below: Height) -> Result<()> {
    let store = chain.store();
    let mut first = store.first()?;
    if first >= below {
        return Ok(());
    }
    chain.keep_anchor(genesis, below)?;
    while first < below {
        first = store.prune(below, RECORDS_COUNT)?;
    }
    tracing::debug!(%first, "blocks dropped below it");
    Ok(())
}
