//! What a proposal changes, in words: decoded from its bytes, never from its title.

use crate::{parameters::Name, proposal::Proposal};
use protocol::{
    Address, Amount, Micro,
    proposal::{Action, Amendment, Payload},
};
use serde::{Deserialize, Serialize};

/// One action, decoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What it touches.
    pub what: String,
    /// What was so when it was proposed, where that is one value.
    pub old: Option<String>,
    /// What would be so.
    pub new: String,
    /// Whether it changes who may do what; interfaces mark these.
    pub is_permission: bool,
}

/// All actions of a proposal, decoded, in order.
#[must_use]
pub fn describe(proposal: &Proposal, payload: &Payload) -> Vec<Change> {
    let mut before = proposal.before.iter();
    let actions = payload.actions.as_slice().iter();
    let changes = actions.map(|action| {
        let old = is_parameter(action).then(|| before.next()).flatten();
        change(action, old.map(ToString::to_string))
    });
    changes.collect()
}

/// All actions of a payload, decoded from its bytes alone, in order.
#[must_use]
pub fn decode(payload: &Payload) -> Vec<Change> {
    let actions = payload.actions.as_slice().iter();
    actions.map(|action| change(action, None)).collect()
}

/// Whether this is a parameter that exists.
fn is_parameter(action: &Action) -> bool {
    match action {
        Action::SetParameter { parameter, .. } => parameter.as_str().parse::<Name>().is_ok(),
        Action::Signal
        | Action::Spend { .. }
        | Action::CreateRun { .. }
        | Action::FundRun { .. }
        | Action::PauseRun { .. }
        | Action::ResumeRun { .. }
        | Action::StopRun { .. }
        | Action::ElectCouncil { .. }
        | Action::ExtendSteward
        | Action::Upgrade { .. }
        | Action::AmendTrack { .. }
        | Action::Cancel { .. }
        | Action::CancelSlash { .. }
        | Action::SetClass { .. } => false,
    }
}

fn change(action: &Action, old: Option<String>) -> Change {
    let (what, new, is_permission) = match action {
        Action::Signal => ("nothing".into(), "a statement".into(), false),
        Action::SetParameter { parameter, value } => {
            (parameter.as_str().into(), value.to_string(), false)
        }
        Action::Spend { to, amount } => ("treasury".into(), pays(*amount, *to), false),
        Action::CreateRun {
            recipe,
            budget,
            start_at,
        } => {
            let steps = recipe.steps_count();
            let environment = recipe.environment.short();
            let new = format!(
                "{steps} steps in environment {environment}, budget {budget}, from height {start_at}"
            );
            ("new run".into(), new, false)
        }
        Action::FundRun { run, amount } => (
            format!("run {run}"),
            format!("{amount} more from the treasury"),
            false,
        ),
        Action::PauseRun { run } => (format!("run {run}"), "paused for 3 days".into(), false),
        Action::ResumeRun { run } => (format!("run {run}"), "resumed".into(), false),
        Action::StopRun { run } => (format!("run {run}"), "stopped for good".into(), false),
        Action::ElectCouncil { cohort, members } => {
            let names: Vec<_> = members.as_slice().iter().map(Address::short).collect();
            let what = format!("council, {cohort:?} half");
            (what, names.join(" "), true)
        }
        Action::ExtendSteward => ("steward's dates".into(), "six months later".into(), true),
        Action::Upgrade {
            version,
            artifacts,
            height,
        } => {
            let count = artifacts.as_slice().len();
            let new = format!("version {version} of {count} programs at height {height}");
            ("protocol".into(), new, true)
        }
        Action::AmendTrack { track, rule } => (format!("track {track}"), ruled(rule), true),
        Action::SetClass { class } => {
            let (tokens, margin) = (class.tokens_count, class.margin_micro);
            let new = format!(
                "{}: measured on {tokens} tokens, margins void above {} and slash above {}",
                class.name.as_str(),
                margin.void,
                margin.slash
            );
            (format!("class {}", class.id), new, false)
        }
        Action::Cancel { proposal } => (
            format!("proposal {}", proposal.short()),
            "cancelled".into(),
            false,
        ),
        Action::CancelSlash { operator } => (
            format!("slash of validator {}", operator.short()),
            "cancelled".into(),
            true,
        ),
    };
    Change {
        what,
        old,
        new,
        is_permission,
    }
}

fn pays(amount: Amount, to: Address) -> String {
    format!("pays {amount} to {}", to.short())
}

fn ruled(rule: &Amendment) -> String {
    let Amendment {
        deposit_multiple,
        voting_days,
        timelock_days,
        support,
        approval,
    } = rule;
    let percent = |micro: Micro| micro.get().checked_div(10_000).unwrap_or_default();
    format!(
        "deposit {deposit_multiple}, vote {voting_days} d, timelock {timelock_days} d, \
         support {} %, approval {} %",
        percent(*support),
        percent(*approval)
    )
}
