//! Signing: seen, tried, agreed to, and only then signed; submitted, or kept in a file.

use super::{
    Act,
    arguments::Signing,
    file,
    statement::{self, Statement},
};
use crate::{
    devnet::screen::print,
    rpc::{
        client::{Client, ClientError},
        fees::{FeesAnswer, Limits},
        governance::Trial,
        query::AccountAnswer,
        server::{Problem, StatusAnswer},
    },
    wallet::{self, Fate},
};
use anyhow::{Context as _, Result, bail};
use protocol::{
    Address, Amount, ChainId, Nonce, ProposalId, SigningKey,
    transaction::{Body, Fee, Transaction, Unverified},
};
use serde::Serialize;
use std::{
    io::{BufRead as _, IsTerminal as _, Write as _},
    path::Path,
};

/// How agreement is given and told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Consent {
    pub(super) yes: bool,
    pub(super) dry_run: bool,
    pub(super) json: bool,
}

/// What a command that signs says in JSON.
#[derive(Debug, Serialize)]
struct Report<'a> {
    signer: Address,
    chain: ChainId,
    nonce: Nonce,
    statement: &'a Statement,
    fee: Fee,
    body: &'a Body,
    /// BLAKE3 hash that the signature covers.
    signing_hash: String,
    /// What a node says it would do.
    events: &'a [String],
    refusal: Option<&'a Problem>,
    transaction: Option<String>,
    height: Option<u64>,
    /// The proposal that it makes.
    proposal: Option<ProposalId>,
}

/// A transaction that is not signed yet, and what a node says about it.
struct Draft {
    transaction: Transaction,
    statement: Statement,
    trial: Option<Trial>,
}

/// Shows, asks, signs, and submits or keeps.
pub(super) async fn sign(client: &Client, act: Act, signing: Signing, json: bool) -> Result<()> {
    let Signing {
        home,
        dry_run,
        yes,
        out,
        chain,
        nonce,
        limits,
    } = signing;
    let consent = Consent { yes, dry_run, json };
    let key = wallet::existing_key(&home, key_name(&act))?;
    let draft = match (chain, nonce) {
        (Some(chain), Some(nonce)) => offline(act, key.address(), (chain, nonce), limits).await?,
        _ => draft(client, act, key.address(), limits).await?,
    };
    draft.agree(consent, "sign")?;
    if dry_run {
        return Ok(());
    }
    let signed = draft.transaction.clone().sign(&key);
    match out {
        Some(path) => {
            file::write(&path, &signed)?;
            draft.tell(
                consent,
                &signed,
                None,
                &format!("signed into {}", path.display()),
            )
        }
        None => draft.submit_anew(client, consent, signed, &key).await,
    }
}

/// Times that a transaction is signed again because another of the account took its number.
const TURNS_COUNT_MAX: usize = 5;

const fn key_name(act: &Act) -> &'static str {
    match act {
        Act::Body(Body::SignalReadiness { .. }) => "operator.key",
        Act::Body(_) | Act::Propose(_) => "holder.key",
    }
}

/// Submits what was signed elsewhere.
///
/// # Errors
/// When the file holds no transaction of this chain that is signed well, or it is refused.
pub(super) async fn submit_file(client: &Client, path: &Path, consent: Consent) -> Result<()> {
    let signed = file::read(path)?;
    let transaction = signed.claimed().clone();
    let status: StatusAnswer = client.get("/v1/status").await?;
    signed.clone().verify(status.chain)?;
    let trial = client.trial(transaction.sender, &transaction.body).await?;
    let statement = statement::of(&transaction, Some(client), Some(&trial)).await?;
    let draft = Draft {
        transaction,
        statement,
        trial: Some(trial),
    };
    draft.agree(consent, "submit")?;
    if consent.dry_run {
        return Ok(());
    }
    draft.submit(client, consent, &signed).await
}

/// Without any node: no old values, nothing tried.
async fn offline(
    act: Act,
    sender: Address,
    (chain, nonce): (ChainId, u64),
    limits: Limits,
) -> Result<Draft> {
    let Act::Body(body) = act else {
        bail!("--deposit is needed where no node is asked for the price");
    };
    let content = Transaction::new(chain, sender, Nonce::new(nonce), body);
    let fee = limits.alone(&content)?;
    let transaction = content.with_fee(fee);
    let statement = statement::of(&transaction, None, None).await?;
    Ok(Draft {
        transaction,
        statement,
        trial: None,
    })
}

async fn draft(client: &Client, act: Act, sender: Address, limits: Limits) -> Result<Draft> {
    let status: StatusAnswer = client.get("/v1/status").await?;
    let account: AccountAnswer = client.get(&format!("/v1/accounts/{sender}")).await?;
    let (body, trial) = tried(client, act, sender).await?;
    let content = Transaction::new(status.chain, sender, account.next_nonce, body);
    let fees: FeesAnswer = client.get("/v1/fees").await?;
    let fee = fees.offer(&content, limits);
    let transaction = content.with_fee(fee);
    let statement = statement::of(&transaction, Some(client), Some(&trial)).await?;
    Ok(Draft {
        transaction,
        statement,
        trial: Some(trial),
    })
}

/// The body with its deposit, and what it would do.
async fn tried(client: &Client, act: Act, sender: Address) -> Result<(Body, Trial)> {
    let body = match act {
        Act::Body(body) => body,
        Act::Propose(payload) => {
            let balance = client
                .get::<AccountAnswer>(&format!("/v1/accounts/{sender}"))
                .await?
                .balance;
            let body = |deposit| Body::Propose {
                payload: payload.as_ref().clone(),
                deposit,
            };
            // Whatever is too much is not taken; so a trial with everything finds the price.
            let trial = client.trial(sender, &body(balance)).await?;
            body(trial.price.unwrap_or(balance).min(balance))
        }
    };
    let trial = client.trial(sender, &body).await?;
    Ok((body, trial))
}

