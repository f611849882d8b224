//! Proposals: submitted, voted by stake, closed, enacted. The rules themselves: `governance`.

use crate::{
    Rejection, View,
    event::Event,
    run::{self, InForce},
    state::Record,
    validator::Validator,
};
use borsh::{BorshDeserialize, BorshSerialize};
use governance::{Proposal, Tally, proposal::Status};
use protocol::{
    Address, Height, ProposalId,
    codec::Text,
    transaction::{Action, Choice},
};

/// A stored proposal.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Stored(pub Proposal);

impl Record for Stored {
    const TABLE: u8 = 11;
    type Key = ProposalId;
}

/// A holder's vote; a later one replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Vote(pub Choice);

impl Record for Vote {
    const TABLE: u8 = 12;
    type Key = (ProposalId, Address);
}

/// A note that a proposal changes at a height, so that a block reads only what is due in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Due;

impl Record for Due {
    const TABLE: u8 = 13;
    type Key = (Height, ProposalId);
}

/// Stake that an account holds through validators.
fn stake_of(view: &View<'_>, holder: Address) -> u64 {
    let validators = view.scan::<Validator>(&());
    let own = validators
        .iter()
        .filter(|(_, validator)| validator.holder == holder);
    own.fold(0, |sum, (_, validator)| {
        sum.saturating_add(validator.stake.get())
    })
}

/// Opens voting.
///
/// # Errors
/// When the sender has no stake or the action could not be enacted.
pub fn propose(
    view: &mut View<'_>,
    sender: Address,
    title: &Text<200>,
    action: &Action,
    height: Height,
) -> Result<Vec<Event>, Rejection> {
    if stake_of(view, sender) == 0 {
        return Err(Rejection::NoVotingPower { sender });
    }
    let parameters = run::parameters(view);
    let proposal = Proposal::open(sender, title.clone(), action.clone(), height, &parameters)
        .map_err(Rejection::from_action)?;
    let id = proposal.id();
    if view.get::<Stored>(&id).is_some() {
        return Err(Rejection::ProposalDuplicate { id });
    }
    if let Status::Voting { until } = proposal.status {
        view.put(&(until.next(), id), &Due);
        view.put(&(proposal.enact_at(), id), &Due);
    }
    view.put(&id, &Stored(proposal));
    Ok(vec![Event::ProposalOpened { id }])
}

/// Records a vote with all stake the sender holds.
///
/// # Errors
/// When the proposal takes no votes or the sender has no stake.
pub fn vote(
    view: &mut View<'_>,
    sender: Address,
    id: ProposalId,
    choice: Choice,
    height: Height,
) -> Result<Vec<Event>, Rejection> {
    let Stored(mut proposal) = view.get(&id).ok_or(Rejection::ProposalUnknown { id })?;
    if !proposal.accepts_votes(height) {
        return Err(Rejection::VotingClosed { id });
    }
    if stake_of(view, sender) == 0 {
        return Err(Rejection::NoVotingPower { sender });
    }
    view.put(&(id, sender), &Vote(choice));
    proposal.tally = tally(view, id);
    view.put(&id, &Stored(proposal));
    Ok(vec![Event::Voted {
        id,
        holder: sender,
        choice,
    }])
}

fn tally(view: &View<'_>, id: ProposalId) -> Tally {
    let validators = view.scan::<Validator>(&());
    let eligible = validators
        .iter()
        .fold(0, |sum: u64, (_, v)| sum.saturating_add(v.stake.get()));
    let mut tally = Tally {
        eligible,
        ..Tally::default()
    };
    for ((_, holder), vote) in view.scan::<Vote>(&id) {
        tally.count(vote.0, stake_of(view, holder));
    }
    tally
}

/// Enacts and closes what is due; runs before a block's transactions.
pub fn advance(view: &mut View<'_>, height: Height) -> Vec<Event> {
    let mut events = Vec::new();
    let mut parameters = run::parameters(view);
    for (key, Due) in view.scan::<Due>(&height) {
        view.delete::<Due>(&key);
        let (_, id) = key;
        let Some(Stored(mut proposal)) = view.get(&id) else {
            continue;
        };
        if matches!(proposal.status, Status::Voting { .. }) && !proposal.accepts_votes(height) {
            proposal.tally = tally(view, id);
            proposal.close(height);
            view.put(&id, &Stored(proposal.clone()));
            let passed = proposal.status == Status::Passed;
            events.push(Event::ProposalClosed { id, passed });
        }
        if proposal.enact(height, &mut parameters) {
            view.put(&(), &InForce(parameters.clone()));
            view.put(&id, &Stored(proposal));
            events.push(Event::ProposalEnacted { id });
        }
    }
    events
}
