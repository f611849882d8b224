//! Who signs for a validator: the same code in the validator's process, or in one of its own that
//! the validator asks over a socket.
//!
//! [`LocalSigner`] holds the keys and the [`SigningHistory`], which every vote and proposal passes
//! before it is signed. What may be asked of it is a [`Request`], what it says an [`Answer`]; a
//! signer elsewhere answers the same requests in the same way, or is away. So a machine that is
//! broken into gives away no key, and can get nothing signed that contradicts what was signed.
//!
//! Besides votes, proposals and the heads of bodies, an operator's key signs transactions that are
//! duties ([`is_duty`]), proves randomness, and vouches for the network identity of its node. It
//! moves no tokens. Spec: 05-block §15.

mod duty;
pub mod frame;

pub use duty::is_duty;

use crate::{
    HistoryError, Proposal, SigningHistory, Vote,
    history::{Message, Signed},
    stock::{Head, pass_bytes},
};
use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{
    ChainId, Height, PublicKey, Signature, SigningKey,
    codec::{Bytes, Text},
    identifiers::tagged_hash,
    task::UnitId,
    transaction::Transaction,
    vrf,
};
use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

/// Most bytes of what randomness is proved for.
pub const ALPHA_BYTES_MAX: usize = 256;
/// Most bytes of a reason.
pub const REASON_BYTES_MAX: usize = 512;

/// What a signer is asked.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Request {
    /// Who it is, and how far it has signed.
    Status,
    /// To sign a vote.
    Vote(Vote),
    /// To sign a proposal.
    Proposal(Proposal),
    /// To sign the head of a proposed body.
    Head(Head),
    /// Whether a proposal that was never signed may be signed there.
    MayPropose {
        /// Of the proposal.
        height: Height,
        /// Of the proposal.
        round: u32,
    },
    /// To vouch for a node: this key is its network identity.
    Vouch(PublicKey),
    /// To prove randomness for these bytes.
    Randomness(Bytes<ALPHA_BYTES_MAX>),
    /// To sign a transaction that is a duty.
    Transaction(Box<Transaction>),
    /// A salt for a verdict about a unit.
    Salt {
        /// The unit.
        unit: UnitId,
        /// The round of judging.
        round: u64,
    },
}

/// Who a signer signs for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Status {
    /// The only chain.
    pub chain: ChainId,
    /// The validator: signs transactions, and names it on the chain.
    pub operator: PublicKey,
    /// Signs votes, proposals and heads.
    pub consensus: PublicKey,
    /// The operator's key of verifiable randomness.
    pub vrf: vrf::Public,
    /// The highest height that was signed; zero if nothing was.
    pub height: Height,
}

/// Why something is not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Refusal {
    /// The signing history says no.
    Contradiction,
    /// The signing history cannot be kept.
    History,
    /// It is of another chain or sender, or not what this signer is for.
    NotSigned,
    /// Another validator process has this signer.
    Busy,
}

/// What a signer says.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Answer {
    /// To [`Request::Status`].
    Status(Status),
    /// To what was to be signed.
    Signature(Signature),
    /// To [`Request::MayPropose`].
    May(bool),
    /// To [`Request::Randomness`].
    Randomness(vrf::Output, vrf::Proof),
    /// To [`Request::Salt`].
    Salt([u8; 32]),
    /// No.
    Refused(Refusal, Text<REASON_BYTES_MAX>),
}

/// Why there is no signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    /// The signer says no.
    #[error("{reason}")]
    Refused {
        /// Of what kind.
        refusal: Refusal,
        /// Why.
        reason: String,
    },
    /// There is no signer to ask.
    #[error("the signer is away: {reason}")]
    Away {
        /// What is known.
        reason: String,
    },
    /// It answered something else than it was asked.
    #[error("the signer answers what it was not asked")]
    Unfitting,
}

/// Signs for a validator, here or elsewhere.
pub trait Signer: fmt::Debug + Send + Sync {
    /// Asks once, and waits for the answer.
    ///
    /// # Errors
    /// When there is none; a refusal is an answer.
    fn ask(&self, request: &Request) -> Result<Answer, SignerError>;

    /// Whether the answer is computed in this process.
    fn is_local(&self) -> bool;
}

impl dyn Signer + '_ {
    fn answer(&self, request: &Request) -> Result<Answer, SignerError> {
        match self.ask(request)? {
            Answer::Refused(refusal, reason) => Err(SignerError::Refused {
                refusal,
                reason: reason.as_str().to_owned(),
            }),
            answer => Ok(answer),
        }
    }
    /// Who it signs for.
    ///
    /// # Errors
    /// See [`SignerError`].
    pub fn status(&self) -> Result<Status, SignerError> {
        match self.answer(&Request::Status)? {
            Answer::Status(status) => Ok(status),
            _ => Err(SignerError::Unfitting),
        }
    }
    /// A signature.
    ///
    /// # Errors
    /// See [`SignerError`].
    pub fn sign(&self, request: &Request) -> Result<Signature, SignerError> {
        match self.answer(request)? {
            Answer::Signature(signature) => Ok(signature),
            _ => Err(SignerError::Unfitting),
        }
    }
    /// Whether a proposal that was never signed may be signed there.
    ///
    /// # Errors
    /// See [`SignerError`].
    pub fn may_propose(&self, height: Height, round: u32) -> Result<bool, SignerError> {
        match self.answer(&Request::MayPropose { height, round })? {
            Answer::May(may) => Ok(may),
            _ => Err(SignerError::Unfitting),
        }
    }
    /// Randomness for these bytes, with its proof.
    ///
    /// # Errors
    /// See [`SignerError`].
    pub fn prove(&self, alpha: &[u8]) -> Result<(vrf::Output, vrf::Proof), SignerError> {
        let alpha = Bytes::new(alpha.to_vec()).map_err(|_| SignerError::Unfitting)?;
        match self.answer(&Request::Randomness(alpha))? {
            Answer::Randomness(output, proof) => Ok((output, proof)),
            _ => Err(SignerError::Unfitting),
        }
    }
    /// A salt that only this validator can compute.
    ///
    /// # Errors
    /// See [`SignerError`].
    pub fn salt(&self, unit: UnitId, round: u64) -> Result<[u8; 32], SignerError> {
        match self.answer(&Request::Salt { unit, round })? {
            Answer::Salt(salt) => Ok(salt),
            _ => Err(SignerError::Unfitting),
        }
    }
}

