//! What a proposal about verification would have changed: past draws and verdicts under its values.
//!
//! Every block is applied again. Whenever one drew whether a unit is audited, the draw is made a
//! second time with the same beacon and the same miner, under the parameters as the proposal would
//! set them. A draw that comes out differently is a verdict that changes: one that auditors gave
//! would not have been given, or one that nobody gave would have been. Findings of the exact class
//! compare exact results and do not depend on any parameter; those of a class that the proposal
//! changes are judged again by its new limits.

mod classes;

pub use classes::Rejudged;

use crate::chain::Chain;
use anyhow::{Context as _, Result, bail};
use governance::{parameters::Name, proposal::Content};
use ledger_state::{
    Event, State, apply, genesis, proposal,
    run::{self, Run},
    sample, task,
    unit::{Draw, Outcome},
};
use protocol::{
    Height, Micro, ProposalId, block::Block, genesis::Genesis, proposal::Action, sample::is_drawn,
    task::UnitId,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Parameters on which draws depend.
const VERIFICATION: &[Name] = &[
    Name::AuditRate,
    Name::AuditMargin,
    Name::AuditGain,
    Name::AuditPower,
    Name::AuditHonestShare,
    Name::NewcomerUnits,
];

/// How the past would differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// Blocks applied again.
    pub blocks_count: u64,
    /// Parameters that the proposal sets and on which draws depend.
    pub parameters: Vec<String>,
    /// Draws made again.
    pub draws_count: u64,
    /// Of them, those that the parameters of their time repeat exactly.
    pub repeated_count: u64,
    /// Units that were audited.
    pub audited_count: u64,
    /// Units that would have been.
    pub would_be_audited_count: u64,
    /// Verdicts that would not have been given.
    pub verdicts_lost_count: u64,
    /// Of them, convictions: frauds that nobody would have seen.
    pub convictions_lost_count: u64,
    /// Verdicts that would have been given besides.
    pub verdicts_gained_count: u64,
    /// Verdicts about units of classes that the proposal changes.
    pub classes: Vec<Rejudged>,
    /// Verdicts that change, in all.
    pub changed_count: u64,
}

/// What is known of a draw.
struct Drawn {
    was: bool,
    would_be: bool,
}

/// Replays the chain under a proposal's parameters, and judges again under its classes.
///
/// # Errors
/// When it changes nothing that verification depends on, or the chain cannot be read.
pub fn preview(chain: &Chain, genesis: &Genesis, id: ProposalId) -> Result<Option<Preview>> {
    let stored = chain.view(|view| proposal::stored(view, id));
    let Some((_, Content(payload))) = stored else {
        return Ok(None);
    };
    let (mut proposed, mut classes) = (Vec::new(), Vec::new());
    for action in payload.actions.as_slice() {
        match action {
            Action::SetParameter { parameter, value } => {
                let name: Name = parameter.as_str().parse()?;
                if VERIFICATION.contains(&name) {
                    proposed.push((name, *value));
                }
            }
            Action::SetClass { class } => {
                classes.push(chain.view(|view| classes::rejudged(view, class)));
            }
            _ => (),
        }
    }
    if proposed.is_empty() && classes.is_empty() {
        bail!("proposal {id} changes nothing on which past draws and verdicts depend");
    }
    let mut preview = if proposed.is_empty() {
        Preview::default()
    } else {
        replay(chain, genesis, &proposed)?
    };
    let changed = classes
        .iter()
        .map(|class| class.milder_count + class.harsher_count);
    preview.changed_count += changed.sum::<u64>();
    preview.classes = classes;
    Ok(Some(preview))
}

fn replay(chain: &Chain, genesis: &Genesis, proposed: &[(Name, u64)]) -> Result<Preview> {
    let mut state = genesis::state(genesis)?;
    let mut preview = Preview {
        parameters: proposed.iter().map(|(name, _)| name.to_string()).collect(),
        ..Preview::default()
    };
    let mut draws: BTreeMap<UnitId, Drawn> = BTreeMap::new();
    let tip = chain.view(|view| run::tip(view).height);
    for height in 1..=tip.get() {
        let height = Height::new(height);
        let stored = chain.store().block(height)?;
        let stored = stored.with_context(|| format!("block {height} is missing"))?;
        let block = Block::decode(&stored.block)?.verify(genesis.chain_id())?;
        let waiting = waiting(&state, proposed)?;
        let transition = apply(&state, &block)?;
        state.advance(transition.writes);
        for one in &waiting {
            if let Some(drawn) = again(&state, one, &mut preview) {
                draws.insert(one.id, drawn);
            }
        }
        count_verdicts(&transition.events, &draws, &mut preview);
        preview.blocks_count = height.get();
    }
    preview.changed_count = preview.verdicts_lost_count + preview.verdicts_gained_count;
    Ok(preview)
}

/// A unit that may be drawn in the next block.
struct Waiting {
    id: UnitId,
    /// Under the parameters in force.
    rate: Micro,
    /// Under the proposed ones.
    proposed: Micro,
}

/// Units of current steps that are not drawn yet.
fn waiting(state: &State, proposed: &[(Name, u64)]) -> Result<Vec<Waiting>> {
    let view = state.view();
    let in_force = run::parameters(&view);
    let mut parameters = in_force.clone();
    for (name, value) in proposed {
        parameters.set(*name, *value)?;
    }
    let mut waiting = Vec::new();
    for (run_id, run) in view.scan::<Run>(&()) {
        for (id, unit) in task::units(&view, run_id, run.step) {
            let commitment = unit.commitment.as_ref();
            if commitment.is_some_and(|commitment| commitment.draw == Draw::Pending) {
                waiting.push(Waiting {
                    id,
                    rate: sample::rate(&view, &in_force, id, unit.miner),
                    proposed: sample::rate(&view, &parameters, id, unit.miner),
                });
            }
        }
    }
    Ok(waiting)
}

/// Makes a draw again that the last block made; nothing if it did not.
fn again(after: &State, waiting: &Waiting, preview: &mut Preview) -> Option<Drawn> {
    let view = after.view();
    let unit: ledger_state::unit::Unit = view.get(&waiting.id)?;
    let (was, rate) = match unit.commitment.as_ref()?.draw {
        Draw::Pending => return None,
        Draw::Drawn { rate } => (true, rate),
        Draw::Update { rate, .. } | Draw::Spared { rate } => (false, rate),
    };
    let beacon = run::tip(&view).beacon;
    let repeated = is_drawn(&beacon, waiting.id, waiting.rate);
    let would_be = is_drawn(&beacon, waiting.id, waiting.proposed);
    preview.draws_count += 1;
    preview.repeated_count += u64::from(repeated == was && waiting.rate == rate);
    preview.audited_count += u64::from(was);
    preview.would_be_audited_count += u64::from(would_be);
    preview.verdicts_gained_count += u64::from(would_be && !was);
    preview.verdicts_lost_count += u64::from(was && !would_be);
    Some(Drawn { was, would_be })
}

fn count_verdicts(events: &[Event], draws: &BTreeMap<UnitId, Drawn>, preview: &mut Preview) {
    for event in events {
        if let Event::UnitSettled {
            unit,
            outcome: Outcome::Slashed { .. },
            ..
        } = event
        {
            let is_lost = draws
                .get(unit)
                .is_some_and(|drawn| drawn.was && !drawn.would_be);
            preview.convictions_lost_count += u64::from(is_lost);
        }
    }
}
