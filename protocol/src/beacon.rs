//! Beacons: public randomness that was unknown when whatever it selects was fixed. Spec: 05-block
//! §10.
//!
//! One a block, in a chain. The proposer of a header proves the output of its verifiable
//! randomness for (chain, height, beacon before), and
//!
//! ```text
//! B_0 = H(chain)        B_h = H(B_{h−1}, output_h)
//! ```
//!
//! The output is a function of the proposer's key and of what came before, so a proposer cannot
//! try several; all it can do is stay silent, which passes the turn to another proposer, whose
//! output it does not know, and costs it a penalty. Whatever is bound in block h is drawn by the
//! beacon of block h + 2 or later.

use crate::{
    ChainId, Height,
    identifiers::{identifier, tagged_hash},
    vrf::Output,
};

identifier!(
    /// The randomness of one block.
    Beacon
);

impl Beacon {
    /// The beacon before the first block. It selects nothing.
    #[must_use]
    pub fn of_genesis(chain: ChainId) -> Self {
        Self(tagged_hash("cairn/beacon-genesis/v1", &chain))
    }
    /// What the proposer of the block at this height, the one after this beacon, proves.
    #[must_use]
    pub fn input(&self, chain: ChainId, height: Height) -> [u8; 32] {
        tagged_hash("cairn/beacon-input/v1", &(chain, height, self))
    }
    /// The beacon of the next block.
    #[must_use]
    pub fn next(&self, output: &Output) -> Self {
        Self(tagged_hash("cairn/beacon/v1", &(self, output)))
    }
}
