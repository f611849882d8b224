//! Where a node's key is, and who signs with it.

use super::Role;
use crate::{
    home::{Config, Home},
    local::Local,
    outbox::Outbox,
    signer::{self, Signing},
};
use anyhow::{Result, bail};
use ledger_consensus::signer::{Signer, Status};
use protocol::{Address, SigningKey, genesis::Genesis};
use std::{sync::Arc, time::Duration};
use tokio::task::JoinHandle;

/// Time between questions to a signer that has nothing to sign.
const ASK_INTERVAL: Duration = Duration::from_secs(1);

/// Where the key is.
pub(super) enum Keys<'a> {
    /// In the home.
    Here(SigningKey),
    /// With a signer.
    Away(Signing),
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
            Ok(reached.map(|signing| (Keys::Away(signing), None)))
        }
        (Some(_), Role::Verifier { .. }) => {
            bail!("a verifier signs with its own key; only a validator has a signer")
        }
        (None, Role::Validator) => Ok(Some((Keys::Here(home.key("operator.key")?), None))),
        (None, Role::Verifier { .. }) => {
            let key = home.key("operator.key")?;
            let outbox = Outbox::new(key.clone(), genesis.chain_id());
            Ok(Some((Keys::Here(key), Some(outbox))))
        }
    }
}

impl Keys<'_> {
    pub(super) fn operator(&self) -> Address {
        match self {
            Self::Here(key) => key.address(),
            Self::Away(signing) => signing.status.operator,
            Self::Elsewhere(signing) => signing.status.operator,
        }
    }
    /// The node's network identity.
    pub(super) const fn network(&self) -> &SigningKey {
        match self {
            Self::Here(key) => key,
            Self::Away(signing) => &signing.network,
            Self::Elsewhere(signing) => &signing.network,
        }
    }
    /// How far the signer has signed; nothing if the history is here.
    pub(super) fn status(&self) -> Result<Option<Status>> {
        let signing = match self {
            Self::Here(_) => return Ok(None),
            Self::Away(signing) => signing,
            Self::Elsewhere(signing) => signing,
        };
        Ok(Some(signing.signer.status()?))
    }
    /// Opens the history, if it is here.
    pub(super) fn signing(self, home: &Home, genesis: &Genesis) -> Result<Signing> {
        match self {
            Self::Away(signing) => Ok(signing),
            Self::Elsewhere(_) => bail!("this signer was reached before"),
            Self::Here(key) => Signing::here(Arc::new(signer::local(home, genesis)?), key),
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
