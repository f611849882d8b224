//! What happens by itself at the start of a block: stake comes of age, deposits expire, votes
//! close, timelocks end, upgrades activate or lapse, gates are measured.
//!
//! A block reads only what is due in it. Executions share a budget of actions; what finds no room
//! waits for the next block, and after 14 days is void.

use crate::{
    Refusal, action,
    calendar::EXPIRY_DAYS,
    event::Event,
    mutant::on,
    power,
    proposal::{Busy, Content, Due, Live, Origin, Proposal, Status, find, live},
    settings, stage,
    store::{Records, Store},
    submit::{Fate, settle},
    tally::Outcome,
    upgrade,
    world::World,
};
use protocol::{Height, ProposalId, proposal::Module};

/// Actions executed in one block, at most; one proposal always fits.
pub const EXECUTED_ACTIONS_COUNT_MAX: usize = 20;

/// Does what is due at this height, before the block's transactions.
pub fn advance(world: &mut impl World, now: Height) -> Vec<Event> {
    // First, because the block's header says already by which version it is read.
    let mut events: Vec<Event> = upgrade::advance(world, now).into_iter().collect();
    power::age(world, now);
    let mut room = EXECUTED_ACTIONS_COUNT_MAX;
    for ((at, id), Due) in world.scan::<Due>(&now) {
        world.delete::<Due>(&(at, id));
        if let Ok(proposal) = find(world, id) {
            events.extend(advance_one(world, id, proposal, now, &mut room));
        }
    }
    stage::measure_daily(world, now);
    events
}

fn advance_one(
    world: &mut impl World,
    id: ProposalId,
    mut proposal: Proposal,
    now: Height,
    room: &mut usize,
) -> Vec<Event> {
    let mut events = Vec::new();
    match proposal.status {
        Status::Deposit { until } if now > until => {
            events.push(proposal.become_status(id, Status::DepositExpired));
            events.extend(settle(world, id, &mut proposal, Fate::Burn));
        }
        Status::Voting { until } if now > until => {
            events.extend(close(world, id, &mut proposal, now));
        }
        Status::Timelocked { ready_at } if now >= ready_at => {
            events.extend(execute(world, id, &mut proposal, now, room));
        }
        Status::Deposit { .. }
        | Status::Voting { .. }
        | Status::Passed
        | Status::Timelocked { .. }
        | Status::DepositExpired
        | Status::Rejected
        | Status::Vetoed
        | Status::Executed { .. }
        | Status::Failed { .. }
        | Status::Expired { .. }
        | Status::Cancelled { .. } => return events,
    }
    if proposal.status.is_final() {
        retire(world, id, &proposal);
    }
    world.put(&id, &proposal);
    events
}

/// Begins voting: powers are those at the end of the block before.
pub(crate) fn open_voting(
    store: &mut impl Store,
    id: ProposalId,
    proposal: &mut Proposal,
    now: Height,
) -> Event {
    proposal.snapshot = now.saturating_sub(1);
    proposal.tally.eligible = power::eligible(store, proposal.snapshot);
    let mut live = live(store);
    let users = live.snapshots.entry(proposal.snapshot).or_default();
    *users = users.saturating_add(1);
    store.put(&(), &live);
    let until = settings(store)
        .calendar
        .after(now, proposal.rule.voting_days);
    move_due(store, id, proposal, Status::Voting { until })
}

/// Ends voting.
fn close(
    world: &mut impl World,
    id: ProposalId,
    proposal: &mut Proposal,
    now: Height,
) -> Vec<Event> {
    forget_snapshot(world, proposal.snapshot);
    stage::record_support(world, proposal.tally.support_micro());
    let (next, fate) = match proposal.tally.outcome(&proposal.rule) {
        Outcome::Pass => (Status::Passed, Fate::Return),
        Outcome::Reject => (Status::Rejected, Fate::Return),
        Outcome::Veto => (Status::Vetoed, Fate::Burn),
    };
    let mut events = vec![proposal.become_status(id, next)];
    events.extend(settle(world, id, proposal, fate));
    if proposal.status == Status::Passed {
        events.push(schedule(world, id, proposal, now));
    }
    events
}

/// Sets the height of execution.
fn schedule(store: &mut impl Store, id: ProposalId, proposal: &mut Proposal, now: Height) -> Event {
    let calendar = settings(store).calendar;
    let mut ready_at = calendar.after(now, proposal.rule.timelock_days);
    if on("timelocks are skipped") {
        ready_at = now;
    }
    if proposal.was_delayed {
        ready_at = calendar.after(ready_at, crate::calendar::DELAY_DAYS);
    }
    // Due heights of this block were read already, so the next is the earliest.
    let ready_at = ready_at.max(proposal.not_before).max(now.next());
    move_due(store, id, proposal, Status::Timelocked { ready_at })
}

