//! Where a node's key is, and who signs with it.

use super::Role;
use crate::{
    home::{Config, Home},
    local::Local,
    outbox::Outbox,
    signer::{self, HomeKeys, Signing},
};
use anyhow::{Result, bail};
use ledger_consensus::signer::Signer;
use protocol::{Address, Height, SigningKey, genesis::Genesis};
use std::{sync::Arc, time::Duration};
use tokio::task::JoinHandle;

/// Time between questions to a signer that has nothing to sign.
const ASK_INTERVAL: Duration = Duration::from_secs(1);

/// Where the key is.
pub(super) enum Keys<'a> {
    /// In the home.
    Here(Box<HomeKeys>),
    /// With a signer.
    Away(Box<Signing>),
    /// With a signer that was reached before.
    Elsewhere(&'a Signing),
}

/// The key, or who has it, and how a verifier signs its transactions: nothing of them asks a
/// signer. Nothing at all if the process was to end before a signer was there.
pub(super) async fn keys(
    home: &Home,
    config: &Config,
    genesis: &Genesis,
    role: Role,
) -> Result<Option<(Keys<'static>, Option<Outbox>)>> {
    match (signer::configured(config)?, role) {
        (Some(socket), Role::Validator) => {
            let reached = signer::reach(home, genesis, socket).await?;
            Ok(reached.map(|signing| (Keys::Away(Box::new(signing)), None)))
        }
        (Some(_), Role::Verifier { .. }) => {
            bail!("a verifier signs with its own key; only a validator has a signer")
        }
        (None, Role::Validator) => Ok(Some((Keys::Here(Box::new(HomeKeys::read(home)?)), None))),
        (None, Role::Verifier { .. }) => {
            let keys = HomeKeys::read(home)?;
            let outbox = Outbox::new(keys.operator.clone(), genesis.chain_id());
            Ok(Some((Keys::Here(Box::new(keys)), Some(outbox))))
        }
    }
}

impl Keys<'_> {
    pub(super) fn operator(&self) -> Address {
        match self {
            Self::Here(keys) => keys.operator.address(),
            Self::Away(signing) => signing.status.operator,
            Self::Elsewhere(signing) => signing.status.operator,
        }
    }
    /// The node's network identity.
    pub(super) const fn network(&self) -> &SigningKey {
        match self {
            Self::Here(keys) => &keys.consensus,
            Self::Away(signing) => &signing.network,
            Self::Elsewhere(signing) => &signing.network,
        }
    }
    /// How far a signer elsewhere has signed.
    pub(super) fn signed(&self) -> Result<Height> {
        match self {
            Self::Here(_) => bail!("the history is in the home"),
            Self::Away(signing) => Ok(signing.signer.status()?.height),
            Self::Elsewhere(signing) => Ok(signing.signer.status()?.height),
        }
    }
    /// Opens the history, if it is here.
    pub(super) fn signing(self, genesis: &Genesis) -> Result<Signing> {
        match self {
            Self::Away(signing) => Ok(*signing),
            Self::Elsewhere(_) => bail!("this signer was reached before"),
            Self::Here(keys) => {
                let network = keys.consensus.clone();
                Signing::here(Arc::new(keys.signer(genesis)?), network)
            }
        }
    }
}

/// Notices a signer that goes away while there is nothing to sign.
pub(super) fn ask_now_and_then(signing: &Signing, local: &Local) -> JoinHandle<()> {
    let remote = signing.remote.clone();
    if let Some(remote) = &remote {
        local.watch_signer(Arc::clone(remote));
    }
    tokio::spawn(async move {
        while let Some(remote) = remote.clone() {
            tokio::time::sleep(ASK_INTERVAL).await;
            let asked = tokio::task::spawn_blocking(move || {
                let signer: &dyn Signer = remote.as_ref();
                // Whether there was an answer is noted where it is asked.
                drop(signer.status());
            });
            if asked.await.is_err() {
                return;
            }
        }
    })
}
