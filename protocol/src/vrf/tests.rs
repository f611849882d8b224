#![allow(clippy::unwrap_used, reason = "tests")]

use super::{PROOF_BYTES, Proof, Public, Secret, VrfError, curve};
use crate::{
    SigningKey,
    codec::{decode, encode},
    identifiers::parse_hex,
    vrf::Output,
};
use curve25519_dalek::{
    EdwardsPoint, Scalar,
    constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION},
};
use serde_json::Value;

/// The group's order as a number of 32 bytes, little-endian.
const GROUP_ORDER: [u8; 32] = [
    0xED, 0xD3, 0xF5, 0x5C, 0x1A, 0x63, 0x12, 0x58, 0xD6, 0x9C, 0xF7, 0xA2, 0xDE, 0xF9, 0xDE, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

fn secret() -> Secret {
    Secret::from_seed([7; 32])
}

fn text<'a>(row: &'a Value, part: &str, field: &str) -> &'a str {
    row[part][field].as_str().unwrap()
}

/// The proof with other bytes from here on.
fn with(proof: &Proof, start: usize, bytes: &[u8]) -> Proof {
    let mut changed = *proof.as_bytes();
    changed[start..start + bytes.len()].copy_from_slice(bytes);
    Proof::from_bytes(changed)
}

#[test]
fn vectors_of_the_rfc_hold() {
    let table = include_str!("../../../spec/vectors/vrf.json");
    let rows: Vec<Value> = serde_json::from_str(table).unwrap();
    assert_eq!(rows.len(), 3);
    for row in &rows {
        let secret = Secret::from_seed(parse_hex(text(row, "input", "seed")).unwrap());
        let alpha = hex::decode(text(row, "input", "alpha")).unwrap();
        let public = secret.public();
        assert_eq!(public.to_string(), text(row, "expect", "public"));
        let point = curve::encode_to_curve(&public, &alpha).unwrap().compress();
        assert_eq!(hex::encode(point.0), text(row, "expect", "point"));
        let (output, proof) = secret.prove(&alpha);
        assert_eq!(proof.to_string(), text(row, "expect", "proof"));
        let beta = parse_hex(text(row, "expect", "beta")).unwrap();
        assert_eq!(output, Output::from_beta(&beta));
        assert_eq!(curve::verify(&public, &alpha, &proof), Ok(beta));
        assert_eq!(public.verify(&alpha, &proof), Ok(output));
    }
}

