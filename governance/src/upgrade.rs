//! Upgrades: scheduled by vote, activated by readiness.
//!
//! In the seven days before the height, validators that run the new version say so. If at the
//! height at least 80 % of all power is ready, the version is active from that block on; otherwise
//! the plan lapses and the chain goes on as it is. Nobody is halted for not having upgraded in a
//! vote that others won.

use crate::{
    Refusal, Share,
    calendar::READINESS_DAYS,
    event::Event,
    mutant::on,
    settings, stage,
    store::{Records, Store, records},
    world::World,
};
use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{
    Address, Height, ProposalId,
    codec::BoundedVec,
    proposal::{ARTIFACTS_COUNT_MAX, Artifact, Module},
};
use std::collections::BTreeSet;

/// Power that must be ready.
pub const READY: Share = Share::new(4, 5);

/// A scheduled upgrade.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Plan {
    /// The proposal that scheduled it.
    pub proposal: ProposalId,
    /// The version.
    pub version: u32,
    /// The programs.
    pub artifacts: BoundedVec<Artifact, ARTIFACTS_COUNT_MAX>,
    /// When.
    pub height: Height,
    /// Operators that are ready.
    pub ready: BTreeSet<Address>,
}

/// The version of the protocol that is active, and the one that is planned.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Versions {
    /// Active.
    pub active: u32,
    /// Planned.
    pub plan: Option<Plan>,
}

records! { 22 Versions: (); }

/// The versions.
#[must_use]
pub fn versions(store: &impl Store) -> Versions {
    store.get(&()).unwrap_or_default()
}

/// Plans an upgrade; `proposal` is nothing on trial.
///
/// # Errors
/// When the version does not rise, no programs are named or the height is too early.
pub(crate) fn schedule(
    store: &mut impl Store,
    proposal: Option<ProposalId>,
    version: u32,
    artifacts: &BoundedVec<Artifact, ARTIFACTS_COUNT_MAX>,
    height: Height,
    earliest: Height,
) -> Result<Event, Refusal> {
    let mut versions = versions(store);
    let planned = versions.plan.as_ref().map(|plan| plan.version);
    let active = planned.unwrap_or(versions.active);
    if version <= active {
        return Err(Refusal::VersionNotHigher { version, active });
    }
    if artifacts.as_slice().is_empty() {
        return Err(Refusal::ArtifactsEmpty);
    }
    if height < earliest {
        return Err(Refusal::UpgradeEarly { height, earliest });
    }
    versions.plan = Some(Plan {
        proposal: proposal.unwrap_or(ProposalId::from_bytes([0; 32])),
        version,
        artifacts: artifacts.clone(),
        height,
        ready: BTreeSet::new(),
    });
    store.put(&(), &versions);
    Ok(Event::UpgradeScheduled { version, height })
}

/// Drops the plan that a proposal scheduled.
pub(crate) fn cancel(store: &mut impl Store, proposal: ProposalId) -> Option<Event> {
    let mut versions = versions(store);
    let plan = versions.plan.take_if(|plan| plan.proposal == proposal)?;
    store.put(&(), &versions);
    let version = plan.version;
    Some(Event::UpgradeCancelled { version })
}

/// A validator is ready.
///
/// # Errors
/// When nothing is scheduled, it is too early, or the sender is no operator or ready already.
pub fn signal(
    world: &mut impl World,
    sender: Address,
    version: u32,
    now: Height,
) -> Result<Vec<Event>, Refusal> {
    let mut versions = versions(world);
    let plan = versions
        .plan
        .as_mut()
        .filter(|plan| plan.version == version);
    let plan = plan.ok_or(Refusal::NoUpgrade { version })?;
    let opens = settings(world).calendar.before(plan.height, READINESS_DAYS);
    if now < opens {
        return Err(Refusal::ReadinessEarly { height: now, opens });
    }
    if !world
        .operators()
        .iter()
        .any(|known| known.operator == sender)
    {
        return Err(Refusal::NotOperator { sender });
    }
    if !plan.ready.insert(sender) {
        return Err(Refusal::SignalledBefore { sender });
    }
    world.put(&(), &versions);
    let operator = sender;
    Ok(vec![Event::ReadinessSignalled { version, operator }])
}

/// Power that is ready, and all power.
#[must_use]
pub fn readiness(world: &impl World, plan: &Plan) -> (u64, u64) {
    let operators = world.operators();
    let sum = |wanted: &dyn Fn(&Address) -> bool| {
        let chosen = operators.iter().filter(|known| wanted(&known.operator));
        chosen.fold(0, |sum: u64, known| sum.saturating_add(known.power))
    };
    (
        sum(&|operator| plan.ready.contains(operator)),
        sum(&|_| true),
    )
}

/// The version by which the block of a height is read, as things stand before that block: a plan
/// that is due and ready counts from its block on.
#[must_use]
pub fn version_at(world: &impl World, height: Height) -> u32 {
    let Versions { active, plan } = versions(world);
    match plan {
        Some(plan) if height >= plan.height && activates(world, &plan, height) => plan.version,
        Some(_) | None => active,
    }
}

fn activates(world: &impl World, plan: &Plan, now: Height) -> bool {
    let (ready, all) = readiness(world, plan);
    let is_ready = READY.is_reached_by(ready, all) || on("readiness is not asked for");
    is_ready && !stage::is_paused(world, Module::Upgrades, now)
}

/// Activates the plan or lets it lapse, at its height.
pub(crate) fn advance(world: &mut impl World, now: Height) -> Option<Event> {
    let mut versions = versions(world);
    let plan = versions.plan.take_if(|plan| now >= plan.height)?;
    let version = plan.version;
    let event = if activates(world, &plan, now) {
        versions.active = version;
        Event::UpgradeActivated { version }
    } else {
        Event::UpgradeLapsed { version }
    };
    world.put(&(), &versions);
    Some(event)
}
