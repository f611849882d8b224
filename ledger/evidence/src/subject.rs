//! What a single proof is about: one record of the state, by its kind and name.

use borsh::{BorshDeserialize, BorshSerialize};
use governance::proposal::Proposal;
use ledger_state::{
    account::Account,
    auditor::Verifier,
    bond::Miner,
    proposal,
    run::{Agreed, Run},
    state::key_bytes,
    unit::Unit,
    validator::Validator,
};
use protocol::{Address, ProposalId, RunId, Step, task::UnitId};
use std::fmt;

/// A record of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Subject {
    /// An account's balance and nonce.
    Account(Address),
    /// A validator's stake.
    Validator(Address),
    /// A miner's bond and standing.
    Miner(Address),
    /// A verifier's bond.
    Verifier(Address),
    /// A unit: whose it is, what was bound, how it ended.
    Unit(UnitId),
    /// A unit, for the verdicts about it.
    Verdict(UnitId),
    /// A proposal and its count.
    Proposal(ProposalId),
    /// The checkpoint from which a step starts.
    Checkpoint(RunId, Step),
    /// A run's progress.
    Run(RunId),
}

/// Text that names no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// Not a kind.
    #[error(
        "{kind:?} is no kind of record; there are account, validator, miner, verifier, unit, \
         verdict, proposal, checkpoint and run"
    )]
    Kind {
        /// What was given.
        kind: String,
    },
    /// Not a name of this kind.
    #[error("{id:?} names no {kind}: {reason}")]
    Id {
        /// The kind.
        kind: String,
        /// What was given.
        id: String,
        /// Why not.
        reason: String,
    },
}

/// What the state has under a subject's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// An account.
    Account(Account),
    /// A validator.
    Validator(Validator),
    /// A miner.
    Miner(Box<Miner>),
    /// A verifier.
    Verifier(Verifier),
    /// A unit.
    Unit(Box<Unit>),
    /// A proposal.
    Proposal(Box<Proposal>),
    /// A checkpoint.
    Checkpoint(Agreed),
    /// A run.
    Run(Run),
}

fn parse<T: std::str::FromStr<Err: fmt::Display>>(kind: &str, id: &str) -> Result<T, SubjectError> {
    id.parse().map_err(|error: T::Err| SubjectError::Id {
        kind: kind.to_owned(),
        id: id.chars().take(80).collect(),
        reason: error.to_string(),
    })
}

impl Subject {
    /// Reads a subject, such as `unit` and `0.12.rollout.3`; a checkpoint is `run.step`.
    ///
    /// # Errors
    /// When there is no such kind, or the name is none of it.
    pub fn parse(kind: &str, id: &str) -> Result<Self, SubjectError> {
        Ok(match kind {
            "account" => Self::Account(parse(kind, id)?),
            "validator" => Self::Validator(parse(kind, id)?),
            "miner" => Self::Miner(parse(kind, id)?),
            "verifier" => Self::Verifier(parse(kind, id)?),
            "unit" => Self::Unit(parse(kind, id)?),
            "verdict" => Self::Verdict(parse(kind, id)?),
            "proposal" => Self::Proposal(parse(kind, id)?),
            "checkpoint" => {
                let (run, step) = id.split_once('.').unwrap_or(("0", id));
                Self::Checkpoint(parse(kind, run)?, parse(kind, step)?)
            }
            "run" => Self::Run(parse(kind, id)?),
            other => {
                let kind = other.chars().take(80).collect();
                return Err(SubjectError::Kind { kind });
            }
        })
    }
    /// Its kind and name, as [`Self::parse`] reads them.
    #[must_use]
    pub fn words(&self) -> (&'static str, String) {
        match self {
            Self::Account(address) => ("account", address.to_string()),
            Self::Validator(address) => ("validator", address.to_string()),
            Self::Miner(address) => ("miner", address.to_string()),
            Self::Verifier(address) => ("verifier", address.to_string()),
            Self::Unit(id) => ("unit", id.to_string()),
            Self::Verdict(id) => ("verdict", id.to_string()),
            Self::Proposal(id) => ("proposal", id.to_string()),
            Self::Checkpoint(run, step) => ("checkpoint", format!("{run}.{step}")),
            Self::Run(id) => ("run", id.to_string()),
        }
    }
    /// Where it lies in the state.
    #[must_use]
    pub fn key(&self) -> Vec<u8> {
        match self {
            Self::Account(address) => key_bytes::<Account>(address),
            Self::Validator(address) => key_bytes::<Validator>(address),
            Self::Miner(address) => key_bytes::<Miner>(address),
            Self::Verifier(address) => key_bytes::<Verifier>(address),
            Self::Unit(id) | Self::Verdict(id) => key_bytes::<Unit>(id),
            Self::Proposal(id) => proposal::key(*id),
            Self::Checkpoint(run, step) => key_bytes::<Agreed>(&(*run, *step)),
            Self::Run(id) => key_bytes::<Run>(id),
        }
    }
    /// What bytes under its key mean.
    ///
    /// # Errors
    /// When they are no such record of this program's version.
    pub fn read(&self, bytes: &[u8]) -> Result<Record, String> {
        Ok(match self {
            Self::Account(_) => Record::Account(decode(bytes)?),
            Self::Validator(_) => Record::Validator(decode(bytes)?),
            Self::Miner(_) => Record::Miner(decode(bytes)?),
            Self::Verifier(_) => Record::Verifier(decode(bytes)?),
            Self::Unit(_) | Self::Verdict(_) => Record::Unit(decode(bytes)?),
            Self::Proposal(_) => Record::Proposal(decode(bytes)?),
            Self::Checkpoint(..) => Record::Checkpoint(decode(bytes)?),
            Self::Run(_) => Record::Run(decode(bytes)?),
        })
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, id) = self.words();
        write!(f, "{kind} {id}")
    }
}

/// A record of the state; another version's may differ.
pub(crate) fn decode<T: BorshDeserialize>(bytes: &[u8]) -> Result<T, String> {
    T::try_from_slice(bytes).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_read_as_they_are_written() {
        let address = Address::from_bytes([7; 32]).to_string();
        let id = ProposalId::from_bytes([8; 32]).to_string();
        let mut keys = std::collections::BTreeSet::new();
        let names = [
            ("account", address.as_str()),
            ("validator", &address),
            ("miner", &address),
            ("verifier", &address),
            ("unit", "0.12.rollout.3"),
            ("proposal", &id),
            ("checkpoint", "0.13"),
            ("run", "2"),
        ];
        for (kind, name) in names {
            let subject = Subject::parse(kind, name).expect("a subject");
            assert_eq!(subject.words(), (kind, name.to_owned()));
            assert!(keys.insert(subject.key()), "{subject} has a key of its own");
            assert!(subject.read(&[1]).is_err(), "one byte is no {kind}");
        }
        let unit = Subject::parse("verdict", "0.12.rollout.3").expect("a verdict");
        assert!(
            !keys.insert(unit.key()),
            "a unit's verdicts are in its record"
        );
        for (kind, name) in [
            ("block", "1"),
            ("unit", "1"),
            ("account", "7"),
            ("run", "-1"),
        ] {
            assert!(Subject::parse(kind, name).is_err(), "{kind} {name}");
        }
    }
}
