//! The engine of a running node: started again after its signer was away.

use super::{keys::Keys, signs_alone, start_engine};
use crate::{
    chain::Chain,
    doppelganger,
    home::{Config, Home},
    signer::{self, Signing, remote::RemoteSigner},
};
use adversaries::Cheat;
use anyhow::{Context as _, Result};
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
}

impl Ordering<'_> {
    /// Orders blocks until the process is to end. While the signer is away the node follows
    /// without a vote; then it watches for another process with its key, as at every start.
    pub(super) async fn run(&self, mut engine: EngineHandle) -> Result<()> {
        loop {
            tokio::select! {
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
                    match self.until_back(remote).await? {
                        Some(again) => engine = again,
                        None => return Ok(()),
                    }
                }
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
