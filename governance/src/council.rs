//! Guardians: the steward alone in stages 0 and 1, nine of an elected council of twelve in stage 2,
//! nobody in stage 3.
//!
//! Guardians can stop and wait; they can never spend, pass or change anything, except by decree in
//! stage 0. The council's halves are elected at different times, so one vote cannot replace it.

use crate::{
    Refusal, action,
    calendar::{DECREE_DAYS, DELAY_DAYS},
    event::Event,
    lifecycle,
    proposal::{Origin, Proposal, Status, find},
    settings,
    stage::{self, Stage, StewardPower, handover},
    store::{Records, Store, records},
    submit,
    world::World,
};
use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{
    Address, Height, ProposalId,
    identifiers::tagged_hash,
    proposal::{COHORT_SEATS_COUNT, Cohort, Guard, Payload},
};
use std::collections::BTreeSet;

/// Members that must approve an act.
pub const APPROVALS_COUNT: usize = 9;
/// Days after which approvals that did not suffice are void.
pub const APPROVAL_DAYS: u64 = 7;

/// The elected council.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Council {
    /// One half.
    pub first: BTreeSet<Address>,
    /// The other.
    pub second: BTreeSet<Address>,
}

impl Council {
    /// Whether somebody sits in it.
    #[must_use]
    pub fn has(&self, member: Address) -> bool {
        self.first.contains(&member) || self.second.contains(&member)
    }
}

/// Members that approve an act so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Approvals {
    /// Since when they are collected.
    pub since: Height,
    /// Who.
    pub members: BTreeSet<Address>,
}

records! {
    24 Council: ();
    25 Approvals: [u8; 32];
}

/// The elected council.
#[must_use]
pub fn council(store: &impl Store) -> Council {
    store.get(&()).unwrap_or_default()
}

/// Refuses what a decree must not do: choose guardians or move their dates.
///
/// # Errors
/// When it is a decree.
pub(crate) const fn require_vote(origin: Origin) -> Result<(), Refusal> {
    match origin {
        Origin::Vote => Ok(()),
        Origin::Decree => Err(Refusal::NotByDecree),
    }
}

/// Fills one half of the council.
///
/// # Errors
/// When it would not have six members that differ from each other and from the other half.
pub(crate) fn elect(
    store: &mut impl Store,
    cohort: Cohort,
    members: &[Address],
) -> Result<(), Refusal> {
    let mut council = council(store);
    let (half, other) = match cohort {
        Cohort::First => (&mut council.first, &council.second),
        Cohort::Second => (&mut council.second, &council.first),
    };
    let new: BTreeSet<Address> = members.iter().copied().collect();
    let found = new.difference(other).count();
    if found != COHORT_SEATS_COUNT || members.len() != COHORT_SEATS_COUNT {
        let needed = COHORT_SEATS_COUNT;
        return Err(Refusal::CouncilSeats { found, needed });
    }
    *half = new;
    store.put(&(), &council);
    Ok(())
}

/// Acts for the steward, or collects the council's approvals and then acts.
///
/// # Errors
/// When the sender guards nothing now, its powers no longer reach so far, or the act is refused.
pub fn guard(
    world: &mut impl World,
    sender: Address,
    guard: &Guard,
    now: Height,
) -> Result<Vec<Event>, Refusal> {
    let stage = handover(world).stage;
    if settings(world).steward == Some(sender) {
        let power = stage::steward_power(world, now);
        if power == StewardPower::None {
            return Err(Refusal::NotGuardian { sender });
        }
        return act_as_steward(world, sender, guard, power, now);
    }
    if stage != Stage::Guarded || !council(world).has(sender) {
        return Err(Refusal::NotGuardian { sender });
    }
    let act = match guard {
        Guard::Cancel { .. } | Guard::Pause { .. } => approve(world, sender, guard, now)?,
        Guard::Decree { .. } => return Err(Refusal::PowerEnded { act: "decree" }),
        Guard::Delay { .. } => return Err(Refusal::PowerEnded { act: "delay" }),
    };
    Ok(act)
}

