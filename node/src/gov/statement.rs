//! What is signed, in words: decoded from the very bytes, never from what somebody says about them.

use crate::rpc::{
    client::Client,
    governance::{ProposalAnswer, Trial},
};
use anyhow::{Result, ensure};
use governance::describe::{self, Change};
use protocol::{
    ProposalId,
    proposal::{Guard, Payload},
    transaction::{Body, Transaction},
};
use serde::Serialize;

/// A transaction in words.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Statement {
    /// What the signer does, in a line.
    pub(super) act: String,
    /// What would change in the end, old value and new; for a vote, what is voted on.
    pub(super) changes: Vec<Change>,
    /// Conditions, deadlines and the like.
    pub(super) notes: Vec<String>,
}

/// Puts a transaction into words. With a node, old values come from it, and whatever it says about
/// new ones must be what the bytes say.
///
/// # Errors
/// When the node's words differ from the bytes, or it knows no such proposal.
pub(super) async fn of(
    transaction: &Transaction,
    client: Option<&Client>,
    trial: Option<&Trial>,
) -> Result<Statement> {
    // What is refused anyway may be about a proposal that nobody knows.
    let is_refused = trial.is_some_and(|trial| trial.refusal.is_some());
    let about = async |act: String, id: ProposalId| match client {
        Some(client) if !is_refused => about_proposal(client, act, id).await,
        _ => Ok(plain(act)),
    };
    match &transaction.body {
        Body::Propose { payload, deposit } => {
            let act = format!(
                "propose {:?} with a deposit of {deposit}",
                payload.title.as_str()
            );
            proposed(act, payload, trial)
        }
        Body::Deposit { proposal, amount } => {
            let act = format!("add {amount} to the deposit of proposal {proposal}");
            about(act, *proposal).await
        }
        Body::Vote { proposal, weights } => {
            about(format!("vote {weights} on proposal {proposal}"), *proposal).await
        }
        Body::Object { proposal } => {
            let act = format!("ask for 14 more days before proposal {proposal} takes effect");
            about(act, *proposal).await
        }
        Body::Delegate {
            track,
            to: Some(to),
        } => Ok(Statement {
            changes: vec![Change {
                what: format!("who votes for you on {track}"),
                old: None,
                new: to.to_string(),
                is_permission: true,
            }],
            ..plain(format!("let {to} vote on {track} wherever you do not"))
        }),
        Body::Delegate { track, to: None } => {
            Ok(plain(format!("let nobody else vote for you on {track}")))
        }
        Body::AdvanceStage => Ok(Statement {
            notes: vec!["no message leads back".to_owned()],
            ..plain("enter the next stage of the hand-over".to_owned())
        }),
        Body::SignalReadiness { version } => {
            Ok(plain(format!("say that version {version} runs here")))
        }
        Body::Guard { guard } => match guard {
            Guard::Decree { payload } => {
                let act = format!("decree {:?} without a vote", payload.title.as_str());
                proposed(act, payload, None)
            }
            Guard::Cancel { proposal } => about(format!("cancel {proposal}"), *proposal).await,
            Guard::Delay { proposal } => {
                about(format!("put {proposal} off by 14 days"), *proposal).await
            }
            Guard::Pause { module } => {
                Ok(plain(format!("pause {} for three days", module.as_str())))
            }
        },
        other => Ok(plain(format!(
            "{}, which is no act of governance",
            other.kind()
        ))),
    }
}

/// An act that says all there is to say.
const fn plain(act: String) -> Statement {
    Statement {
        act,
        changes: Vec::new(),
        notes: Vec::new(),
    }
}

/// A payload that is signed: new values from its bytes, old ones from the node.
fn proposed(act: String, payload: &Payload, trial: Option<&Trial>) -> Result<Statement> {
    let mut changes = describe::decode(payload);
    let mut notes = Vec::new();
    if let Some(row) = trial.and_then(|trial| trial.proposal.as_ref()) {
        ensure_same(&changes, &row.changes)?;
        changes.clone_from(&row.changes);
        let percent = |micro: protocol::Micro| micro.get() / 10_000;
        notes.push(format!(
            "track {}: needs {} % support and {} % approval",
            row.track,
            percent(row.support_needed),
            percent(row.approval_needed)
        ));
        notes.push(format!(
            "if it passes as planned, it takes effect at height {}",
            row.enact_at
        ));
    }
    if !payload.summary.as_str().is_empty() {
        notes.push(payload.summary.as_str().to_owned());
    }
    Ok(Statement {
        act,
        changes,
        notes,
    })
}

fn ensure_same(decoded: &[Change], told: &[Change]) -> Result<()> {
    let same = decoded.len() == told.len()
        && decoded.iter().zip(told).all(|(decoded, told)| {
            decoded.what == told.what
                && decoded.new == told.new
                && decoded.is_permission == told.is_permission
        });
    ensure!(
        same,
        "the node describes this proposal differently from its bytes; it is not signed"
    );
    Ok(())
}

/// A proposal that the transaction is about; its payload must have the identifier that is signed.
async fn about_proposal(client: &Client, act: String, id: ProposalId) -> Result<Statement> {
    let answer: ProposalAnswer = client.get(&super::path_of(id)).await?;
    let found = answer.payload.id(answer.proposer, answer.submitted_at);
    ensure!(
        found == id,
        "the node's proposal has identifier {found}; {id} would be signed"
    );
    ensure_same(&describe::decode(&answer.payload), &answer.row.changes)?;
    Ok(Statement {
        act,
        changes: answer.row.changes,
        notes: vec![
            format!("{:?}", answer.payload.title.as_str()),
            format!("track {}, now {}", answer.row.track, answer.row.status),
        ],
    })
}

/// The mark of a change of permissions.
const MARK: &str = "!! PERMISSION";

impl Statement {
    /// In lines; marks stand out in colour where somebody looks.
    pub(super) fn lines(&self, colour: bool) -> Vec<String> {
        let mut lines = vec![self.act.clone()];
        lines.extend(self.changes.iter().map(|one| change(one, colour)));
        lines.extend(self.notes.iter().map(|note| format!("  {note}")));
        lines
    }
}

/// One change: old value, new value, and a mark if it changes who may do what.
pub(super) fn change(change: &Change, colour: bool) -> String {
    let Change {
        what,
        old,
        new,
        is_permission,
    } = change;
    let line = match old {
        Some(old) => format!("{what}: {old} → {new}"),
        None => format!("{what}: {new}"),
    };
    match (is_permission, colour) {
        (false, _) => format!("  {line}"),
        (true, false) => format!("  {MARK} {line}"),
        (true, true) => format!("  \x1b[31m{MARK} {line}\x1b[0m"),
    }
}
