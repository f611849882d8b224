//! Staking: how an operator agrees to sign for somebody's stake. Rules: `ledger_state::staking`.
//! Spec: staking.

use crate::{Address, ChainId, PublicKey, Signature, SigningKey, identifiers::tagged_hash, vrf};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Who locks a bond.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Computes units.
    Miner,
    /// Audits them.
    Verifier,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Miner => "miner",
            Self::Verifier => "verifier",
        })
    }
}

/// What an operator agrees to.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Offer {
    /// The chain.
    pub chain: ChainId,
    /// Whose stake it signs for.
    pub holder: Address,
    /// Its key of verifiable randomness.
    pub vrf: vrf::Public,
}

impl Offer {
    /// The bytes that are signed.
    #[must_use]
    pub fn signing_bytes(&self) -> [u8; 32] {
        tagged_hash("cairn/validator-consent/v1", self)
    }
}

/// An operator's word that it signs for a holder: nobody else can register its key.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Consent {
    /// The operator: hot key of consensus, attestations and audits.
    pub operator: Address,
    /// Its key of verifiable randomness.
    pub vrf: vrf::Public,
    /// The operator's, over [`Offer::signing_bytes`].
    pub signature: Signature,
}

impl Consent {
    /// Signs.
    #[must_use]
    pub fn new(chain: ChainId, holder: Address, operator: &SigningKey) -> Self {
        let vrf = operator.vrf().public();
        let offer = Offer { chain, holder, vrf };
        Self {
            operator: operator.address(),
            vrf,
            signature: operator.sign(&offer.signing_bytes()),
        }
    }
    /// Whether the operator signed this for this holder on this chain.
    #[must_use]
    pub fn is_for(&self, chain: ChainId, holder: Address) -> bool {
        let vrf = self.vrf;
        let offer = Offer { chain, holder, vrf };
        let signed = self
            .operator
            .verify(&offer.signing_bytes(), &self.signature);
        signed.is_ok()
    }
}

/// A key's word that it signs votes and proposals for a validator from now on: nobody else can
/// name it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Succession {
    /// The validator.
    pub operator: Address,
    /// The new key.
    pub key: PublicKey,
    /// The new key's, over the domain, the chain, the operator and the key.
    pub signature: Signature,
}

impl Succession {
    fn signing_bytes(chain: ChainId, operator: Address, key: PublicKey) -> [u8; 32] {
        tagged_hash("cairn/validator-key/v1", &(chain, operator, key))
    }
    /// Signs.
    #[must_use]
    pub fn new(chain: ChainId, operator: Address, key: &SigningKey) -> Self {
        let public = key.address();
        Self {
            operator,
            key: public,
            signature: key.sign(&Self::signing_bytes(chain, operator, public)),
        }
    }
    /// Whether the key signed this on this chain.
    #[must_use]
    pub fn is_for(&self, chain: ChainId) -> bool {
        let bytes = Self::signing_bytes(chain, self.operator, self.key);
        self.key.verify(&bytes, &self.signature).is_ok()
    }
}