/// Moves along an edge whose end has a height, and notes it in the calendar of what is due.
pub(crate) fn move_due(
    store: &mut impl Store,
    id: ProposalId,
    proposal: &mut Proposal,
    next: Status,
) -> Event {
    let due = |status: Status| match status {
        Status::Deposit { until } | Status::Voting { until } => Some(until.next()),
        Status::Timelocked { ready_at } => Some(ready_at),
        Status::Passed
        | Status::DepositExpired
        | Status::Rejected
        | Status::Vetoed
        | Status::Executed { .. }
        | Status::Failed { .. }
        | Status::Expired { .. }
        | Status::Cancelled { .. } => None,
    };
    if let Some(height) = due(proposal.status) {
        store.delete::<Due>(&(height, id));
    }
    if let Some(height) = due(next) {
        store.put(&(height, id), &Due);
    }
    proposal.become_status(id, next)
}

/// Executes what is ready, if there is room for it and nothing it needs stands still.
fn execute<W: World>(
    world: &mut W,
    id: ProposalId,
    proposal: &mut Proposal,
    now: Height,
    room: &mut usize,
) -> Vec<Event> {
    let Status::Timelocked { ready_at } = proposal.status else {
        return Vec::new();
    };
    let calendar = settings(world).calendar;
    let is_bound = match proposal.origin {
        Origin::Vote => stage::votes_bind(world, now),
        Origin::Decree => stage::decrees_bind(world, now),
    };
    if !is_bound || now > calendar.after(ready_at, EXPIRY_DAYS) {
        return vec![proposal.become_status(id, Status::Expired { at: now })];
    }
    let Some(Content(payload)) = world.get(&id) else {
        return Vec::new();
    };
    let actions_count = payload.actions.as_slice().len();
    let is_paused = proposal.outflow.get() > 0 && stage::is_paused(world, Module::Treasury, now);
    let Some(left) = room.checked_sub(actions_count).filter(|_| !is_paused) else {
        world.put(&(now.next(), id), &Due);
        return Vec::new();
    };
    *room = left;
    // Executed first, so that a cancellation of itself finds nothing to cancel.
    let done = proposal.become_status(id, Status::Executed { at: now });
    world.put(&id, proposal);
    let perform = |world: &mut W| -> Result<_, Refusal> {
        action::execute(world, proposal, id, &payload, now)
    };
    let outcome = if on("a failed execution keeps what it did") {
        perform(world)
    } else {
        world.attempt(perform)
    };
    match outcome {
        Ok(events) => [vec![done], events].concat(),
        Err(_) => {
            proposal.status = Status::Timelocked { ready_at };
            let failed = proposal.become_status(id, Status::Failed { at: now });
            if on("a failure is retried") {
                proposal.status = Status::Timelocked { ready_at };
                world.put(&(now.next(), id), &Due);
            }
            vec![failed]
        }
    }
}

/// Cancels a proposal that is not over.
pub(crate) fn cancel(
    world: &mut impl World,
    id: ProposalId,
    mut proposal: Proposal,
    now: Height,
) -> Vec<Event> {
    if matches!(proposal.status, Status::Voting { .. }) {
        forget_snapshot(world, proposal.snapshot);
    }
    let at = Status::Cancelled { at: now };
    let mut events = vec![move_due(world, id, &mut proposal, at)];
    events.extend(settle(world, id, &mut proposal, Fate::Return));
    retire(world, id, &proposal);
    world.put(&id, &proposal);
    events
}

fn forget_snapshot(store: &mut impl Store, snapshot: Height) {
    let mut live: Live = live(store);
    if let Some(users) = live.snapshots.get_mut(&snapshot) {
        *users = users.saturating_sub(1);
        if *users == 0 {
            live.snapshots.remove(&snapshot);
        }
    }
    store.put(&(), &live);
}

/// Makes room for the next proposal of this track and proposer.
fn retire(store: &mut impl Store, id: ProposalId, proposal: &Proposal) {
    let mut live = live(store);
    if let Some(track) = live.tracks.get_mut(&proposal.track) {
        track.remove(&id);
    }
    store.put(&(), &live);
    if store.get(&proposal.proposer) == Some(Busy(id)) {
        store.delete::<Busy>(&proposal.proposer);
    }
}