impl Draft {
    /// Shows what would be done and obtains a yes.
    fn agree(&self, consent: Consent, verb: &str) -> Result<()> {
        let refusal = self.trial.as_ref().and_then(|trial| trial.refusal.as_ref());
        if consent.json {
            if consent.dry_run || refusal.is_some() {
                self.print_json(None, None)?;
            }
        } else {
            print(&self.words(std::io::stdout().is_terminal()))?;
        }
        if let Some(refusal) = refusal {
            return Err(ClientError::Refused(refusal.clone()).into());
        }
        if consent.dry_run || consent.yes {
            return Ok(());
        }
        ask(verb)
    }
    fn words(&self, colour: bool) -> String {
        let Transaction {
            chain,
            sender,
            nonce,
            ..
        } = &self.transaction;
        let mut lines = vec![format!(
            "{sender} would sign, as number {nonce} on chain {chain}:"
        )];
        lines.extend(
            self.statement
                .lines(colour)
                .iter()
                .map(|line| format!("  {line}")),
        );
        lines.push(in_words(self.transaction.fee));
        match &self.trial {
            Some(Trial { events, .. }) if !events.is_empty() => {
                lines.push("in the next block this would mean:".to_owned());
                lines.extend(events.iter().map(|event| format!("  {event}")));
            }
            Some(_) => {}
            None => lines.push("no node was asked: values in force are not shown".to_owned()),
        }
        let hash = hex::encode(self.transaction.signing_bytes());
        lines.push(format!("the signature covers {hash}"));
        lines.join("\n")
    }
    async fn submit(&self, client: &Client, consent: Consent, signed: &Unverified) -> Result<()> {
        match wallet::send_signed(client, signed).await? {
            Fate::Final(height) => {
                let words = format!("final at height {height}");
                self.tell(consent, signed, Some(height), &words)
            }
            Fate::Displaced => bail!(
                "another transaction of the account was number {}; sign again",
                self.transaction.nonce
            ),
        }
    }
    /// Submits, and signs the same body again where the account's other transactions, such as those
    /// of a running validator, took its number.
    async fn submit_anew(
        mut self,
        client: &Client,
        consent: Consent,
        mut signed: Unverified,
        key: &SigningKey,
    ) -> Result<()> {
        for _ in 0..TURNS_COUNT_MAX {
            if let Fate::Final(height) = wallet::send_signed(client, &signed).await? {
                let words = format!("final at height {height}");
                return self.tell(consent, &signed, Some(height), &words);
            }
            let path = format!("/v1/accounts/{}", self.transaction.sender);
            self.transaction.nonce = client.get::<AccountAnswer>(&path).await?.next_nonce;
            if !consent.json {
                print(&format!(
                    "its number was taken; signed again as {}",
                    self.transaction.nonce
                ))?;
            }
            signed = self.transaction.clone().sign(key);
        }
        bail!("{TURNS_COUNT_MAX} times another transaction of the account took its number")
    }
    fn tell(
        &self,
        consent: Consent,
        signed: &Unverified,
        height: Option<protocol::Height>,
        words: &str,
    ) -> Result<()> {
        if consent.json {
            return self.print_json(Some(signed), height);
        }
        print(words)?;
        match (self.proposal(height), height) {
            (Some(id), Some(_)) => print(&format!("it is proposal {id}")),
            _ => Ok(()),
        }
    }
    /// The proposal that the transaction made in the block of this height.
    fn proposal(&self, height: Option<protocol::Height>) -> Option<ProposalId> {
        let sender = self.transaction.sender;
        match &self.transaction.body {
            Body::Propose { payload, .. } => Some(payload.id(sender, height?)),
            Body::Guard {
                guard: protocol::proposal::Guard::Decree { payload },
            } => Some(payload.id(sender, height?)),
            _ => None,
        }
    }
    fn print_json(
        &self,
        signed: Option<&Unverified>,
        height: Option<protocol::Height>,
    ) -> Result<()> {
        let trial = self.trial.as_ref();
        let report = Report {
            signer: self.transaction.sender,
            chain: self.transaction.chain,
            nonce: self.transaction.nonce,
            statement: &self.statement,
            fee: self.transaction.fee,
            body: &self.transaction.body,
            signing_hash: hex::encode(self.transaction.signing_bytes()),
            events: trial
                .map(|trial| trial.events.as_slice())
                .unwrap_or_default(),
            refusal: trial.and_then(|trial| trial.refusal.as_ref()),
            transaction: signed.map(|signed| signed.id().to_string()),
            height: height.map(protocol::Height::get),
            proposal: self.proposal(height),
        };
        print(&serde_json::to_string_pretty(&report).context("cannot encode the report")?)
    }
}

fn in_words(Fee { max, tip }: Fee) -> String {
    if max == Amount::ZERO {
        return "it is free".to_owned();
    }
    format!("it costs at most {max}, of which {tip} are for the block's proposer")
}

/// Asks whoever sits at the terminal; nobody there is a no.
fn ask(verb: &str) -> Result<()> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        bail!("nobody can be asked here; look with --dry-run, then {verb} with --yes");
    }
    let mut stderr = std::io::stderr().lock();
    write!(stderr, "type yes to {verb} this: ").context("cannot ask")?;
    stderr.flush().context("cannot ask")?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).context("no answer")?;
    if answer.trim() != "yes" {
        bail!("nothing was done");
    }
    Ok(())
}
