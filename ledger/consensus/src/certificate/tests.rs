//! One row per way to lie about finality.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::validators::Validator;

const CHAIN: ChainId = ChainId::from_bytes([1; 32]);
const OTHER_CHAIN: ChainId = ChainId::from_bytes([2; 32]);

fn keys() -> Vec<SigningKey> {
    let mut keys: Vec<_> = (1..=4)
        .map(|seed| SigningKey::from_seed([seed; 32]))
        .collect();
    keys.sort_by_key(SigningKey::address);
    keys
}

fn set(keys: &[SigningKey]) -> ValidatorSet {
    let validators = keys
        .iter()
        .map(|key| Validator {
            key: key.address(),
            power: 10,
        })
        .collect();
    ValidatorSet::new(validators).unwrap()
}

fn signed_by(keys: &[SigningKey], chain: ChainId) -> Certificate {
    let mut certificate = Certificate {
        height: Height::new(5),
        round: 2,
        block_id: BlockId::from_bytes([3; 32]),
        signatures: BoundedVec::new(vec![]).unwrap(),
    };
    let message = certificate.vote().signing_bytes(chain);
    let signatures = keys
        .iter()
        .map(|key| (key.address(), key.sign(&message)))
        .collect();
    certificate.signatures = BoundedVec::new(signatures).unwrap();
    certificate
}

fn with_signatures(
    certificate: &Certificate,
    change: impl FnOnce(&mut Vec<(PublicKey, Signature)>),
) -> Certificate {
    let mut signatures = certificate.signatures.clone().into_vec();
    change(&mut signatures);
    Certificate {
        signatures: BoundedVec::new(signatures).unwrap(),
        ..certificate.clone()
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn only_a_quorum_of_validators_over_these_exact_fields_is_accepted() {
    let keys = keys();
    let set = set(&keys);
    let height = Height::new(5);
    let good = signed_by(&keys[..3], CHAIN);
    let first = keys[0].address();
    let mismatch = |height: u64| CertificateError::Signature {
        height: Height::new(height),
        source: SignatureError::Mismatch { key: first },
    };
    let stranger = SigningKey::from_seed([99; 32]);
    let with_stranger = signed_by(&[keys[0].clone(), stranger.clone()], CHAIN);
    let table = [
        ("three of four", good.clone(), Ok(())),
        ("four of four", signed_by(&keys, CHAIN), Ok(())),
        (
            "too little power",
            signed_by(&keys[..2], CHAIN),
            Err(CertificateError::Power {
                height,
                power: 20,
                power_total: 40,
            }),
        ),
        (
            "nobody",
            signed_by(&[], CHAIN),
            Err(CertificateError::Power {
                height,
                power: 0,
                power_total: 40,
            }),
        ),
        (
            "duplicate signer",
            with_signatures(&good, |signatures| signatures[1] = signatures[0]),
            Err(CertificateError::Order {
                height,
                signer: first,
            }),
        ),
        (
            "not in order",
            with_signatures(&good, |signatures| signatures.reverse()),
            Err(CertificateError::Order {
                height,
                signer: keys[1].address(),
            }),
        ),
        (
            "unknown signer",
            with_stranger,
            Err(CertificateError::UnknownSigner {
                height,
                signer: stranger.address(),
            }),
        ),
        (
            "forged signature",
            with_signatures(&good, |signatures| signatures[0].1 = signatures[1].1),
            Err(mismatch(5)),
        ),
        (
            "wrong height",
            Certificate {
                height: Height::new(6),
                ..good.clone()
            },
            Err(mismatch(6)),
        ),
        (
            "wrong round",
            Certificate {
                round: 3,
                ..good.clone()
            },
            Err(mismatch(5)),
        ),
        (
            "wrong block",
            Certificate {
                block_id: BlockId::from_bytes([4; 32]),
                ..good
            },
            Err(mismatch(5)),
        ),
        (
            "wrong chain",
            signed_by(&keys[..3], OTHER_CHAIN),
            Err(mismatch(5)),
        ),
    ];
    for (name, certificate, expect) in table {
        assert_eq!(certificate.verify(CHAIN, &set), expect, "{name}");
    }
}

#[test]
fn prevotes_do_not_certify() {
    let keys = keys();
    let mut certificate = signed_by(&[], CHAIN);
    let vote = Vote {
        kind: VoteKind::Prevote,
        ..certificate.vote()
    };
    let message = vote.signing_bytes(CHAIN);
    let signatures = keys
        .iter()
        .map(|key| (key.address(), key.sign(&message)))
        .collect();
    certificate.signatures = BoundedVec::new(signatures).unwrap();
    assert!(certificate.verify(CHAIN, &set(&keys)).is_err());
}

#[test]
fn encoding_is_pinned_and_round_trips() {
    let certificate = signed_by(&keys()[..1], CHAIN);
    let bytes = protocol::codec::encode(&certificate);
    assert_eq!(bytes.len(), 8 + 4 + 32 + 4 + 96);
    assert_eq!(bytes[..12], [5, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0]);
    assert_eq!(
        protocol::codec::decode::<Certificate>("certificate", &bytes, 1 << 16),
        Ok(certificate)
    );
}

#[test]
fn a_precommit_signs_domain_chain_and_fields() {
    let vote = signed_by(&[], CHAIN).vote();
    let mut content = vec![1; 32];
    content.extend([1, 5, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1]);
    content.extend([3; 32]);
    assert_eq!(protocol::codec::encode(&(CHAIN, vote)), content);
    let expect = blake3::derive_key("cairn/consensus/vote/v1", &content);
    assert_eq!(vote.signing_bytes(CHAIN), expect);
}
