//! Bytes from an enemy are refused, and refused cheaply.

use crate::values::{block, bodies, chain, equivocation, key, signed};
use protocol::{
    BlobId, ChainId, Nonce, RunId, Signature, Step,
    block::{Block, BlockError},
    codec::{BoundedVec, Bytes, Text, decode, encode},
    gradient,
    rollout::{
        self, Digest, Equivocation, EquivocationError, OPENINGS_COUNT_MAX, Root, Shown, Totals,
    },
    task::{UnitId, UnitKind},
    transaction::{
        Body, MOVE_BYTES_MAX, MOVE_TRANSACTION_BYTES_MAX, TRANSACTION_BYTES_MAX, Transaction,
        Unverified, VerifyError,
    },
};

/// The order of the ed25519 group, little-endian.
const GROUP_ORDER: [u8; 32] = [
    0xED, 0xD3, 0xF5, 0x5C, 0x1A, 0x63, 0x12, 0x58, 0xD6, 0x9C, 0xF7, 0xA2, 0xDE, 0xF9, 0xDE, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

fn with_signature(content: &Transaction, signature: &Signature) -> Unverified {
    let bytes = [encode(content), encode(signature)].concat();
    Unverified::decode(&bytes).unwrap()
}

fn resume(nonce: u64) -> Transaction {
    Transaction::new(chain(), key(1).address(), Nonce::new(nonce), Body::Resume)
}

#[test]
fn signature_for_another_nonce_is_rejected() {
    let signature = key(1).sign(&resume(0).signing_bytes());
    assert!(
        with_signature(&resume(0), &signature)
            .verify(chain())
            .is_ok()
    );
    let replayed = with_signature(&resume(1), &signature).verify(chain());
    assert!(matches!(replayed, Err(VerifyError::Signature(_))));
}

#[test]
fn signature_for_another_body_is_rejected() {
    let signature = key(1).sign(&resume(0).signing_bytes());
    for body in bodies() {
        let is_same = body == Body::Resume;
        let content = Transaction::new(chain(), key(1).address(), Nonce::new(0), body);
        let verified = with_signature(&content, &signature).verify(chain());
        assert_eq!(verified.is_ok(), is_same);
    }
}

#[test]
fn signature_for_another_chain_is_rejected() {
    let other = ChainId::from_bytes([0x12; 32]);
    let found = signed(0, Body::Resume).verify(other);
    assert!(matches!(found, Err(VerifyError::Chain { .. })));
    let signature = key(1).sign(&resume(0).signing_bytes());
    let mut content = resume(0);
    content.chain = other;
    let moved = with_signature(&content, &signature).verify(other);
    assert!(matches!(moved, Err(VerifyError::Signature(_))));
}

#[test]
fn signature_of_another_key_is_rejected() {
    let signature = key(2).sign(&resume(0).signing_bytes());
    assert!(
        with_signature(&resume(0), &signature)
            .verify(chain())
            .is_err()
    );
}

#[test]
fn malleated_signature_is_rejected() {
    let mut bytes = *key(1).sign(&resume(0).signing_bytes()).as_bytes();
    let mut carry = 0;
    for (byte, order) in bytes[32..].iter_mut().zip(GROUP_ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        let [low, high] = sum.to_le_bytes();
        *byte = low;
        carry = u16::from(high);
    }
    let malleated = with_signature(&resume(0), &Signature::from_bytes(bytes));
    assert!(malleated.verify(chain()).is_err());
}

#[test]
fn key_of_small_order_is_rejected() {
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut content = resume(0);
    content.sender = protocol::Address::from_bytes(identity);
    let mut signature = [0; 64];
    signature[0] = 1;
    let forged = with_signature(&content, &Signature::from_bytes(signature));
    assert!(forged.verify(chain()).is_err());
}

#[test]
fn sequences_longer_than_their_type_are_rejected() {
    let three = encode(&vec![1_u8, 2, 3]);
    assert!(decode::<BoundedVec<u8, 3>>("sequence", &three, 64).is_ok());
    assert!(decode::<BoundedVec<u8, 2>>("sequence", &three, 64).is_err());
    assert!(decode::<Bytes<3>>("bytes", &three, 64).is_ok());
    assert!(decode::<Bytes<2>>("bytes", &three, 64).is_err());
    assert!(decode::<Text<5>>("text", &encode("cairn"), 64).is_ok());
    assert!(decode::<Text<4>>("text", &encode("cairn"), 64).is_err());
    assert!(BoundedVec::<u8, 2>::new(vec![1, 2, 3]).is_err());
    assert!(Bytes::<2>::new(vec![1, 2, 3]).is_err());
    assert!(Text::<4>::new("cairn").is_err());
}

#[test]
fn text_that_deceives_is_rejected() {
    for text in [
        "line\nbreak",
        "nul\0",
        "over\u{202E}ride",
        "iso\u{2066}late",
    ] {
        assert!(decode::<Text<64>>("text", &encode(text), 64).is_err());
    }
    assert!(decode::<Text<64>>("text", &encode(&vec![0xFF_u8]), 64).is_err());
}

#[test]
fn claimed_length_without_bytes_is_rejected() {
    let mut bytes = encode(&crate::values::unit(protocol::task::UnitKind::Rollout));
    bytes.extend([0; 32]);
    bytes.extend(u32::MAX.to_le_bytes());
    assert!(rollout::Payload::decode(&bytes).is_err());
    assert!(gradient::Payload::decode(&bytes).is_err());
    let claimed = encode(&(1_u32 << 30));
    assert!(decode::<Bytes<{ 1 << 30 }>>("bytes", &claimed, 64).is_err());
}

#[test]
fn transaction_above_its_limit_is_rejected() {
    let bytes = vec![0; MOVE_TRANSACTION_BYTES_MAX + 1];
    let error = Unverified::decode(&bytes).unwrap_err().to_string();
    assert_eq!(
        error,
        "transaction has 32769 bytes; at most 32768 are allowed"
    );
    let unit = crate::values::unit(protocol::task::UnitKind::Gradient);
    let play = Bytes::new(vec![0; MOVE_BYTES_MAX]).unwrap();
    let play = signed(0, Body::Dispute { unit, play });
    assert!(Unverified::decode(&play.encode()).is_ok());
    let mut opening = crate::values::opening();
    let Shown::Open { opened } = &mut opening.shown else {
        panic!("shown open");
    };
    opened.parts = BoundedVec::new(vec![Digest::from_bytes([1; 32]); 16]).unwrap();
    let openings = BoundedVec::new(vec![opening; OPENINGS_COUNT_MAX]).unwrap();
    let long = signed(0, Body::Open { openings }).encode();
    assert!((TRANSACTION_BYTES_MAX..MOVE_TRANSACTION_BYTES_MAX).contains(&long.len()));
    let error = Unverified::decode(&long).unwrap_err().to_string();
    let count = long.len();
    assert_eq!(
        error,
        format!("transaction has {count} bytes; at most 8192 are allowed")
    );
}

#[test]
fn unknown_kind_is_rejected() {
    let mut bytes = signed(0, Body::Resume).encode();
    // After chain, sender, nonce and fee.
    bytes[32 + 32 + 8 + 16] = 200;
    assert!(Unverified::decode(&bytes).is_err());
}

#[test]
fn block_with_other_transactions_is_rejected() {
    let mut changed = block();
    assert!(changed.clone().verify(chain()).is_ok());
    let mut transactions = changed.transactions.into_vec();
    transactions.swap(0, 1);
    changed.transactions = BoundedVec::new(transactions).unwrap();
    let found = changed.verify(chain());
    assert!(matches!(found, Err(BlockError::Transactions { .. })));
}

#[test]
fn block_with_a_forged_transaction_is_rejected() {
    let forged = with_signature(&resume(0), &Signature::from_bytes([0; 64]));
    let mut changed = block();
    changed.header.transactions_root = Block::root_of(std::slice::from_ref(&forged));
    changed.transactions = BoundedVec::new(vec![forged]).unwrap();
    let found = changed.verify(chain());
    assert!(matches!(
        found,
        Err(BlockError::Transaction { index: 0, .. })
    ));
}

#[test]
fn block_of_another_chain_is_rejected() {
    let found = block().verify(ChainId::from_bytes([0x12; 32]));
    assert!(matches!(found, Err(BlockError::Chain { .. })));
}

#[test]
fn text_that_names_no_unit_is_rejected() {
    for text in [
        "",
        "0.1.rollout",
        "0.1.audit.3",
        "0.1.rollout.3.4",
        "0.-1.rollout.3",
    ] {
        assert!(text.parse::<UnitId>().is_err());
    }
}

#[test]
fn a_commitment_to_the_largest_unit_fits_in_300_bytes() {
    let largest = Totals {
        samples_count: u32::MAX,
        tokens_count: u32::MAX,
        reward_micro: u64::MAX,
        exact_count: u32::MAX,
    };
    let unit = UnitId {
        run: RunId::new(u64::MAX),
        step: Step::new(u64::MAX),
        kind: UnitKind::Rollout,
        index: u32::MAX,
    };
    let body = Body::CommitRollouts {
        unit,
        root: Root::from_bytes([0xFF; 32]),
        blob: BlobId::from_bytes([0xFF; 32]),
        blob_bytes: u64::MAX,
        totals: largest,
    };
    let bytes = signed(u64::MAX, body).encode().len();
    assert!(bytes <= 300, "{bytes} bytes");
}

#[test]
fn two_commitments_prove_something_only_if_one_key_signed_both_and_their_roots_differ() {
    let proof = equivocation();
    assert_eq!(proof.verify(chain()), Ok(()));
    let is_refused = |change: fn(&mut Equivocation)| {
        let mut changed = equivocation();
        change(&mut changed);
        changed.verify(chain()).unwrap_err()
    };
    let same = is_refused(|proof| proof.second = proof.first.clone());
    assert!(matches!(same, EquivocationError::SameRoot { .. }));
    let changes: [fn(&mut Equivocation); 8] = [
        |proof| proof.miner = key(2).address(),
        |proof| proof.unit.index += 1,
        |proof| proof.first.nonce = Nonce::new(9),
        |proof| proof.first.root = Root::from_bytes([1; 32]),
        |proof| proof.second.blob_bytes += 1,
        |proof| proof.second.blob = BlobId::of(b"another"),
        |proof| proof.second.totals.exact_count += 1,
        |proof| proof.second.signature = proof.first.signature,
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let error = is_refused(change);
        assert!(
            matches!(error, EquivocationError::Signature(_)),
            "change {index}"
        );
    }
    let other = ChainId::from_bytes([0x12; 32]);
    assert!(proof.verify(other).is_err(), "another chain's commitments");
}

#[test]
fn a_proof_is_made_of_two_commitments_to_one_unit_only() {
    let commits: Vec<Unverified> = bodies()
        .into_iter()
        .zip(0..)
        .map(|(body, nonce)| signed(nonce, body))
        .collect();
    let of = |one: &Unverified, other: &Unverified| {
        Equivocation::of(
            (one.claimed(), one.signature()),
            (other.claimed(), other.signature()),
        )
    };
    for one in &commits {
        for other in &commits {
            assert!(of(one, other).is_none(), "{one:?} {other:?}");
        }
    }
}
