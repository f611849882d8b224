//! ed25519 keys and signatures; verification is strict.

use crate::{
    identifiers::{ParseError, identifier, parse_hex, tagged_hash},
    vrf,
};
use ed25519_dalek::Signer as _;
use std::fmt;

identifier!(
    /// An ed25519 public key, 32 bytes; checked to be a point only when it verifies something.
    PublicKey
);

/// An account is named by its public key.
pub type Address = PublicKey;

impl PublicKey {
    /// Checks a signature strictly: canonical encodings, no small-order keys (RFC 8032 and
    /// `verify_strict` of ed25519-dalek).
    ///
    /// # Errors
    /// When the key is not a point or the signature does not match.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), SignatureError> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(&self.0)
            .map_err(|_| SignatureError::Key { key: *self })?;
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        key.verify_strict(message, &signature)
            .map_err(|_| SignatureError::Mismatch { key: *self })
    }
}

identifier!(
    /// An ed25519 signature, 64 bytes.
    Signature, 64
);

/// Why a signature was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The key is not a valid point.
    #[error("{key} is not an ed25519 public key")]
    Key {
        /// The bytes given.
        key: PublicKey,
    },
    /// The signature does not belong to key and message.
    #[error("signature does not match key {key}")]
    Mismatch {
        /// The claimed signer.
        key: PublicKey,
    },
}

/// A secret signing key; its memory is wiped on drop.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(of {})", self.address().short())
    }
}

impl SigningKey {
    /// A fresh key from the operating system's randomness; in a page there is none to ask.
    #[cfg(not(target_family = "wasm"))]
    #[must_use]
    pub fn generate() -> Self {
        Self(ed25519_dalek::SigningKey::generate(&mut rand::rngs::OsRng))
    }
    /// The key with this 32-byte secret seed.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(&seed))
    }
    /// Reads the hexadecimal secret seed of a key file.
    ///
    /// # Errors
    /// When the text is not 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Result<Self, ParseError> {
        Ok(Self::from_seed(parse_hex::<32>(text.trim())?))
    }
    /// The secret seed; handle with care.
    #[must_use]
    pub fn to_seed(&self) -> [u8; 32] {
        self.0.to_bytes()
    }
    /// The account and public key of this secret.
    #[must_use]
    pub fn address(&self) -> Address {
        PublicKey(self.0.verifying_key().to_bytes())
    }
    /// The key of this operator's verifiable randomness; it needs no file of its own.
    #[must_use]
    pub fn vrf(&self) -> vrf::Secret {
        vrf::Secret::from_seed(tagged_hash("cairn/vrf-key/v1", self.0.as_bytes()))
    }
    /// Signs a message that already carries its domain tag.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }
}
