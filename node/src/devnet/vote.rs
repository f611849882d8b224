//! The devnet's holders at work: one proposes, all vote, with the keys a real holder would use.

use super::layout::{Layout, Role};
use crate::{
    home::key_file,
    rpc::{client::Client, overview::Overview, query::AccountAnswer, server::StatusAnswer},
};
use anyhow::{Context as _, Result};
use governance::parameters::Name;
use protocol::{
    Height, SigningKey, Step,
    codec::Text,
    transaction::{Action, Body, Choice, Transaction},
};
use std::path::Path;

/// The step at which the proposal is made.
const STEP: Step = Step::new(3);
/// What it proposes: fewer audits, now that vesting makes fraud expensive.
const AUDIT_RATE: u64 = 200_000;
/// Blocks left beyond the earliest height at which it may take effect.
const SLACK_BLOCKS: u64 = 6;

/// Signs and submits one transaction.
///
/// # Errors
/// When no node takes it.
pub async fn send(client: &Client, key: &SigningKey, body: Body) -> Result<()> {
    let status: StatusAnswer = client.get("/v1/status").await?;
    let account: AccountAnswer = client
        .get(&format!("/v1/accounts/{}", key.address()))
        .await?;
    let signed = Transaction::new(status.chain, key.address(), account.next_nonce, body).sign(key);
    client.submit(&signed).await?;
    Ok(())
}

/// The holders of a devnet.
#[derive(Debug)]
pub struct Holders {
    keys: Vec<SigningKey>,
    has_voted: bool,
}

impl Holders {
    /// Reads their keys.
    ///
    /// # Errors
    /// When a key file cannot be read.
    pub fn open(home: &Path, layout: &Layout) -> Result<Self> {
        let key = |participant| key_file(&Layout::home(home, participant).join("holder.key"));
        let keys = layout.of(Role::Validator).map(key).collect::<Result<_>>()?;
        Ok(Self {
            keys,
            has_voted: false,
        })
    }
    /// Proposes once training is under way, then votes. Call it again until it has voted.
    ///
    /// # Errors
    /// When no node takes the transactions.
    pub async fn act(&mut self, client: &Client, overview: &Overview) -> Result<()> {
        let step = overview.run.as_ref().map_or(Step::ZERO, |run| run.step);
        if self.has_voted || step < STEP {
            return Ok(());
        }
        let Some(proposal) = overview.proposals.last() else {
            let Some(first) = self.keys.first() else {
                return Ok(());
            };
            return send(client, first, propose(overview.height)?).await;
        };
        if proposal.status == "voting" && proposal.yes.get() == 0 {
            for (index, key) in self.keys.iter().enumerate() {
                // Somebody always disagrees.
                let alone = index == 3;
                let choice = if alone { Choice::No } else { Choice::Yes };
                send(
                    client,
                    key,
                    Body::Vote {
                        proposal: proposal.id,
                        choice,
                    },
                )
                .await?;
            }
        }
        self.has_voted = true;
        Ok(())
    }
}

fn propose(height: Height) -> Result<Body> {
    let blocks = Name::VotingBlocks.bounds().default + Name::TimelockBlocks.bounds().default;
    let action = Action::ChangeParameter {
        parameter: Text::new(Name::AuditRate.as_str()).context("a parameter's name")?,
        value: AUDIT_RATE,
        enact_at: height.saturating_add(blocks + SLACK_BLOCKS),
    };
    let title = Text::new("Audit one unit in five instead of one in four").context("a title")?;
    Ok(Body::Propose { title, action })
}