/// Holds a validator's keys, and what they signed.
#[derive(Debug)]
pub struct LocalSigner {
    chain: ChainId,
    operator: SigningKey,
    consensus: SigningKey,
    /// Only tests that make validators contradict themselves have none.
    history: Option<Mutex<SigningHistory>>,
}

impl LocalSigner {
    /// Signs for a chain with an operator's keys what the history of the second one allows.
    #[must_use]
    pub fn new(
        chain: ChainId,
        operator: SigningKey,
        consensus: SigningKey,
        history: Option<SigningHistory>,
    ) -> Self {
        Self {
            chain,
            operator,
            consensus,
            history: history.map(Mutex::new),
        }
    }
    fn with_history<T>(&self, read: impl FnOnce(&mut SigningHistory) -> T) -> Option<T> {
        let history = self.history.as_ref()?;
        let mut history = history.lock().unwrap_or_else(PoisonError::into_inner);
        Some(read(&mut history))
    }
    /// Signs what the history allows; what is signed is in it, on the disk, before.
    fn remembered(&self, wanted: Signed) -> Answer {
        match self.with_history(|history| history.allow(wanted)) {
            Some(Err(error)) => refused(kind(&error), &error.to_string()),
            Some(Ok(())) | None => Answer::Signature(self.consensus.sign(&wanted.digest)),
        }
    }
    fn transaction(&self, transaction: &Transaction) -> Answer {
        let (chain, operator) = (self.chain, self.operator.address());
        if transaction.chain != chain {
            let reason = format!("transaction is of chain {}; {chain} is", transaction.chain);
            return refused(Refusal::NotSigned, &reason);
        }
        if transaction.sender != operator {
            let reason = format!(
                "transaction is {}'s; the key is {operator}",
                transaction.sender
            );
            return refused(Refusal::NotSigned, &reason);
        }
        if !is_duty(&transaction.body) {
            let kind = transaction.body.kind();
            let reason = format!("{kind} is no duty of a validator; sign it where its key is");
            return refused(Refusal::NotSigned, &reason);
        }
        Answer::Signature(self.operator.sign(&transaction.signing_bytes()))
    }
    /// What it says to a request.
    #[must_use]
    pub fn answer(&self, request: &Request) -> Answer {
        let (chain, key) = (self.chain, &self.consensus);
        match request {
            Request::Status => Answer::Status(Status {
                chain,
                operator: self.operator.address(),
                consensus: key.address(),
                vrf: self.operator.vrf().public(),
                height: self
                    .with_history(|history| history.height())
                    .unwrap_or(Height::ZERO),
            }),
            Request::Vote(vote) => self.remembered(Signed::vote(chain, vote)),
            Request::Proposal(proposal) => self.remembered(Signed::proposal(chain, proposal)),
            Request::Head(head) => Answer::Signature(key.sign(&head.signing_bytes(chain))),
            Request::MayPropose { height, round } => Answer::May(
                self.with_history(|history| history.allows_new(*height, *round, Message::Proposal))
                    .unwrap_or(true),
            ),
            Request::Vouch(network) => {
                Answer::Signature(key.sign(&pass_bytes(&key.address(), network)))
            }
            Request::Randomness(alpha) => {
                let (output, proof) = self.operator.vrf().prove(alpha.as_slice());
                Answer::Randomness(output, proof)
            }
            Request::Transaction(transaction) => self.transaction(transaction),
            Request::Salt { unit, round } => {
                let secret = (self.operator.to_seed(), chain, unit, round);
                Answer::Salt(tagged_hash("cairn/audit-salt/v1", &secret))
            }
        }
    }
}

impl Signer for LocalSigner {
    fn ask(&self, request: &Request) -> Result<Answer, SignerError> {
        Ok(self.answer(request))
    }
    fn is_local(&self) -> bool {
        true
    }
}

/// A refusal, whose reason is cut to what fits.
#[must_use]
pub fn refused(refusal: Refusal, reason: &str) -> Answer {
    let end = reason.floor_char_boundary(REASON_BYTES_MAX);
    let reason = Text::new(reason.get(..end).unwrap_or_default().to_owned());
    Answer::Refused(refusal, reason.unwrap_or_default())
}

/// Whether the history was read and says no.
const fn kind(error: &HistoryError) -> Refusal {
    match error {
        HistoryError::Contradiction { .. } | HistoryError::Lower { .. } => Refusal::Contradiction,
        HistoryError::File { .. } | HistoryError::Other { .. } | HistoryError::Damaged { .. } => {
            Refusal::History
        }
    }
}

#[cfg(test)]
mod tests;
