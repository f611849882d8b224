//! Votes: counted as they arrive, so that closing a vote costs the same with ten voters as with a
//! hundred thousand.
//!
//! A voter's seat remembers what it cast. An account votes with its own power and with what others
//! entrust to it on this track; whoever votes directly is taken out of the delegate's power, before
//! or after the delegate voted. Nothing is inherited from validators or passed on a second time.

use crate::{
    Refusal,
    calendar::{EXTENSION_DAYS, LATE_DAYS},
    event::Event,
    lifecycle,
    mutant::on,
    power,
    proposal::{Proposal, Status, find, live},
    settings,
    store::{Records, Store, records},
    tally::Outcome,
    track::is_critical,
};
use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{Address, Height, Micro, ProposalId, proposal::Weights};

/// What an account cast on a proposal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct Seat {
    /// Its vote; none if only those who entrust it have voted.
    pub weights: Option<Weights>,
    /// Its own power.
    pub own: u64,
    /// What others entrust to it.
    pub entrusted: u64,
    /// Of that, what voted directly.
    pub overridden: u64,
}

records! { 8 Seat: (ProposalId, Address); }

impl Seat {
    /// The power it votes with.
    #[must_use]
    pub const fn power(&self) -> u64 {
        let entrusted = self.entrusted.saturating_sub(self.overridden);
        self.own.saturating_add(entrusted)
    }
}

/// Votes, or changes a vote.
///
/// # Errors
/// When voting is closed, the weights are not one, or the voter has no power on this proposal.
pub fn vote(
    store: &mut impl Store,
    voter: Address,
    id: ProposalId,
    weights: Weights,
    now: Height,
) -> Result<Vec<Event>, Refusal> {
    let mut proposal = find(store, id)?;
    if !proposal.accepts_votes(now) {
        return Err(Refusal::VotingClosed { id });
    }
    let sum = weights.sum();
    if sum != Micro::ONE.get() {
        return Err(Refusal::WeightsNotOne { sum });
    }
    let (track, at) = (proposal.track, proposal.snapshot);
    let mut seat: Seat = store.get(&(id, voter)).unwrap_or_default();
    let is_first = seat.weights.is_none();
    if let Some(before) = seat.weights {
        proposal.tally.remove(seat.power(), &before);
    }
    seat.own = power::own(store, voter, at);
    seat.entrusted = power::entrusted(store, voter, track, at);
    seat.weights = Some(weights);
    if seat.power() == 0 {
        return Err(Refusal::NoVotingPower { sender: voter });
    }
    let was = proposal.tally.outcome(&proposal.rule);
    if is_first && !on("a direct vote is counted beside the delegate's") {
        take_from_delegate(store, id, &mut proposal, voter, seat.own);
    }
    proposal.tally.add(seat.power(), &weights);
    store.put(&(id, voter), &seat);
    let mut events = vec![Event::Voted {
        id,
        voter,
        weights,
        power: seat.power(),
    }];
    events.extend(extend_if_late(store, id, &mut proposal, was, now));
    store.put(&id, &proposal);
    Ok(events)
}

/// A direct vote overrides the delegate's, whichever comes first.
fn take_from_delegate(
    store: &mut impl Store,
    id: ProposalId,
    proposal: &mut Proposal,
    voter: Address,
    own: u64,
) {
    let (track, at) = (proposal.track, proposal.snapshot);
    let Some(delegate) = power::delegate_of(store, voter, track, at) else {
        return;
    };
    let mut seat: Seat = store.get(&(id, delegate)).unwrap_or_default();
    if let Some(weights) = seat.weights {
        proposal.tally.remove(seat.power(), &weights);
    }
    seat.overridden = seat.overridden.saturating_add(own);
    if let Some(weights) = seat.weights {
        proposal.tally.add(seat.power(), &weights);
    }
    store.put(&(id, delegate), &seat);
}

/// A first quorum or a changed outcome on the last day gives everyone two more days, once.
fn extend_if_late(
    store: &mut impl Store,
    id: ProposalId,
    proposal: &mut Proposal,
    was: Outcome,
    now: Height,
) -> Option<Event> {
    let is_supported = proposal.tally.is_supported(&proposal.rule);
    let is_first_quorum = is_supported && !proposal.was_supported;
    proposal.was_supported |= is_supported;
    let Status::Voting { until } = proposal.status else {
        return None;
    };
    let calendar = settings(store).calendar;
    // A vote of one day is not late from its first hour.
    let half = calendar.blocks(proposal.rule.voting_days) / 2;
    let is_late = now.saturating_add(calendar.blocks(LATE_DAYS).min(half)) > until;
    let is_turned = proposal.tally.outcome(&proposal.rule) != was;
    if proposal.was_extended || !is_late || !(is_first_quorum || is_turned) {
        return None;
    }
    proposal.was_extended = true;
    let until = calendar.after(until, EXTENSION_DAYS);
    Some(lifecycle::move_due(
        store,
        id,
        proposal,
        Status::Voting { until },
    ))
}

/// The proposal that binds a holder's stake: one on a critical track that it, or its delegate, is
/// on the Yes side of and that is not over. Stake that decided must live with the decision.
#[must_use]
pub fn bound_by(store: &impl Store, holder: Address) -> Option<ProposalId> {
    let live = live(store).tracks.into_iter();
    let critical = live.filter(|(track, _)| is_critical(*track));
    let mut ids = critical.flat_map(|(_, ids)| ids);
    ids.find(|id| said_yes(store, holder, *id))
}

fn said_yes(store: &impl Store, holder: Address, id: ProposalId) -> bool {
    let Ok(proposal) = find(store, id) else {
        return false;
    };
    let is_yes = |seat: Option<Seat>| {
        let weights = seat.and_then(|seat| seat.weights);
        weights.map(|weights| weights.yes > Micro::ZERO)
    };
    let direct = is_yes(store.get(&(id, holder)));
    let through = || {
        let delegate = power::delegate_of(store, holder, proposal.track, proposal.snapshot)?;
        is_yes(store.get(&(id, delegate)))
    };
    direct.or_else(through).unwrap_or(false)
}
