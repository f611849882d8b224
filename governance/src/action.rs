//! Actions: the track that each needs, and what each does.
//!
//! Submission executes a payload once on trial and takes everything back; execution does the same
//! and keeps it, or fails as a whole.

use crate::{
    Parameters, Refusal, Rulebook,
    calendar::{DECREE_DAYS, DELAY_DAYS, DEPOSIT_DAYS, EXTENSION_DAYS, PAUSE_DAYS, READINESS_DAYS},
    council,
    event::Event,
    lifecycle,
    parameters::Name,
    proposal::{Origin, Proposal, find},
    purse, settings, stage,
    store::{Records, Store, records},
    track::Rule,
    upgrade,
    world::{RunStage, World},
};
use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{
    Amount, Height, ProposalId, RunId,
    codec::Text,
    proposal::{Action, Payload, Track},
};

/// Parameters whose every change is critical: they burn stake or bonds.
const CRITICAL: &[Name] = &[
    Name::AuditFaultPenalty,
    Name::SilencePenalty,
    Name::WhistleBlower,
    Name::DoubleSignSlash,
    Name::DowntimeSlash,
];
/// A value within this factor of the default, both ways, is safe.
const SAFE_FACTOR: u64 = 4;

/// A run that opens no steps until a height.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Pause {
    /// First height at which it opens steps again.
    pub until: Height,
}

records! { 21 Pause: RunId; }

/// Whether a run opens no steps at this height.
#[must_use]
pub fn is_run_paused(store: &impl Store, run: RunId, now: Height) -> bool {
    let pause: Option<Pause> = store.get(&run);
    pause.is_some_and(|pause| now < pause.until)
}

fn parse(parameter: &Text<64>) -> Result<Name, Refusal> {
    let parsed = parameter.as_str().parse::<Name>();
    parsed.map_err(|unknown| Refusal::ParameterUnknown { name: unknown.name })
}

/// Whether a parameter may take this value on the safe track.
#[must_use]
pub fn is_safe(name: Name, value: u64) -> bool {
    let default = name.bounds().default;
    let low = default.checked_div(SAFE_FACTOR).unwrap_or(default);
    let safe = low..=default.saturating_mul(SAFE_FACTOR);
    !CRITICAL.contains(&name) && safe.contains(&value)
}

fn track(action: &Action) -> Result<Option<Track>, Refusal> {
    Ok(Some(match action {
        Action::Signal => Track::Text,
        Action::SetParameter { parameter, value } => match is_safe(parse(parameter)?, *value) {
            true => Track::ParameterSafe,
            false => Track::ParameterCritical,
        },
        // Its limits decide who is slashed.
        Action::SetClass { .. } => Track::ParameterCritical,
        // The sum over all actions decides, so that splitting a payment gains nothing.
        Action::Spend { .. } => return Ok(None),
        Action::CreateRun { .. } | Action::FundRun { .. } => Track::Run,
        Action::PauseRun { .. } | Action::ResumeRun { .. } => Track::RunPause,
        Action::StopRun { .. } => Track::RunStop,
        Action::ElectCouncil { .. } | Action::ExtendSteward => Track::Offices,
        Action::Upgrade { .. } => Track::Upgrade,
        Action::AmendTrack { .. } => Track::Constitution,
        Action::Cancel { .. } | Action::CancelSlash { .. } => Track::Cancel,
    }))
}

/// The values in force of the parameters that a payload sets, in its order.
pub(crate) fn values(world: &impl World, payload: &Payload) -> Vec<u64> {
    let parameters = world.parameters();
    let named = payload.actions.as_slice().iter().filter_map(|action| {
        if let Action::SetParameter { parameter, .. } = action {
            return parse(parameter).ok();
        }
        None
    });
    named.map(|name| parameters.get(name)).collect()
}

/// What an action takes from the treasury.
fn outflow(action: &Action) -> Option<Amount> {
    match action {
        Action::Spend { amount, .. } | Action::FundRun { amount, .. } => Some(*amount),
        Action::CreateRun { budget, .. } => Some(*budget),
        Action::Signal
        | Action::SetParameter { .. }
        | Action::PauseRun { .. }
        | Action::ResumeRun { .. }
        | Action::StopRun { .. }
        | Action::ElectCouncil { .. }
        | Action::ExtendSteward
        | Action::Upgrade { .. }
        | Action::AmendTrack { .. }
        | Action::Cancel { .. }
        | Action::CancelSlash { .. }
        | Action::SetClass { .. } => None,
    }
}

