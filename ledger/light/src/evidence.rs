//! One file that proves entries of a state to whoever trusts a genesis.

use crate::client::{Certified, Client, LINKS_COUNT_MAX, Link, LinkError};
use borsh::{BorshDeserialize, BorshSerialize};
use ledger_tree::{Proof, ProofError, Proven};
use protocol::codec::{BoundedVec, DecodeError, decode, encode};

/// Largest encoded evidence in bytes.
const EVIDENCE_BYTES_MAX: usize = 1 << 28;

/// Headers that lead to a certified one, and a part of the state before its block.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Evidence {
    /// From the trusted set to the header whose state is proven, the last.
    pub links: BoundedVec<Link, LINKS_COUNT_MAX>,
    /// Entries under that header's state root.
    pub state: Proof,
}

/// Why evidence proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// No header.
    #[error("evidence has no header; at least 1 is needed")]
    NoHeader,
    /// A header is not to be trusted.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The state under the header is another one.
    #[error(transparent)]
    State(#[from] ProofError),
}

/// What evidence proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held<'a> {
    /// The header; its state is the one before its block, that is, after its parent.
    pub certified: Certified,
    /// Entries of that state.
    pub state: Proven<'a>,
}

impl Evidence {
    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }
    /// Reads evidence.
    ///
    /// # Errors
    /// When the bytes are not one canonical value.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode("evidence", bytes, EVIDENCE_BYTES_MAX)
    }
    /// Checks everything, from what `client` trusts.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn verify(&self, mut client: Client) -> Result<Held<'_>, EvidenceError> {
        let Self { links, state } = self;
        let mut last = None;
        for link in links.as_slice() {
            last = Some(client.advance(link)?);
        }
        let certified = last.ok_or(EvidenceError::NoHeader)?;
        let state = state.verify(certified.header.state_root)?;
        Ok(Held { certified, state })
    }
}
