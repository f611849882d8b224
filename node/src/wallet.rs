//! Transactions of a holder: signed, submitted, waited for until they are final.

use crate::rpc::{
    client::Client,
    fees::{FeesAnswer, Limits},
    query::AccountAnswer,
    server::{StatusAnswer, TransactionPlace},
};
use anyhow::{Result, bail};
use protocol::{
    Address, Amount, Height, SigningKey, TransactionId,
    transaction::{Body, Transaction, Unverified},
};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// How often a waiting command asks.
const ASK_INTERVAL: Duration = Duration::from_millis(50);
/// How long a command waits for finality before it gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A key that is there already.
///
/// # Errors
/// When it is not.
pub(crate) fn existing_key(home: &Path, name: &str) -> Result<SigningKey> {
    let path = home.join(name);
    if !path.exists() {
        bail!("there is no key {}", path.display());
    }
    crate::home::key_file(&path)
}

/// Signs with the account's next nonce for what the node suggests to offer, and submits.
///
/// # Errors
/// When the node refuses it.
pub async fn submit(client: &Client, key: &SigningKey, body: Body) -> Result<TransactionId> {
    submit_within(client, key, body, Limits::default()).await
}

async fn submit_within(
    client: &Client,
    key: &SigningKey,
    body: Body,
    limits: Limits,
) -> Result<TransactionId> {
    let status: StatusAnswer = client.get("/v1/status").await?;
    let path = format!("/v1/accounts/{}", key.address());
    let account: AccountAnswer = client.get(&path).await?;
    let content = Transaction::new(status.chain, key.address(), account.next_nonce, body);
    let fees: FeesAnswer = client.get("/v1/fees").await?;
    let fee = fees.offer(&content, limits);
    Ok(client.submit(&content.with_fee(fee).sign(key)).await?)
}

/// Signs, submits, and waits until the transaction is in a block.
///
/// # Errors
/// When the node refuses it, or it is not final in time.
pub async fn send(client: &Client, key: &SigningKey, body: Body) -> Result<(Height, Duration)> {
    let id = submit(client, key, body).await?;
    finality(client, id).await
}

/// What became of a transaction that was signed already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is in the block of this height.
    Final(Height),
    /// Another transaction of the same account was applied under its number.
    Displaced,
}

/// Submits what is signed already, and waits until it is in a block or never can be.
///
/// # Errors
/// When the node refuses it, or it is not final in time.
pub(crate) async fn send_signed(client: &Client, signed: &Unverified) -> Result<Fate> {
    let id = client.submit(signed).await?;
    let Transaction { sender, nonce, .. } = signed.claimed();
    let path = format!("/v1/accounts/{sender}");
    let submitted = Instant::now();
    loop {
        // The account first: if its number has passed, the block that did it is known by then.
        let account: AccountAnswer = client.get(&path).await?;
        let place: TransactionPlace = client.get(&format!("/v1/transactions/{id}")).await?;
        if let Some(height) = place.height {
            return Ok(Fate::Final(height));
        }
        if account.nonce > *nonce {
            return Ok(Fate::Displaced);
        }
        if submitted.elapsed() > PATIENCE {
            bail!("transaction {id} is not final after {PATIENCE:?}; it may still become so");
        }
        tokio::time::sleep(ASK_INTERVAL).await;
    }
}

async fn finality(client: &Client, id: TransactionId) -> Result<(Height, Duration)> {
    let submitted = Instant::now();
    loop {
        let place: TransactionPlace = client.get(&format!("/v1/transactions/{id}")).await?;
        if let Some(height) = place.height {
            return Ok((height, submitted.elapsed()));
        }
        if submitted.elapsed() > PATIENCE {
            bail!("transaction {id} is not final after {PATIENCE:?}; it may still become so");
        }
        tokio::time::sleep(ASK_INTERVAL).await;
    }
}

async fn send_and_tell(
    client: &Client,
    key: &SigningKey,
    (body, what): (Body, &str),
    limits: Limits,
) -> Result<()> {
    let id = submit_within(client, key, body, limits).await?;
    let (height, time) = finality(client, id).await?;
    let ms = time.as_millis();
    crate::devnet::screen::print(&format!("{what}; final at height {height} after {ms} ms"))
}

/// Sends tokens.
///
/// # Errors
/// When there is no key, or the node refuses it.
pub async fn transfer(
    client: &Client,
    home: &Path,
    (to, amount): (Address, Amount),
    limits: Limits,
) -> Result<()> {
    let key = existing_key(home, "operator.key")?;
    let what = format!("{amount} sent to {to}");
    send_and_tell(client, &key, (Body::Transfer { to, amount }, &what), limits).await
}
