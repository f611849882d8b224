//! Keys by role and number, the same in every run of the tests.

use protocol::{Amount, SigningKey, class::ClassId, transaction::Body};

/// The key of the `index`-th holder of a role.
pub(crate) fn key(role: &str, index: usize) -> SigningKey {
    let seed = blake3::hash(format!("{role} {index}").as_bytes());
    SigningKey::from_seed(*seed.as_bytes())
}

/// A validator's two keys.
#[derive(Clone)]
pub(crate) struct Validator {
    /// Attests, audits, proposes blocks.
    pub(crate) operator: SigningKey,
    /// Owns the stake and votes.
    pub(crate) holder: SigningKey,
}

impl Validator {
    /// The `index`-th validator.
    pub(crate) fn new(index: usize) -> Self {
        Self {
            operator: key("operator", index),
            holder: key("holder", index),
        }
    }
}

/// A miner locks a bond, with the key of randomness that belongs to its own.
pub(crate) fn registration(key: &SigningKey, bond: u64) -> Body {
    Body::RegisterMiner {
        bond: Amount::new(bond),
        vrf: key.vrf().public(),
        class: ClassId::EXACT,
    }
}
