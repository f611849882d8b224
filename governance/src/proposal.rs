//! Proposals: content, lifecycle and the edges between its stages.

use crate::{
    Tally,
    parameters::{Name, OutOfBounds, Parameters, UnknownName},
};
use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{
    Address, Height, ProposalId, codec::Text, identifiers::tagged_hash, transaction::Action,
};

/// Where a proposal is. Edges: voting → rejected, voting → passed → enacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Status {
    /// Votes count until the height, inclusive.
    Voting {
        /// The last height.
        until: Height,
    },
    /// Enough support; waits for its height.
    Passed,
    /// Not enough support. Final.
    Rejected,
    /// In force. Final.
    Enacted {
        /// Since when.
        at: Height,
    },
}

/// A proposal.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Proposal {
    /// Who proposed.
    pub proposer: Address,
    /// What it is for.
    pub title: Text<200>,
    /// What it does.
    pub action: Action,
    /// The parameter's value when it was proposed.
    pub old: u64,
    /// When it was proposed.
    pub proposed_at: Height,
    /// Last height at which votes count.
    pub voting_ends: Height,
    /// Where it is.
    pub status: Status,
    /// The last count.
    pub tally: Tally,
}

/// Why an action cannot be proposed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// No such parameter.
    #[error(transparent)]
    Unknown(#[from] UnknownName),
    /// The value may not be.
    #[error(transparent)]
    Bounds(#[from] OutOfBounds),
    /// Enactment before voting and timelock are over.
    #[error("enactment at height {enact_at} is too early; {earliest} is the earliest")]
    TooEarly {
        /// What was asked for.
        enact_at: Height,
        /// The earliest.
        earliest: Height,
    },
}

/// The identifier binds the proposer, so that nobody can copy a proposal ahead of its author.
#[must_use]
pub fn id(proposer: Address, title: &Text<200>, action: &Action, at: Height) -> ProposalId {
    ProposalId::from_bytes(tagged_hash(
        "cairn/proposal/v1",
        &(proposer, title, action, at),
    ))
}

impl Proposal {
    /// Opens voting on an action, at a height, under the current parameters.
    ///
    /// # Errors
    /// When the parameter does not exist, the value is out of bounds or enactment is too early.
    pub fn open(
        proposer: Address,
        title: Text<200>,
        action: Action,
        at: Height,
        parameters: &Parameters,
    ) -> Result<Self, ActionError> {
        let Action::ChangeParameter {
            parameter,
            value,
            enact_at,
        } = &action;
        let name: Name = parameter.as_str().parse()?;
        Parameters::check(name, *value)?;
        let until = at.saturating_add(parameters.get(Name::VotingBlocks));
        let earliest = until.saturating_add(parameters.get(Name::TimelockBlocks));
        if *enact_at < earliest {
            return Err(ActionError::TooEarly {
                enact_at: *enact_at,
                earliest,
            });
        }
        let old = parameters.get(name);
        let status = Status::Voting { until };
        let tally = Tally::default();
        Ok(Self {
            proposer,
            title,
            action,
            old,
            proposed_at: at,
            voting_ends: until,
            status,
            tally,
        })
    }
    /// Its identifier.
    #[must_use]
    pub fn id(&self) -> ProposalId {
        id(self.proposer, &self.title, &self.action, self.proposed_at)
    }
    /// When it takes effect, if passed.
    #[must_use]
    pub const fn enact_at(&self) -> Height {
        let Action::ChangeParameter { enact_at, .. } = &self.action;
        *enact_at
    }
    /// Whether votes count at this height.
    #[must_use]
    pub fn accepts_votes(&self, at: Height) -> bool {
        matches!(self.status, Status::Voting { until } if at <= until)
    }
    /// Ends voting when its time is over. Returns whether something changed.
    pub fn close(&mut self, at: Height) -> bool {
        match self.status {
            Status::Voting { until } if at >= until => {
                self.status = if self.tally.passes() {
                    Status::Passed
                } else {
                    Status::Rejected
                };
                true
            }
            Status::Voting { .. } | Status::Passed | Status::Rejected | Status::Enacted { .. } => {
                false
            }
        }
    }
    /// Applies a passed proposal at its height. Returns whether something changed.
    pub fn enact(&mut self, at: Height, parameters: &mut Parameters) -> bool {
        if self.status != Status::Passed || at < self.enact_at() {
            return false;
        }
        let Action::ChangeParameter {
            parameter, value, ..
        } = &self.action;
        let Ok(name) = parameter.as_str().parse::<Name>() else {
            return false;
        };
        if parameters.set(name, *value).is_err() {
            return false;
        }
        self.status = Status::Enacted { at };
        true
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use protocol::transaction::Choice;

    fn open(value: u64, enact_at: u64) -> Result<Proposal, ActionError> {
        let action = Action::ChangeParameter {
            parameter: Text::new("audit-rate").unwrap(),
            value,
            enact_at: Height::new(enact_at),
        };
        let proposer = Address::from_bytes([1; 32]);
        let title = Text::new("audit more").unwrap();
        Proposal::open(
            proposer,
            title,
            action,
            Height::new(10),
            &Parameters::default(),
        )
    }

    #[test]
    fn a_passed_proposal_takes_effect_at_the_height_it_names_and_not_before() {
        let mut parameters = Parameters::default();
        let mut proposal = open(300_000, 60).unwrap();
        proposal.tally = Tally {
            eligible: 3,
            ..Tally::default()
        };
        proposal.tally.count(Choice::Yes, 2);
        assert!(!proposal.close(Height::new(49)));
        assert!(proposal.close(Height::new(50)));
        assert!(!proposal.enact(Height::new(59), &mut parameters));
        assert!(proposal.enact(Height::new(60), &mut parameters));
        assert_eq!(parameters.get(Name::AuditRate), 300_000);
        assert!(!proposal.enact(Height::new(61), &mut parameters));
    }

    #[test]
    fn an_action_that_could_not_be_enacted_cannot_be_proposed() {
        assert!(matches!(open(5, 60), Err(ActionError::Bounds(_))));
        assert!(matches!(
            open(300_000, 57),
            Err(ActionError::TooEarly { .. })
        ));
        assert!(open(300_000, 58).is_ok());
    }
}