/// All tracks that a payload concerns, and what it takes from the treasury in all.
///
/// # Errors
/// When an action has no track: it moves nothing, too much, or names no parameter.
pub fn tracks(store: &impl Store, payload: &Payload) -> Result<(Vec<Track>, Amount), Refusal> {
    let mut tracks = Vec::new();
    let mut total = Amount::ZERO;
    for action in payload.actions.as_slice() {
        tracks.extend(track(action)?);
        match outflow(action) {
            Some(Amount::ZERO) => return Err(Refusal::NothingSpent),
            Some(amount) => total = total.saturating_add(amount.get()),
            None => {}
        }
    }
    if total > Amount::ZERO {
        tracks.push(purse::tier(purse::purse(store).treasury, total)?);
    }
    Ok((tracks, total))
}

/// What an action may need to know besides the world.
struct Context {
    id: Option<ProposalId>,
    origin: Origin,
    /// Earliest height of an upgrade.
    upgrade_from: Height,
    now: Height,
}

enum Rehearsal {
    Fine,
    Refused(Refusal),
}

/// Executes a payload on trial, as if now, and takes everything back.
///
/// # Errors
/// What would make its execution fail.
pub(crate) fn rehearse(
    world: &mut impl World,
    payload: &Payload,
    rule: &Rule,
    origin: Origin,
    now: Height,
) -> Result<(), Refusal> {
    let days = match origin {
        // Even if the deposit fills late, voting is extended and contributors ask for a delay.
        Origin::Vote => DEPOSIT_DAYS
            .saturating_add(rule.voting_days)
            .saturating_add(EXTENSION_DAYS)
            .saturating_add(rule.timelock_days)
            .saturating_add(DELAY_DAYS),
        Origin::Decree => DECREE_DAYS,
    };
    let days = days.saturating_add(READINESS_DAYS).saturating_add(1);
    let context = Context {
        id: None,
        origin,
        upgrade_from: settings(world).calendar.after(now, days),
        now,
    };
    let trial = |world: &mut _| {
        perform_all(world, payload, &context).map_err(Rehearsal::Refused)?;
        Err::<(), _>(Rehearsal::Fine)
    };
    match world.attempt(trial) {
        Ok(()) | Err(Rehearsal::Fine) => Ok(()),
        Err(Rehearsal::Refused(refusal)) => Err(refusal),
    }
}

/// Executes a payload. The caller takes everything back if it fails.
///
/// # Errors
/// The first action's that fails.
pub(crate) fn execute(
    world: &mut impl World,
    proposal: &Proposal,
    id: ProposalId,
    payload: &Payload,
    now: Height,
) -> Result<Vec<Event>, Refusal> {
    if proposal.outflow > Amount::ZERO {
        let needed = purse::tier(purse::purse(world).treasury, proposal.outflow)?;
        let rulebook: Rulebook = world.get(&()).unwrap_or_default();
        let rule = rulebook.rule(needed);
        if proposal.origin == Origin::Vote && proposal.rule.stricter(rule) != proposal.rule {
            let track = proposal.track;
            return Err(Refusal::TrackTooLax { track, needed });
        }
    }
    let context = Context {
        id: Some(id),
        origin: proposal.origin,
        upgrade_from: settings(world).calendar.after(now, READINESS_DAYS),
        now,
    };
    perform_all(world, payload, &context)
}

fn perform_all(
    world: &mut impl World,
    payload: &Payload,
    context: &Context,
) -> Result<Vec<Event>, Refusal> {
    let mut events = Vec::new();
    for action in payload.actions.as_slice() {
        events.extend(perform(world, action, context)?);
    }
    Ok(events)
}

