//! The arithmetic of RFC 9381 §5 over edwards25519; every point and scalar is decoded strictly.

use super::{PROOF_BYTES, Proof, Public, VrfError};
use curve25519_dalek::{
    EdwardsPoint, Scalar,
    edwards::CompressedEdwardsY,
    scalar::clamp_integer,
    traits::{IsIdentity as _, VartimeMultiscalarMul as _},
};
use sha2::{Digest as _, Sha512};
use zeroize::Zeroize as _;

/// The suite's number: ECVRF-EDWARDS25519-SHA512-TAI.
const SUITE: u8 = 0x03;
/// Separators of the RFC's three hashes, and what ends each.
const ENCODE: u8 = 0x01;
const CHALLENGE: u8 = 0x02;
const OUTPUT: u8 = 0x03;
const END: u8 = 0x00;
/// Bytes of a challenge.
const CHALLENGE_BYTES: usize = 16;

/// A secret scalar x, the secret from which nonces come, and Y = x·B.
#[derive(Clone)]
pub(super) struct Key {
    scalar: Scalar,
    nonce_secret: [u8; 32],
    public: Public,
}

impl Drop for Key {
    fn drop(&mut self) {
        self.scalar.zeroize();
        self.nonce_secret.zeroize();
    }
}

impl Key {
    /// RFC 8032 §5.1.5, as the suite says: both halves of the seed's hash are used.
    pub(super) fn from_seed(mut seed: [u8; 32]) -> Self {
        let mut hash: [u8; 64] = Sha512::digest(seed).into();
        let (mut low, mut nonce_secret) = ([0; 32], [0; 32]);
        low.copy_from_slice(&hash[..32]);
        nonce_secret.copy_from_slice(&hash[32..]);
        // Only products with points of the group's order follow, so x may be reduced by it.
        let scalar = Scalar::from_bytes_mod_order(clamp_integer(low));
        seed.zeroize();
        hash.zeroize();
        low.zeroize();
        let public = Public(EdwardsPoint::mul_base(&scalar).compress().0);
        Self {
            scalar,
            nonce_secret,
            public,
        }
    }

    pub(super) const fn public(&self) -> Public {
        self.public
    }

    /// §5.1: β and the proof.
    pub(super) fn prove(&self, alpha: &[u8]) -> ([u8; 64], Proof) {
        let h = encode_to_curve(&self.public, alpha)
            .expect("invariant: one of 256 hashes is a point, but with probability 2^-256");
        let h_bytes = h.compress().0;
        let gamma = h * self.scalar;
        let mut k = self.nonce(&h_bytes);
        let points = [
            self.public.0,
            h_bytes,
            gamma.compress().0,
            EdwardsPoint::mul_base(&k).compress().0,
            (h * k).compress().0,
        ];
        let c = challenge(&points);
        let s = k + scalar_of(c) * self.scalar;
        k.zeroize();
        let mut proof = [0; PROOF_BYTES];
        proof[..32].copy_from_slice(&points[2]);
        proof[32..48].copy_from_slice(&c);
        proof[48..].copy_from_slice(s.as_bytes());
        (beta(&gamma), Proof(proof))
    }

    /// §5.4.2.2: k, a function of the secret and the point, so that no two proofs share one.
    fn nonce(&self, h: &[u8; 32]) -> Scalar {
        let hash = Sha512::new().chain_update(self.nonce_secret);
        Scalar::from_bytes_mod_order_wide(&hash.chain_update(h).finalize().into())
    }
}

/// The point of a public key.
pub(super) fn key(public: &Public) -> Result<EdwardsPoint, VrfError> {
    point(&public.0)
        .filter(|point| !point.is_small_order())
        .ok_or(VrfError::Key { key: *public })
}

/// §5.3: β, if the proof is of this key and input.
pub(super) fn verify(public: &Public, alpha: &[u8], proof: &Proof) -> Result<[u8; 64], VrfError> {
    let y = key(public)?;
    let (gamma, c, s) = parts(proof)?;
    let mismatch = VrfError::Mismatch {
        key: *public,
        proof: *proof,
    };
    let Some(h) = encode_to_curve(public, alpha) else {
        return Err(mismatch);
    };
    let factor = scalar_of(c);
    let u = EdwardsPoint::vartime_double_scalar_mul_basepoint(&factor, &-y, &s);
    let v = EdwardsPoint::vartime_multiscalar_mul([s, factor], [h, -gamma]);
    let points = [
        public.0,
        h.compress().0,
        gamma.compress().0,
        u.compress().0,
        v.compress().0,
    ];
    if challenge(&points) == c {
        Ok(beta(&gamma))
    } else {
        Err(mismatch)
    }
}

/// §5.4.4, with a point that is not of small order and a scalar below the group's order.
fn parts(proof: &Proof) -> Result<(EdwardsPoint, [u8; CHALLENGE_BYTES], Scalar), VrfError> {
    let malformed = |part| VrfError::Malformed {
        proof: *proof,
        part,
    };
    let (mut gamma, mut c, mut s) = ([0; 32], [0; CHALLENGE_BYTES], [0; 32]);
    gamma.copy_from_slice(&proof.0[..32]);
    c.copy_from_slice(&proof.0[32..48]);
    s.copy_from_slice(&proof.0[48..]);
    let gamma = point(&gamma).filter(|gamma| !gamma.is_small_order());
    let gamma = gamma.ok_or_else(|| malformed("point"))?;
    let s = Option::from(Scalar::from_canonical_bytes(s)).ok_or_else(|| malformed("scalar"))?;
    Ok((gamma, c, s))
}

/// RFC 8032 §5.1.3: the point that these bytes encode, if they are its one encoding.
fn point(bytes: &[u8; 32]) -> Option<EdwardsPoint> {
    let point = CompressedEdwardsY(*bytes).decompress()?;
    (point.compress().0 == *bytes).then_some(point)
}

/// §5.4.1.1: the first hash that is a point, times the cofactor.
pub(super) fn encode_to_curve(public: &Public, alpha: &[u8]) -> Option<EdwardsPoint> {
    let salted = Sha512::new()
        .chain_update([SUITE, ENCODE])
        .chain_update(public.0)
        .chain_update(alpha);
    (0..=u8::MAX).find_map(|attempt| {
        let hash = salted.clone().chain_update([attempt, END]).finalize();
        let mut low = [0; 32];
        low.copy_from_slice(&hash[..32]);
        let candidate = point(&low)?.mul_by_cofactor();
        (!candidate.is_identity()).then_some(candidate)
    })
}

/// §5.4.3.
pub(super) fn challenge(points: &[[u8; 32]; 5]) -> [u8; CHALLENGE_BYTES] {
    let mut hash = Sha512::new().chain_update([SUITE, CHALLENGE]);
    for point in points {
        hash.update(point);
    }
    let hash = hash.chain_update([END]).finalize();
    let mut challenge = [0; CHALLENGE_BYTES];
    challenge.copy_from_slice(&hash[..CHALLENGE_BYTES]);
    challenge
}

/// A challenge as a number.
pub(super) fn scalar_of(challenge: [u8; CHALLENGE_BYTES]) -> Scalar {
    Scalar::from(u128::from_le_bytes(challenge))
}

/// §5.2: β.
fn beta(gamma: &EdwardsPoint) -> [u8; 64] {
    let gamma = gamma.mul_by_cofactor().compress().0;
    let hash = Sha512::new().chain_update([SUITE, OUTPUT]);
    hash.chain_update(gamma)
        .chain_update([END])
        .finalize()
        .into()
}
