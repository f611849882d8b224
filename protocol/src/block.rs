//! Blocks: ordered transactions under a header that binds chain, parent and state. Spec: 05-block.

mod proposer;

pub use proposer::proposer_index;

use crate::{
    Address, BlockId, ChainId, Height, Nonce, StateRoot, TransactionId, ValidatorsHash,
    codec::{BoundedVec, DecodeError, decode, encode},
    identifiers::tagged_hash,
    transaction::{self, Unverified, VerifyError},
    vrf,
};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// Largest encoded block in bytes.
pub const BLOCK_BYTES_MAX: usize = 1 << 20;
/// Most transactions in a block.
pub const TRANSACTIONS_COUNT_MAX: usize = 4096;

/// The highest version of the formats and rules of blocks, transactions and state that this program
/// speaks. Networks begin with 0; votes raise it at a height (Spec: governance §7).
pub const VERSION_MAX: u32 = 0;

/// Transactions hash, as bound by the header.
pub type TransactionsRoot = StateRoot;

/// Binds a block's content and what came before.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Header {
    /// By which formats and rules this block, its transactions and the state after it are to be
    /// read. First, so that a program can tell a block that it does not understand.
    pub version: u32,
    /// The chain.
    pub chain: ChainId,
    /// Its height.
    pub height: Height,
    /// The consensus round in which it was first proposed; stays when it is proposed again.
    pub round: u32,
    /// The block before it; the chain's id, as bytes, for the first.
    pub parent: BlockId,
    /// Milliseconds since 1970, at least the parent's; the rules do not read it.
    pub time_ms: u64,
    /// The validator that built it, whose turn that round was.
    pub proposer: Address,
    /// State before this block, that is, after its parent.
    pub state_root: StateRoot,
    /// Hash of the transactions.
    pub transactions_root: TransactionsRoot,
    /// Who decides this height: whoever trusts that set can check the block's certificate.
    pub validators: ValidatorsHash,
    /// Who decides the next height: so whoever trusts this header knows the set to trust next.
    pub next_validators: ValidatorsHash,
    /// The proposer's randomness for this height, from which the block's beacon comes.
    pub beacon_proof: vrf::Proof,
}

impl Header {
    /// The block's identifier.
    #[must_use]
    pub fn id(&self) -> BlockId {
        BlockId::from_bytes(tagged_hash("cairn/block/v1", self))
    }
}

/// What a header says about a validator set: its keys with their powers, in ascending order of key.
#[must_use]
pub fn validators_hash(powers: &[(Address, u64)]) -> ValidatorsHash {
    ValidatorsHash::from_bytes(tagged_hash("cairn/validators/v1", powers))
}

/// A block as it travels.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Block {
    /// Binds everything else.
    pub header: Header,
    /// In order of execution.
    pub transactions: BoundedVec<Unverified, TRANSACTIONS_COUNT_MAX>,
}

/// Why a block is not valid on its own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// Another chain.
    #[error("block is for chain {found}; this chain is {expected}")]
    Chain {
        /// The block's.
        found: ChainId,
        /// Ours.
        expected: ChainId,
    },
    /// The header binds other transactions.
    #[error("header binds transactions {bound}; the body has {found}")]
    Transactions {
        /// In the header.
        bound: TransactionsRoot,
        /// Of the body.
        found: TransactionsRoot,
    },
    /// A transaction is invalid.
    #[error("transaction {index}: {source}")]
    Transaction {
        /// Its position.
        index: usize,
        /// Why.
        source: VerifyError,
    },
}

impl Block {
    /// The root that a header must carry for these transactions.
    #[must_use]
    pub fn root_of(transactions: &[Unverified]) -> TransactionsRoot {
        let ids: Vec<_> = transactions.iter().map(Unverified::id).collect();
        Self::root_of_ids(&ids)
    }
    fn root_of_ids(ids: &[TransactionId]) -> TransactionsRoot {
        TransactionsRoot::from_bytes(tagged_hash("cairn/transactions/v1", ids))
    }
    /// Reads a block.
    ///
    /// # Errors
    /// When the bytes are not one canonical block.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode("block", bytes, BLOCK_BYTES_MAX)
    }
    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }
    /// Checks chain, body and every signature.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn verify(self, chain: ChainId) -> Result<Verified, BlockError> {
        self.verify_knowing(chain, |_, _| None)
    }
    /// As [`Self::verify`], but does not check again the signature of a transaction that `known`
    /// gives for its sender and nonce: one of this chain, with the same content and signature.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn verify_knowing<'a>(
        self,
        chain: ChainId,
        known: impl Fn(Address, Nonce) -> Option<&'a transaction::Verified>,
    ) -> Result<Verified, BlockError> {
        let Self {
            header,
            transactions,
        } = self;
        if header.chain != chain {
            return Err(BlockError::Chain {
                found: header.chain,
                expected: chain,
            });
        }
        let transactions = transactions.into_vec();
        let ids: Vec<_> = transactions.iter().map(Unverified::id).collect();
        let found = Self::root_of_ids(&ids);
        if found != header.transactions_root {
            return Err(BlockError::Transactions {
                bound: header.transactions_root,
                found,
            });
        }
        let verify = |(index, (unverified, id)): (usize, (Unverified, TransactionId))| {
            let claimed = unverified.claimed();
            // The identifier binds content, chain included, and signature.
            match known(claimed.sender, claimed.nonce).filter(|known| known.id() == id) {
                Some(known) => Ok(known.clone()),
                None => unverified
                    .verify_as(id, chain)
                    .map_err(|source| BlockError::Transaction { index, source }),
            }
        };
        let transactions = transactions.into_iter().zip(ids).enumerate();
        let transactions = transactions.map(verify).collect::<Result<_, _>>()?;
        Ok(Verified {
            id: header.id(),
            header,
            transactions,
        })
    }
}

