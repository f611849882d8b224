//! The engine of a running node: started again after its signer was away.

use super::{keys::Keys, signs_alone, start_engine};
use crate::{
    chain::Chain,
    doppelganger,
    home::{Config, Home},
    signer::{self, Signing, remote::RemoteSigner},
};
use adversaries::Cheat;
use anyhow::{Context as _, Result, bail};
use ledger_consensus::EngineHandle;
use protocol::genesis::Genesis;
use std::sync::Arc;

/// What the engine is started with, again after the signer was away.
pub(super) struct Ordering<'a> {
    pub(super) home: &'a Home,
    pub(super) config: &'a Config,
    pub(super) genesis: &'a Genesis,
    pub(super) chain: &'a Arc<Chain>,
    pub(super) signing: &'a Signing,
    pub(super) cheat: Option<Cheat>,
    /// The highest version of the rules that this program speaks.
    pub(super) speaks: u32,
}

impl Ordering<'_> {
    /// Orders blocks until the process is to end, or the chain has a version that it does not
    /// speak. While the signer is away the node follows without a vote; then it watches for another
    /// process with its key, as at every start.
    pub(super) async fn run(&self, mut engine: EngineHandle) -> Result<()> {
        loop {
            tokio::select! {
                reason = self.outdated() => {
                    engine.shutdown().await.ok();
                    bail!(reason);
                }
                () = crate::shutdown::requested() => {
                    let ended = engine.shutdown().await;
                    return ended.context("consensus did not end cleanly");
                }
                ended = engine.stopped() => {
                    let remote = self.signing.remote.as_ref();
                    let away = remote.filter(|remote| ended.is_err() && remote.is_away());
                    let Some(remote) = away else {
                        return ended.context("consensus stopped");
                    };
                    engine.shutdown().await.ok();
                    tracing::error!("this validator does not sign until its signer is back");
                    let back = tokio::select! {
                        reason = self.outdated() => bail!(reason),
                        back = self.until_back(remote) => back?,
                    };
                    match back {
                        Some(again) => engine = again,
                        None => return Ok(()),
                    }
                }
            }
        }
    }
    /// Waits until the chain has a version that this program does not speak; why it then stops.
    async fn outdated(&self) -> String {
        let mut heights = self.chain.heights();
        loop {
            if let Some(reason) = self.chain.outdated(self.speaks) {
                return reason;
            }
            if heights.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
    /// The engine again, once there is a signer; nothing if the process is to end.
    async fn until_back(&self, remote: &Arc<RemoteSigner>) -> Result<Option<EngineHandle>> {
        let Self {
            home,
            config,
            genesis,
            chain,
            signing,
            cheat,
            speaks: _,
        } = self;
        loop {
            let back = async {
                let status = signer::until_present(remote).await?;
                Ok(status.is_some())
            };
            if !doppelganger::follow(home, config, chain, back).await? {
                return Ok(None);
            }
            let keys = Keys::Elsewhere(signing);
            match signs_alone((home, genesis), config, chain, &keys).await {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(_) if remote.is_away() => continue,
                Err(error) => return Err(error),
            }
            match start_engine(home, config, (signing, *cheat), chain).await {
                Err(_) if remote.is_away() => {}
                Err(error) => return Err(error),
                Ok(engine) => {
                    tracing::warn!("this validator signs again");
                    return Ok(Some(engine));
                }
            }
        }
    }
}