#[test]
fn a_proof_of_another_input_or_key_is_refused() {
    let (_, proof) = secret().prove(b"twelve");
    let other = Secret::from_seed([8; 32]).public();
    for (key, alpha) in [(secret().public(), "thirteen"), (other, "twelve")] {
        let found = key.verify(alpha.as_bytes(), &proof);
        assert_eq!(found, Err(VrfError::Mismatch { key, proof }));
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    let (_, proof) = secret().prove(b"twelve");
    for bit in 0..PROOF_BYTES * 8 {
        let mut bytes = *proof.as_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let changed = Proof::from_bytes(bytes);
        let found = secret().public().verify(b"twelve", &changed);
        assert!(found.is_err(), "bit {bit}");
    }
}

#[test]
fn a_scalar_above_the_group_order_is_refused() {
    let (_, proof) = secret().prove(b"twelve");
    let mut scalar = [0; 32];
    let mut carry = 0;
    for (index, byte) in scalar.iter_mut().enumerate() {
        let sum = u16::from(proof.as_bytes()[48 + index]) + u16::from(GROUP_ORDER[index]) + carry;
        let [low, high] = sum.to_le_bytes();
        *byte = low;
        carry = u16::from(high);
    }
    let proof = with(&proof, 48, &scalar);
    let part = "scalar";
    let found = secret().public().verify(b"twelve", &proof);
    assert_eq!(found, Err(VrfError::Malformed { proof, part }));
}

#[test]
fn points_of_small_order_are_refused() {
    let (_, proof) = secret().prove(b"twelve");
    let part = "point";
    for torsion in EIGHT_TORSION {
        let bytes = torsion.compress().0;
        let key = Public::from_bytes(bytes);
        assert_eq!(key.check(), Err(VrfError::Key { key }));
        assert_eq!(key.verify(b"twelve", &proof), Err(VrfError::Key { key }));
        let proof = with(&proof, 0, &bytes);
        let found = secret().public().verify(b"twelve", &proof);
        assert_eq!(found, Err(VrfError::Malformed { proof, part }));
    }
}

#[test]
fn second_encodings_of_a_point_are_refused() {
    // y = 1 + p is the identity written a second time, and y = 1 with a sign is a third.
    let mut above = [0xFF; 32];
    above[0] = 0xEE;
    above[31] = 0x7F;
    let mut signed = [0; 32];
    signed[0] = 1;
    signed[31] = 0x80;
    // y = 3 + p is a point of large order, written as a number above p.
    let mut large = above;
    large[0] = 0xF0;
    for bytes in [above, signed, large] {
        let key = Public::from_bytes(bytes);
        assert_eq!(key.check(), Err(VrfError::Key { key }));
        let (_, proof) = secret().prove(b"twelve");
        let proof = with(&proof, 0, &bytes);
        assert!(secret().public().verify(b"twelve", &proof).is_err());
    }
    let mut canonical = [0; 32];
    canonical[0] = 3;
    assert_eq!(Public::from_bytes(canonical).check(), Ok(()));
}

/// Proofs are not unique and outputs are: the prover adds a point of order 8 to Γ and searches a
/// nonce whose challenge is a multiple of 8, so that the addition disappears.
#[test]
fn a_second_proof_of_the_same_input_has_the_same_output() {
    let seed = [7; 32];
    let (output, proof) = secret().prove(b"twelve");
    let public = secret().public();
    let scalar = {
        use sha2::Digest as _;
        let hash: [u8; 64] = sha2::Sha512::digest(seed).into();
        let low: [u8; 32] = hash[..32].try_into().unwrap();
        Scalar::from_bytes_mod_order(curve25519_dalek::scalar::clamp_integer(low))
    };
    assert_eq!(
        (ED25519_BASEPOINT_POINT * scalar).compress().0,
        public.0,
        "the scalar of the key"
    );
    let h = curve::encode_to_curve(&public, b"twelve").unwrap();
    let gamma = h * scalar + EIGHT_TORSION[1];
    let forged = (1_u64..).find_map(|k| {
        let k = Scalar::from(k);
        let points = [
            public.0,
            h.compress().0,
            gamma.compress().0,
            EdwardsPoint::mul_base(&k).compress().0,
            (h * k).compress().0,
        ];
        let c = curve::challenge(&points);
        let s = k + curve::scalar_of(c) * scalar;
        let bytes = [&points[2][..], &c, s.as_bytes()].concat();
        c[0].is_multiple_of(8)
            .then(|| Proof::from_bytes(bytes.try_into().unwrap()))
    });
    let forged = forged.unwrap();
    assert_ne!(forged, proof);
    assert_eq!(public.verify(b"twelve", &forged), Ok(output));
}

#[test]
fn fractions_split_outputs_where_they_should() {
    let output = |low: u64| {
        let mut bytes = [0xAB; 32];
        bytes[..8].copy_from_slice(&low.to_le_bytes());
        Output::from_bytes(bytes)
    };
    let half = 1_u64 << 63;
    assert!(output(half - 1).is_below(1, 2));
    assert!(!output(half).is_below(1, 2));
    // A third of 2^64 is 6 148 914 691 236 517 205 and a third.
    assert!(output(6_148_914_691_236_517_205).is_below(1, 3));
    assert!(!output(6_148_914_691_236_517_206).is_below(1, 3));
    assert!(output(u64::MAX).is_below(1, 1));
    assert!(output(u64::MAX).is_below(u128::MAX, 1));
    assert!(output(u64::MAX).is_below(u128::MAX - 1, u128::MAX));
    assert!(output(half - 1).is_below(u128::MAX / 2, u128::MAX));
    assert!(!output(half).is_below(u128::MAX / 2, u128::MAX));
    assert!(!output(0).is_below(0, 1));
    assert!(!output(0).is_below(0, 0) && !output(0).is_below(1, 0));
    assert_eq!(output(half + 5).as_u64(), half + 5);
}

#[test]
fn randomness_and_signature_of_one_operator_have_different_keys() {
    let operator = SigningKey::from_seed([7; 32]);
    let public = operator.vrf().public();
    assert_ne!(public.as_bytes(), operator.address().as_bytes());
    assert_eq!(public, SigningKey::from_seed([7; 32]).vrf().public());
    assert_ne!(public, SigningKey::from_seed([8; 32]).vrf().public());
}

#[test]
fn keys_proofs_and_outputs_return_from_bytes_and_text() {
    let (output, proof) = secret().prove(b"twelve");
    let public = secret().public();
    assert_eq!(decode("key", &encode(&public), 32), Ok(public));
    assert_eq!(decode("proof", &encode(&proof), 80), Ok(proof));
    assert_eq!(decode("output", &encode(&output), 32), Ok(output));
    assert!(decode::<Proof>("proof", &encode(&proof)[..79], 80).is_err());
    let json = serde_json::to_string(&proof).unwrap();
    assert_eq!(serde_json::from_str::<Proof>(&json).unwrap(), proof);
    assert_eq!(proof.to_string().parse(), Ok(proof));
    assert_eq!(public.to_string().parse(), Ok(public));
}
