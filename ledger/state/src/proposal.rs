//! Proposals: the rules of the crate `governance`, acting on this state. Spec: governance.
//!
//! A [`View`] is a governance world: `world` keeps its records in table 11, moves tokens between
//! accounts and lets votes reach parameters and runs. Stake enters at genesis and leaves by fines;
//! work that a unit was paid for gives its miner a seat in the second house.

mod world;

pub use world::key;

use crate::{View, event::Event, genesis::GenesisError};
use governance::{
    Calendar, Proposal, action, lifecycle,
    proposal::Content,
    purse,
    settings::{self, Settings},
    stage,
    store::Records,
};
use protocol::{Amount, Height, ProposalId, RunId, genesis::Genesis, proposal::Module};

/// What governance did, as the ledger tells it.
pub(crate) fn events(events: Vec<governance::Event>) -> Vec<Event> {
    let wrap = |what| Event::Governed { what };
    events.into_iter().map(wrap).collect()
}

/// Writes what governance starts with; returns the treasury.
///
/// # Errors
/// When a day has no blocks or there is no such stage.
pub(crate) fn found(view: &mut View<'_>, genesis: &Genesis) -> Result<Amount, GenesisError> {
    let protocol::genesis::Governance {
        day_blocks,
        deposit_base,
        steward,
        stage,
        treasury,
    } = genesis.governance;
    if day_blocks == 0 {
        return Err(GenesisError::NoDay);
    }
    let stage = governance::Stage::numbered(stage).ok_or(GenesisError::NoStage { stage })?;
    let settings = Settings {
        calendar: Calendar { day_blocks },
        deposit_base,
        steward,
    };
    let stakes = genesis.validators.iter().map(|v| (v.holder, v.stake));
    settings::found(view, settings, stage, treasury, &stakes.collect::<Vec<_>>());
    Ok(treasury)
}

/// Does what is due; runs before a block's transactions.
pub fn advance(view: &mut View<'_>, height: Height) -> Vec<Event> {
    events(lifecycle::advance(view, height))
}

/// Whether a run opens no steps now, by vote or by a guardian's pause.
#[must_use]
pub fn is_paused(view: &View<'_>, run: RunId, height: Height) -> bool {
    action::is_run_paused(view, run, height) || stage::is_paused(view, Module::Runs, height)
}

/// Tokens that governance holds: deposits and the treasury.
pub(crate) fn held(view: &View<'_>) -> impl Iterator<Item = Amount> + use<> {
    let purse = purse::purse(view);
    [purse.deposits, purse.treasury].into_iter()
}

/// A proposal and its content.
#[must_use]
pub fn stored(view: &View<'_>, id: ProposalId) -> Option<(Proposal, Content)> {
    Some((Records::get(view, &id)?, Records::get(view, &id)?))
}

/// All proposals that were ever made, newest first.
#[must_use]
pub fn all(view: &View<'_>) -> Vec<(ProposalId, Proposal)> {
    let mut all = Records::scan::<Proposal>(view, &());
    all.sort_by_key(|(id, proposal)| (std::cmp::Reverse(proposal.submitted_at), *id));
    all
}
