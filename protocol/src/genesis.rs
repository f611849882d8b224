//! Genesis: what everyone must agree on before the first block. Its hash is the chain's identity.

use crate::{
    Address, Amount, BlockId, ChainId, class::ClassTable, codec::Text, identifiers::tagged_hash,
    recipe::Recipe, vrf,
};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// A validator at height zero.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validator {
    /// Hot key: consensus, attestations, audits.
    pub operator: Address,
    /// Cold key: owns the stake and votes with it.
    pub holder: Address,
    /// Locked tokens; power is proportional to them.
    pub stake: Amount,
    /// The operator's key of verifiable randomness.
    pub vrf: vrf::Public,
}

/// An account at height zero.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Its key.
    pub address: Address,
    /// Its balance.
    pub balance: Amount,
}

/// A run at height zero.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// What it computes.
    pub recipe: Recipe,
    /// What it can pay.
    pub escrow: Amount,
}

/// A parameter that starts with another value than its default.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Its name, as in `governance::parameters`.
    pub name: Text<64>,
    /// Its value.
    pub value: u64,
}

/// How the chain is governed from its first block on. Spec: governance.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Governance {
    /// Blocks in a day; all periods of governance are whole days.
    pub day_blocks: u64,
    /// The deposit of a proposal, times its track's multiple.
    pub deposit_base: Amount,
    /// The founding operator, whose powers end by rule; nobody for a network without one.
    pub steward: Option<Address>,
    /// The stage of the hand-over to begin with, 0 to 3.
    pub stage: u8,
    /// Tokens that votes may spend.
    pub treasury: Amount,
}

/// The whole genesis.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// A name for people.
    pub name: Text<64>,
    /// Milliseconds since 1970.
    pub time_ms: u64,
    /// Who orders blocks at first.
    pub validators: Vec<Validator>,
    /// Who owns tokens at first.
    pub accounts: Vec<Account>,
    /// What is trained.
    pub runs: Vec<Run>,
    /// Parameters that differ from their defaults.
    pub parameters: Vec<Parameter>,
    /// How it is governed.
    pub governance: Governance,
    /// Tokens that there may ever have been; what is missing to it is made for verified work.
    pub supply_cap: Amount,
    /// Engines besides the exact one that miners may draw rollouts with.
    #[serde(default)]
    pub classes: ClassTable,
}

impl Genesis {
    /// The chain's identity.
    #[must_use]
    pub fn chain_id(&self) -> ChainId {
        ChainId::from_bytes(tagged_hash("cairn/genesis/v1", self))
    }
    /// The parent of the first block.
    #[must_use]
    pub fn block_id(&self) -> BlockId {
        BlockId::from_bytes(*self.chain_id().as_bytes())
    }
}
