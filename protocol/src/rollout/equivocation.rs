//! Equivocation: two commitments to one unit, both signed by its miner, with different roots.
//!
//! Only one can be on the chain, but a miner that signed both may show one to some and the other
//! to others. The two signatures are the whole proof: nobody needs to have seen anything else.

use super::{Root, Totals};
use crate::{
    Address, BlobId, ChainId, Nonce, Signature,
    keys::SignatureError,
    task::UnitId,
    transaction::{Body, Fee, Transaction},
};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// What one of the two transactions has of its own.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Half {
    /// Its nonce.
    pub nonce: Nonce,
    /// The root it binds.
    pub root: Root,
    /// The blob it names.
    pub blob: BlobId,
    /// The blob's size.
    pub blob_bytes: u64,
    /// Sums over its samples.
    pub totals: Totals,
    /// The miner's signature.
    pub signature: Signature,
}

/// Two signed commitments to one unit.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Equivocation {
    /// Who signed.
    pub miner: Address,
    /// The unit.
    pub unit: UnitId,
    /// One.
    pub first: Half,
    /// The other.
    pub second: Half,
}

/// Why two commitments prove nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EquivocationError {
    /// Signing one root again, after a lost transaction say, is no fault.
    #[error("both commitments bind root {root}")]
    SameRoot {
        /// The root.
        root: Root,
    },
    /// Anyone could have made it up.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

impl Half {
    /// The part of a commitment; nothing if the transaction is of another kind.
    fn of(transaction: &Transaction, signature: Signature) -> Option<(UnitId, Self)> {
        let Body::CommitRollouts {
            unit,
            root,
            blob,
            blob_bytes,
            totals,
        } = &transaction.body
        else {
            return None;
        };
        // No block takes a commitment that offers a fee, so none is signed over here.
        if transaction.fee != Fee::NONE {
            return None;
        }
        let half = Self {
            nonce: transaction.nonce,
            root: *root,
            blob: *blob,
            blob_bytes: *blob_bytes,
            totals: *totals,
            signature,
        };
        Some((*unit, half))
    }
    fn verify(&self, chain: ChainId, miner: Address, unit: UnitId) -> Result<(), SignatureError> {
        let Self {
            nonce,
            root,
            blob,
            blob_bytes,
            totals,
            signature,
        } = self;
        let body = Body::CommitRollouts {
            unit,
            root: *root,
            blob: *blob,
            blob_bytes: *blob_bytes,
            totals: *totals,
        };
        let transaction = Transaction::new(chain, miner, *nonce, body);
        miner.verify(&transaction.signing_bytes(), signature)
    }
}

impl Equivocation {
    /// The proof that two transactions give; nothing if they are not commitments of one sender to
    /// one unit with different roots.
    #[must_use]
    pub fn of(
        (first, first_signature): (&Transaction, Signature),
        (second, second_signature): (&Transaction, Signature),
    ) -> Option<Self> {
        let (unit, one) = Half::of(first, first_signature)?;
        let (other_unit, other) = Half::of(second, second_signature)?;
        let matches = first.sender == second.sender
            && first.chain == second.chain
            && unit == other_unit
            && one.root != other.root;
        matches.then_some(Self {
            miner: first.sender,
            unit,
            first: one,
            second: other,
        })
    }
    /// Checks that the miner signed both for this chain, and that they differ.
    ///
    /// # Errors
    /// When the roots are equal or a signature does not match.
    pub fn verify(&self, chain: ChainId) -> Result<(), EquivocationError> {
        let Self {
            miner,
            unit,
            first,
            second,
        } = self;
        if first.root == second.root {
            return Err(EquivocationError::SameRoot { root: first.root });
        }
        first.verify(chain, *miner, *unit)?;
        second.verify(chain, *miner, *unit)?;
        Ok(())
    }
}