#[expect(
    clippy::too_many_lines,
    reason = "one arm a kind of action; a table reads best whole"
)]
fn perform(
    world: &mut impl World,
    action: &Action,
    context: &Context,
) -> Result<Vec<Event>, Refusal> {
    let now = context.now;
    let event = match action {
        Action::Signal => return Ok(Vec::new()),
        Action::SetParameter { parameter, value } => {
            set_parameter(world, parse(parameter)?, *value)?
        }
        Action::Spend { to, amount } => {
            purse::withdraw(world, *amount, now)?;
            purse::give(world, *to, *amount);
            Event::TreasuryPaid {
                to: *to,
                amount: *amount,
            }
        }
        Action::CreateRun {
            recipe,
            budget,
            start_at,
        } => {
            purse::withdraw(world, *budget, now)?;
            let created = world.create_run(recipe, *budget, *start_at);
            let run = created.map_err(|reason| Refusal::RecipeRefused { reason })?;
            Event::RunCreated {
                run,
                budget: *budget,
            }
        }
        Action::FundRun { run, amount } => {
            require_running(world, *run)?;
            purse::withdraw(world, *amount, now)?;
            world.fund_run(*run, *amount);
            Event::RunFunded {
                run: *run,
                amount: *amount,
            }
        }
        Action::PauseRun { run } => pause(world, *run, now)?,
        Action::ResumeRun { run } => resume(world, *run, now)?,
        Action::StopRun { run } => {
            require_running(world, *run)?;
            let returned = world.stop_run(*run);
            purse::donate(world, returned);
            Event::RunStopped {
                run: *run,
                returned,
            }
        }
        Action::ElectCouncil { cohort, members } => {
            council::require_vote(context.origin)?;
            council::elect(world, *cohort, members.as_slice())?;
            Event::CouncilElected
        }
        Action::ExtendSteward => {
            council::require_vote(context.origin)?;
            stage::extend_steward(world)?;
            Event::StewardExtended
        }
        Action::Upgrade {
            version,
            artifacts,
            height,
        } => {
            let earliest = context.upgrade_from;
            upgrade::schedule(world, context.id, *version, artifacts, *height, earliest)?
        }
        Action::AmendTrack { track, rule } => {
            let mut rulebook: Rulebook = world.get(&()).unwrap_or_default();
            rulebook.amend(*track, rule)?;
            world.put(&(), &rulebook);
            Event::TrackAmended { track: *track }
        }
        Action::SetClass { class } => {
            let set = world.set_class(class);
            let version = set.map_err(|reason| Refusal::ClassRefused { reason })?;
            let name = class.name.as_str().to_owned();
            Event::ClassSet { name, version }
        }
        Action::Cancel { proposal } => return cancel(world, *proposal, now),
        Action::CancelSlash { operator } => {
            let operator = *operator;
            if !world.cancel_slash(operator) {
                return Err(Refusal::NoSlash { operator });
            }
            Event::SlashCancelled { operator }
        }
    };
    Ok(vec![event])
}

fn set_parameter(world: &mut impl World, name: Name, value: u64) -> Result<Event, Refusal> {
    let mut parameters: Parameters = world.parameters();
    let old = parameters.get(name);
    let set = parameters.set(name, value);
    set.map_err(|bounds| Refusal::ParameterOutOfBounds {
        value: bounds.value,
        min: bounds.min,
        max: bounds.max,
    })?;
    world.set_parameters(&parameters);
    let name = name.to_string();
    Ok(Event::ParameterSet {
        name,
        old,
        new: value,
    })
}

fn require_running(world: &impl World, run: RunId) -> Result<(), Refusal> {
    match world.run(run) {
        None => Err(Refusal::RunUnknown { run }),
        Some(RunStage::Finished) => Err(Refusal::RunFinished { run }),
        Some(RunStage::Running) => Ok(()),
    }
}

fn pause(world: &mut impl World, run: RunId, now: Height) -> Result<Event, Refusal> {
    require_running(world, run)?;
    let until = settings(world).calendar.after(now, PAUSE_DAYS);
    world.put(&run, &Pause { until });
    Ok(Event::RunPaused { run, until })
}

fn resume(world: &mut impl World, run: RunId, now: Height) -> Result<Event, Refusal> {
    if !is_run_paused(world, run, now) {
        return Err(Refusal::RunNotPaused { run });
    }
    world.delete::<Pause>(&run);
    Ok(Event::RunResumed { run })
}

/// Cancels a proposal that is not over, or the upgrade that one has scheduled.
pub(crate) fn cancel(
    world: &mut impl World,
    id: ProposalId,
    now: Height,
) -> Result<Vec<Event>, Refusal> {
    let proposal = find(world, id)?;
    if !proposal.status.is_final() {
        return Ok(lifecycle::cancel(world, id, proposal, now));
    }
    let cancelled = upgrade::cancel(world, id);
    cancelled
        .map(|event| vec![event])
        .ok_or(Refusal::NotCancellable { id })
}
