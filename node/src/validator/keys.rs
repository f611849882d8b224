//! Where a node's key is, and who signs with it.

use super::Role;
use crate::{
    chain::Chain,
    doppelganger,
    home::{Config, Home},
    local::Local,
    outbox::Outbox,
    signer::{self, HomeKeys, Signing, Unasked},
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
    Here(Box<HomeKeys>),
    /// With a signer.
    Away(Box<Signing>),
    /// With a signer that was reached before.
    Elsewhere(&'a Signing),
}

/// The key, or who has it and was not asked yet.
pub(super) enum Found {
    /// It is here.
    Here(Keys<'static>),
    /// With a signer.
    Unasked(Box<Unasked>),
}

/// Finds the key, and how a verifier signs its transactions: nothing of them asks a signer.
pub(super) fn find(
    home: &Home,
    config: &Config,
    genesis: &Genesis,
    role: Role,
) -> Result<(Found, Option<Outbox>)> {
    let here = || anyhow::Ok(Keys::Here(Box::new(HomeKeys::read(home)?)));
    match (signer::configured(config)?, role) {
        (Some(socket), Role::Validator) => {
            Ok((Found::Unasked(Box::new(Unasked::at(home, socket)?)), None))
        }
        (Some(_), Role::Verifier { .. }) => {
            bail!("a verifier signs with its own key; only a validator has a signer")
        }
        (None, Role::Validator) => Ok((Found::Here(here()?), None)),
        (None, Role::Verifier { .. }) => {
            let keys = HomeKeys::read(home)?;
            let outbox = Outbox::new(keys.operator.clone(), genesis.chain_id());
            Ok((Found::Here(Keys::Here(Box::new(keys))), Some(outbox)))
        }
    }
}

impl Found {
    /// The node's network identity.
    pub(super) const fn network(&self) -> &SigningKey {
        match self {
            Self::Here(keys) => keys.network(),
            Self::Unasked(unasked) => &unasked.network,
        }
    }
    /// Has the node say how it stands with its signer, from now on.
    pub(super) fn tell(&self, local: &Local) {
        if let Self::Unasked(unasked) = self {
            local.watch_signer(Arc::clone(&unasked.signer));
        }
    }
    /// The key with who has it, for as long as that takes; meanwhile the node follows the chain
    /// without a vote. Nothing if the process is to end before.
    pub(super) async fn reach(
        self,
        (home, genesis): (&Home, &Genesis),
        config: &Config,
        chain: &Arc<Chain>,
    ) -> Result<Option<Keys<'static>>> {
        let unasked = match self {
            Self::Here(keys) => return Ok(Some(keys)),
            Self::Unasked(unasked) => unasked,
        };
        let mut status = signer::asked(&unasked.signer).await?;
        if status.is_none() {
            tracing::warn!("this node follows without a vote until its signer answers");
        }
        while status.is_none() {
            let present = async {
                status = signer::until_present(&unasked.signer).await?;
                Ok(status.is_some())
            };
            if !doppelganger::follow(home, config, chain, present).await? {
                return Ok(None);
            }
        }
        let signing = status.map(|status| unasked.known(status, genesis));
        let signing = signing.transpose()?;
        Ok(signing.map(|signing| Keys::Away(Box::new(signing))))
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
    /// Who a signer elsewhere signs for now; nothing if the key is here.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) async fn status(&self) -> Result<Option<Status>> {
        let signing: &Signing = match self {
            Self::Here(_) => return Ok(None),
            Self::Away(signing) => signing,
            Self::Elsewhere(signing) => signing,
        };
        let signer = Arc::clone(&signing.signer);
        Ok(Some(signer::aside(move || signer.status()).await??))
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
pub(super) fn ask_now_and_then(signing: &Signing) -> JoinHandle<()> {
    let remote = signing.remote.clone();
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