fn act_as_steward(
    world: &mut impl World,
    sender: Address,
    guard: &Guard,
    power: StewardPower,
    now: Height,
) -> Result<Vec<Event>, Refusal> {
    let require = |needed: StewardPower, act| {
        let is_enough = power >= needed;
        is_enough.then_some(()).ok_or(Refusal::PowerEnded { act })
    };
    match guard {
        Guard::Decree { payload } => {
            if !stage::decrees_bind(world, now) {
                return Err(Refusal::PowerEnded { act: "decree" });
            }
            decree(world, sender, payload, now)
        }
        Guard::Cancel { proposal } => {
            require(StewardPower::Cancel, "cancel")?;
            action::cancel(world, *proposal, now)
        }
        Guard::Pause { module } => {
            require(StewardPower::Full, "pause")?;
            stage::pause(world, *module, now).map(|event| vec![event])
        }
        Guard::Delay { proposal } => delay(world, *proposal, now),
    }
}

/// Schedules a change without a vote, under all other rules.
fn decree(
    world: &mut impl World,
    steward: Address,
    payload: &Payload,
    now: Height,
) -> Result<Vec<Event>, Refusal> {
    let id = payload.id(steward, now);
    if world.get::<Proposal>(&id).is_some() {
        return Err(Refusal::ProposalDuplicate { id });
    }
    let mut proposal = submit::draft(world, steward, payload, Origin::Decree, now)?;
    let after = settings(world).calendar.after(now, DECREE_DAYS);
    let ready_at = after.max(payload.not_before).max(now.next());
    proposal.status = Status::Timelocked { ready_at };
    world.put(&(ready_at, id), &crate::proposal::Due);
    let submitted = submit::enter(world, id, &proposal, payload);
    let status = proposal.status;
    Ok(vec![submitted, Event::StatusChanged { id, status }])
}

/// Puts the execution of a scheduled proposal off, once.
fn delay(world: &mut impl World, id: ProposalId, now: Height) -> Result<Vec<Event>, Refusal> {
    let mut proposal = find(world, id)?;
    let Status::Timelocked { ready_at } = proposal.status else {
        return Err(Refusal::NotDelayable { id });
    };
    if proposal.was_held {
        return Err(Refusal::NotDelayable { id });
    }
    proposal.was_held = true;
    let from = ready_at.max(now);
    let ready_at = settings(world).calendar.after(from, DELAY_DAYS);
    let moved = lifecycle::move_due(world, id, &mut proposal, Status::Timelocked { ready_at });
    world.put(&id, &proposal);
    Ok(vec![moved])
}

/// Counts a member's approval; the ninth within a week acts.
fn approve(
    world: &mut impl World,
    member: Address,
    guard: &Guard,
    now: Height,
) -> Result<Vec<Event>, Refusal> {
    let key = tagged_hash("cairn/guard/v1", guard);
    let calendar = settings(world).calendar;
    let current: Option<Approvals> = world.get(&key);
    let is_fresh = |approvals: &Approvals| now <= calendar.after(approvals.since, APPROVAL_DAYS);
    let mut approvals = current.filter(is_fresh).unwrap_or(Approvals {
        since: now,
        members: BTreeSet::new(),
    });
    if !approvals.members.insert(member) {
        return Err(Refusal::ApprovedBefore { member });
    }
    // Members who lost their seat no longer count.
    let council = council(world);
    let sitting = approvals
        .members
        .iter()
        .filter(|member| council.has(**member));
    let approvals_count = sitting.count();
    let mut events = vec![Event::CouncilApproved {
        member,
        approvals_count,
    }];
    if approvals_count < APPROVALS_COUNT {
        world.put(&key, &approvals);
        return Ok(events);
    }
    world.delete::<Approvals>(&key);
    match guard {
        Guard::Cancel { proposal } => events.extend(action::cancel(world, *proposal, now)?),
        Guard::Pause { module } => events.push(stage::pause(world, *module, now)?),
        Guard::Decree { .. } | Guard::Delay { .. } => {}
    }
    Ok(events)
}
