//! Verifiable randomness: a public key and an input fix one number, which only the holder of the
//! secret can compute and everyone can check. Spec: encoding §6. Paper: RFC 9381.
//!
//! The suite is ECVRF-EDWARDS25519-SHA512-TAI (0x03). With the secret scalar x and Y = x·B, an
//! input α is hashed to a point H of the prime-order group (salted with Y), and Γ = x·H. The
//! proof `Γ ‖ c ‖ s` shows that Γ and Y have the same logarithm: with a secret k,
//! `c = SHA-512(Y, H, Γ, k·B, k·H)` and `s = k + c·x`, so that `s·B − c·Y` and `s·H − c·Γ` hash
//! to c again. The RFC's β is the hash of 8·Γ; an [`Output`] is the tagged hash of β.
//!
//! *The output is unique, the proof is not*: a prover may choose another k, or add a point of
//! small order to Γ, and gets another valid proof of the same output. Nothing may therefore be
//! drawn from the bytes of a proof.
//!
//! Inputs are public here (beacons, units), so hashing them to a point by trial takes a time that
//! depends on nothing secret; products with x and k take constant time.
//!
//! ```
//! use protocol::vrf::Secret;
//! let secret = Secret::from_seed([7; 32]);
//! let (output, proof) = secret.prove(b"height 12");
//! assert_eq!(secret.public().verify(b"height 12", &proof), Ok(output));
//! assert!(secret.public().verify(b"height 13", &proof).is_err());
//! ```

mod curve;
#[cfg(test)]
mod tests;

use crate::identifiers::{identifier, tagged_hash};
use std::fmt;

/// Bytes of a proof: a point, a challenge of 16 bytes and a scalar.
pub const PROOF_BYTES: usize = 80;

identifier!(
    /// A public key, 32 bytes; checked to be one by [`Public::check`], and when it verifies
    /// something.
    Public
);

identifier!(
    /// A proof, 80 bytes; decoded when it is verified.
    Proof, PROOF_BYTES
);

identifier!(
    /// The number that a key and an input fix: 32 uniform bytes.
    Output
);

/// A secret key; its memory is wiped on drop.
#[derive(Clone)]
pub struct Secret(curve::Key);

/// Why randomness was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VrfError {
    /// Not a canonical point, or one of small order.
    #[error("{key} is not a key of verifiable randomness")]
    Key {
        /// The bytes given.
        key: Public,
    },
    /// A part of the proof is not canonical.
    #[error("proof {} is not canonical: its {part} is not", proof.short())]
    Malformed {
        /// The bytes given.
        proof: Proof,
        /// Which part.
        part: &'static str,
    },
    /// The proof is of another key or another input.
    #[error("proof {} does not belong to key {key} and its input", proof.short())]
    Mismatch {
        /// The claimed prover.
        key: Public,
        /// The proof.
        proof: Proof,
    },
}

impl Public {
    /// Checks that these bytes are a key: a canonical point, not of small order. Whoever registers
    /// a key must pass this, so that its proofs can be verified and its outputs are unique.
    ///
    /// # Errors
    /// When they are not.
    pub fn check(&self) -> Result<(), VrfError> {
        curve::key(self).map(|_| ())
    }
    /// The output of this key for this input, if the proof shows it.
    ///
    /// # Errors
    /// When the key or the proof is not canonical, or the proof is of something else.
    pub fn verify(&self, alpha: &[u8], proof: &Proof) -> Result<Output, VrfError> {
        curve::verify(self, alpha, proof).map(|beta| Output::from_beta(&beta))
    }
}

impl Output {
    /// The output of the RFC's 64 bytes β.
    #[must_use]
    pub fn from_beta(beta: &[u8; 64]) -> Self {
        Self(tagged_hash("cairn/vrf-output/v1", beta))
    }
    /// A uniform number below 2⁶⁴: the first eight bytes, little-endian.
    #[must_use]
    pub fn as_u64(&self) -> u64 {
        let mut low = [0; 8];
        low.copy_from_slice(&self.0[..8]);
        u64::from_le_bytes(low)
    }
    /// Whether this output, as a fraction of 2⁶⁴, is below `numerator / denominator`: true with
    /// that probability, to within 2⁻⁶⁴. Always at one and more, never at a denominator of zero.
    #[must_use]
    pub fn is_below(&self, numerator: u128, denominator: u128) -> bool {
        if numerator >= denominator {
            return denominator > 0;
        }
        u128::from(self.as_u64()) < scaled(numerator, denominator)
    }
}

/// `⌈2⁶⁴ · numerator / denominator⌉` of a fraction below one, digit by digit.
fn scaled(numerator: u128, denominator: u128) -> u128 {
    let (mut rest, mut quotient) = (numerator, 0_u128);
    for _ in 0..64 {
        // `rest` is below the denominator, so twice it is at least the denominator exactly when
        // it is at least what the denominator has left.
        let digit = rest >= denominator - rest;
        quotient = 2 * quotient + u128::from(digit);
        rest = if digit {
            rest - (denominator - rest)
        } else {
            2 * rest
        };
    }
    quotient + u128::from(rest > 0)
}

impl Secret {
    /// The key with this 32-byte secret seed: the RFC's SK.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(curve::Key::from_seed(seed))
    }
    /// The public key of this secret.
    #[must_use]
    pub const fn public(&self) -> Public {
        self.0.public()
    }
    /// The output for this input, and what shows it to others.
    #[must_use]
    pub fn prove(&self, alpha: &[u8]) -> (Output, Proof) {
        let (beta, proof) = self.0.prove(alpha);
        (Output::from_beta(&beta), proof)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret(of {})", self.public())
    }
}
