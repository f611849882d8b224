//! What an operator signs to be among a genesis' validators.

use super::draft::take_stake;
use crate::home::Config;
use anyhow::{Context as _, Result, bail};
use borsh::BorshSerialize;
use protocol::{
    Amount, Signature, SigningKey,
    genesis::{Genesis, Validator},
    identifiers::tagged_hash,
};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// A validator's word, bound to one draft.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// Hash of the draft, in hexadecimal digits.
    pub draft: String,
    /// The validator.
    pub validator: Validator,
    /// Where others reach its consensus.
    pub consensus: String,
    /// Where others reach its gossip and blobs.
    pub network: String,
    /// By the operator's key.
    pub operator_signature: Signature,
    /// By the holder's key.
    pub holder_signature: Signature,
}

/// What both keys sign, under a tag of its own.
#[derive(BorshSerialize)]
struct Signed<'a> {
    draft: &'a str,
    validator: &'a Validator,
    consensus: &'a str,
    network: &'a str,
}

/// A draft's hash: that of all it says.
fn hash(draft: &Genesis) -> String {
    hex::encode(tagged_hash("cairn/genesis-draft/v1", draft))
}

impl Statement {
    /// Signs for a home that is reached at `address`.
    ///
    /// # Errors
    /// When the home's configuration names no port.
    pub(super) fn sign(
        draft: &Genesis,
        (operator, holder): (SigningKey, SigningKey),
        stake: Amount,
        config: &Config,
        address: Ipv4Addr,
    ) -> Result<Self> {
        let reached = |listens: &str| -> Result<String> {
            let port = listens.rsplit_once("/tcp/").map(|(_, port)| port);
            let port = port.with_context(|| format!("{listens:?} names no port"))?;
            Ok(format!("/ip4/{address}/tcp/{port}"))
        };
        let mut statement = Self {
            draft: hash(draft),
            validator: Validator {
                operator: operator.address(),
                holder: holder.address(),
                stake,
                vrf: operator.vrf().public(),
            },
            consensus: reached(&config.consensus)?,
            network: reached(&config.network)?,
            operator_signature: Signature::from_bytes([0; 64]),
            holder_signature: Signature::from_bytes([0; 64]),
        };
        let message = statement.message();
        statement.operator_signature = operator.sign(&message);
        statement.holder_signature = holder.sign(&message);
        Ok(statement)
    }

    fn message(&self) -> [u8; 32] {
        let Self {
            draft,
            validator,
            consensus,
            network,
            ..
        } = self;
        let signed = Signed {
            draft,
            validator,
            consensus,
            network,
        };
        tagged_hash("cairn/genesis-validator/v1", &signed)
    }

    /// Whether both keys signed this for this draft, and the draft gives the stake.
    ///
    /// # Errors
    /// When they did not, or the holder has less.
    pub(super) fn check(&self, draft: &Genesis) -> Result<()> {
        let (own, given) = (&self.draft, hash(draft));
        if *own != given {
            bail!("it was signed for draft {own}; this draft is {given}");
        }
        let message = self.message();
        let validator = &self.validator;
        let signatures = [
            ("operator", validator.operator, self.operator_signature),
            ("holder", validator.holder, self.holder_signature),
        ];
        for (who, key, signature) in signatures {
            let checked = key.verify(&message, &signature);
            checked.with_context(|| format!("the {who}'s signature does not hold"))?;
        }
        take_stake(&mut draft.clone(), validator)
    }
}
