//! The devnet's holders at work: one proposes, all vote, with the keys a real holder would use.

use super::layout::{DEPOSIT_BASE, Layout, Role};
use crate::{
    home::key_file,
    rpc::{client::Client, overview::Overview},
    wallet::submit,
};
use anyhow::{Context as _, Result};
use governance::parameters::Name;
use protocol::{
    Amount, Height, ProposalId, SigningKey, Step,
    codec::{BoundedVec, Text},
    proposal::{Action, Choice, Payload, Weights},
    transaction::Body,
};
use std::path::Path;

/// The step at which the proposal is made.
const STEP: Step = Step::new(3);
/// What it proposes: that newcomers are trusted sooner.
const NEWCOMER_UNITS: u64 = 40;
/// What it says it is for.
const TITLE: &str = "Audit a newcomer's first forty units instead of fifty";
/// What it costs, while nothing else is proposed.
const DEPOSIT: Amount = DEPOSIT_BASE;
/// Blocks after which a proposal that is not on the chain is made again.
const PATIENCE_BLOCKS: u64 = 20;

/// The holders of a devnet.
#[derive(Debug)]
pub struct Holders {
    keys: Vec<SigningKey>,
    proposed_at: Option<Height>,
    votes_count: usize,
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
            proposed_at: None,
            votes_count: 0,
        })
    }
    /// Proposes once training is under way, then votes; call it at every look at the chain.
    ///
    /// # Errors
    /// When no node takes a transaction; the next call goes on from there.
    pub async fn act(&mut self, client: &Client, overview: &Overview) -> Result<()> {
        let step = overview.run.as_ref().map_or(Step::ZERO, |run| run.step);
        if step < STEP {
            return Ok(());
        }
        let own = overview.proposals.iter().find(|row| row.title == TITLE);
        match own {
            // Where people have begun to decide for themselves, these holders leave it to them.
            None if !overview.proposals.is_empty() => Ok(()),
            None => self.propose(client, overview.height).await,
            Some(proposal) if proposal.status == "voting" => self.vote(client, proposal.id).await,
            Some(_) => Ok(()),
        }
    }
    async fn propose(&mut self, client: &Client, height: Height) -> Result<()> {
        let is_on_its_way = self
            .proposed_at
            .is_some_and(|at| height < at.saturating_add(PATIENCE_BLOCKS));
        let Some(first) = self.keys.first().filter(|_| !is_on_its_way) else {
            return Ok(());
        };
        submit(client, first, propose()?).await?;
        self.proposed_at = Some(height);
        Ok(())
    }
    async fn vote(&mut self, client: &Client, proposal: ProposalId) -> Result<()> {
        while let Some(key) = self.keys.get(self.votes_count) {
            // Somebody always disagrees.
            let alone = self.votes_count == 3;
            let weights = Weights::all(if alone { Choice::No } else { Choice::Yes });
            submit(client, key, Body::Vote { proposal, weights }).await?;
            self.votes_count += 1;
        }
        Ok(())
    }
}

fn propose() -> Result<Body> {
    let action = Action::SetParameter {
        parameter: Text::new(Name::NewcomerUnits.as_str()).context("a parameter's name")?,
        value: NEWCOMER_UNITS,
    };
    let title = Text::new(TITLE);
    Ok(Body::Propose {
        payload: Payload {
            title: title.context("a title")?,
            summary: Text::default(),
            actions: BoundedVec::new(vec![action]).context("one action")?,
            not_before: Height::ZERO,
        },
        deposit: DEPOSIT,
    })
}