/// A block whose body matches its header and whose signatures hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    id: BlockId,
    header: Header,
    transactions: Vec<transaction::Verified>,
}

impl Verified {
    /// Builds a block from transactions already verified, as its proposer does.
    #[must_use]
    pub fn assemble(mut header: Header, transactions: Vec<transaction::Verified>) -> Self {
        let wire: Vec<_> = transactions
            .iter()
            .map(|t| t.as_unverified().clone())
            .collect();
        header.transactions_root = Block::root_of(&wire);
        Self {
            id: header.id(),
            header,
            transactions,
        }
    }
    /// The identifier.
    #[must_use]
    pub const fn id(&self) -> BlockId {
        self.id
    }
    /// The header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }
    /// In order of execution.
    #[must_use]
    pub fn transactions(&self) -> &[transaction::Verified] {
        &self.transactions
    }
    /// Back to the wire form.
    ///
    /// # Errors
    /// When there are more transactions than a block may hold.
    pub fn to_block(&self) -> Result<Block, crate::codec::TooMany> {
        let wire = self
            .transactions
            .iter()
            .map(|t| t.as_unverified().clone())
            .collect();
        Ok(Block {
            header: self.header.clone(),
            transactions: BoundedVec::new(wire)?,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use crate::{Amount, SigningKey, transaction::Body};

    const CHAIN: ChainId = ChainId::from_bytes([7; 32]);

    fn transfer(key: &SigningKey, amount: u64) -> Unverified {
        let body = Body::Transfer {
            to: key.address(),
            amount: Amount::new(amount),
        };
        transaction::Transaction::new(CHAIN, key.address(), Nonce::ZERO, body).sign(key)
    }

    fn with_signature(transaction: &Unverified, signature: crate::Signature) -> Unverified {
        let bytes = [encode(transaction.claimed()), encode(&signature)].concat();
        Unverified::decode(&bytes).unwrap()
    }

    /// A block whose header binds these transactions; nothing here reads the rest of it.
    fn block(transactions: Vec<Unverified>) -> Block {
        let zero = [0; 32];
        Block {
            header: Header {
                version: 0,
                chain: CHAIN,
                height: Height::new(1),
                round: 0,
                parent: BlockId::from_bytes(zero),
                time_ms: 0,
                proposer: Address::from_bytes(zero),
                state_root: StateRoot::from_bytes(zero),
                transactions_root: Block::root_of(&transactions),
                validators: ValidatorsHash::from_bytes(zero),
                next_validators: ValidatorsHash::from_bytes(zero),
                beacon_proof: vrf::Secret::from_seed(zero).prove(b"").1,
            },
            transactions: BoundedVec::new(transactions).unwrap(),
        }
    }

    #[test]
    fn only_the_very_transaction_that_was_checked_is_believed() {
        let key = SigningKey::from_seed([1; 32]);
        let signed = transfer(&key, 5);
        let known = signed.clone().verify(CHAIN).unwrap();
        let verify = |transaction: Unverified| {
            let block = block(vec![transaction]);
            block.verify_knowing(CHAIN, |sender, nonce| {
                assert_eq!((sender, nonce), (key.address(), Nonce::ZERO));
                Some(&known)
            })
        };
        let found = verify(signed.clone()).unwrap();
        assert_eq!(found.transactions(), std::slice::from_ref(&known));
        // Another content of the same sender and nonce, with the signature that is known.
        let other = with_signature(&transfer(&key, 6), signed.signature());
        assert!(matches!(
            verify(other),
            Err(BlockError::Transaction { index: 0, .. })
        ));
        // The same content with another signature.
        let forged = with_signature(&signed, crate::Signature::from_bytes([3; 64]));
        assert!(matches!(
            verify(forged),
            Err(BlockError::Transaction { index: 0, .. })
        ));
        // Another transaction that is rightly signed.
        let honest = transfer(&key, 6);
        assert_eq!(
            verify(honest.clone()).unwrap().transactions()[0].id(),
            honest.id()
        );
    }
}
