//! Proposals and votes in a line.

use super::{chain::Chain, keys::key};
use protocol::{
    Amount, Height, ProposalId, SigningKey,
    codec::{BoundedVec, Text},
    proposal::{Action, Choice, Payload, Weights},
    transaction::Body,
};

/// An action that sets a parameter.
pub(crate) fn set(parameter: &str, value: u64) -> Action {
    Action::SetParameter {
        parameter: Text::new(parameter).unwrap(),
        value,
    }
}

/// A payload with these actions.
pub(crate) fn payload(actions: Vec<Action>) -> Payload {
    Payload {
        title: Text::new("a change").unwrap(),
        summary: Text::default(),
        actions: BoundedVec::new(actions).unwrap(),
        not_before: Height::ZERO,
    }
}

/// Proposes with whatever deposit is asked for; voting opens in the same block.
pub(crate) fn propose_by(
    chain: &mut Chain,
    by: &SigningKey,
    actions: Vec<Action>,
    not_before: Height,
) -> ProposalId {
    let payload = Payload {
        not_before,
        ..payload(actions)
    };
    let id = payload.id(by.address(), chain.height().next());
    let deposit = Amount::new(20_000);
    chain.block(vec![(by.clone(), Body::Propose { payload, deposit })]);
    id
}

/// Proposes as the first miner, who has tokens.
pub(crate) fn propose(chain: &mut Chain, actions: Vec<Action>, not_before: Height) -> ProposalId {
    propose_by(chain, &key("miner", 0), actions, not_before)
}

/// Votes with all of a holder's stake, in a block of its own.
pub(crate) fn vote(chain: &mut Chain, proposal: ProposalId, holder: usize, choice: Choice) {
    let weights = Weights::all(choice);
    chain.block(vec![(
        chain.holder(holder),
        Body::Vote { proposal, weights },
    )]);
}
