//! One row per way to send a body badly.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::{Validator, stock::parts::split};
use bytes::Bytes;
use malachitebft_app_channel::app::streaming::StreamId;
use protocol::{BlockId, Signature, SigningKey};

const CHAIN: ChainId = ChainId::from_bytes([1; 32]);
const HEIGHT: Height = Height::new(10);

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed([seed; 32])
}

fn publisher(seed: u8) -> Option<PeerId> {
    Some(peer_id(&key(seed).address()))
}

fn assembler() -> Assembler {
    let validator = |seed| Validator {
        key: key(seed).address(),
        power: 1,
    };
    let mut assembler = Assembler::new(CHAIN);
    let set = ValidatorSet::new((1..=4).map(validator).collect()).unwrap();
    assembler.begin(HEIGHT, &set);
    assembler
}

fn body(bytes: usize) -> Vec<u8> {
    (0..251).cycle().take(bytes).collect()
}

fn head(height: Height, body: &[u8]) -> SignedHead {
    SignedHead::new(
        CHAIN,
        (height, 0),
        BlockId::from_bytes([7; 32]),
        body,
        &key(1),
    )
}

fn message(name: &[u8], sequence: u64, part: Part) -> StreamMessage<Part> {
    let stream_id = StreamId::new(Bytes::copy_from_slice(name));
    StreamMessage::new(stream_id, sequence, StreamContent::Data(part))
}

fn messages(name: &[u8], head: SignedHead, body: &[u8]) -> Vec<StreamMessage<Part>> {
    (0..)
        .zip(split(head, None, body))
        .map(|(sequence, part)| message(name, sequence, part))
        .collect()
}

#[test]
fn a_body_is_assembled_in_any_order() {
    let body = body(3 * CHUNK_BYTES + 5);
    let head = head(HEIGHT, &body);
    let forward = messages(b"a", head, &body);
    let backward: Vec<_> = messages(b"b", head, &body).into_iter().rev().collect();
    for order in [forward, backward] {
        let mut assembler = assembler();
        let last = order.len() - 1;
        for (index, message) in order.into_iter().enumerate() {
            let received = assembler.receive(publisher(1), message).unwrap();
            assert_eq!(received.is_some(), index == last);
            if let Some(found) = received {
                assert_eq!(
                    found,
                    Body {
                        head,
                        bytes: body.clone()
                    }
                );
            }
        }
        assert_eq!((assembler.bytes, assembler.streams.len()), (0, 0));
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn hostile_parts_are_refused() {
    let small = body(10);
    let good = head(HEIGHT, &small);
    let stranger = peer_id(&key(9).address());
    let low = head(Height::new(9), &small);
    let high = head(Height::new(13), &small);
    let forged = SignedHead {
        signature: Signature::from_bytes([0; 64]),
        ..good
    };
    let claim = |bytes: u32| {
        let mut signed = good;
        signed.head.body_bytes = bytes;
        signed
    };
    let (empty, huge) = (claim(0), claim(BLOCK_BYTES_MAX + 1));
    let height_error = |height| PartError::Height {
        height,
        min: HEIGHT,
        max: Height::new(12),
    };
    let mismatch = PartError::Signature {
        source: SignatureError::Mismatch {
            key: key(1).address(),
        },
    };
    let fin = StreamMessage::new(
        StreamId::new(Bytes::from_static(b"a")),
        5,
        StreamContent::Fin,
    );
    let chunk = |bytes: usize| Part::Chunk(body(bytes));
    let table = [
        (
            None,
            message(b"a", 0, Part::Head(good)),
            PartError::Anonymous,
        ),
        (
            Some(stranger),
            message(b"a", 0, Part::Head(good)),
            PartError::Stranger {
                publisher: stranger,
            },
        ),
        (
            publisher(1),
            message(&[0; 33], 0, Part::Head(good)),
            PartError::StreamName { bytes: 33 },
        ),
        (
            publisher(1),
            message(b"a", u64::MAX, chunk(1)),
            PartError::Sequence { sequence: u64::MAX },
        ),
        (
            publisher(1),
            message(b"a", 0, chunk(1)),
            PartError::Kind { sequence: 0 },
        ),
        (
            publisher(1),
            message(b"a", 1, Part::Head(good)),
            PartError::Kind { sequence: 1 },
        ),
        (publisher(1), fin, PartError::Kind { sequence: 5 }),
        (
            publisher(1),
            message(b"a", 1, chunk(0)),
            PartError::ChunkSize { bytes: 0 },
        ),
        (
            publisher(1),
            message(b"a", 1, chunk(CHUNK_BYTES + 1)),
            PartError::ChunkSize {
                bytes: CHUNK_BYTES + 1,
            },
        ),
        (
            publisher(1),
            message(b"a", 0, Part::Head(low)),
            height_error(Height::new(9)),
        ),
        (
            publisher(1),
            message(b"a", 0, Part::Head(high)),
            height_error(Height::new(13)),
        ),
        (
            publisher(1),
            message(b"a", 0, Part::Head(empty)),
            PartError::BodySize { bytes: 0 },
        ),
        (
            publisher(1),
            message(b"a", 0, Part::Head(huge)),
            PartError::BodySize {
                bytes: BLOCK_BYTES_MAX + 1,
            },
        ),
        (publisher(1), message(b"a", 0, Part::Head(forged)), mismatch),
    ];
    for (publisher, message, expect) in table {
        assert_eq!(assembler().receive(publisher, message), Err(expect));
    }
}

#[test]
fn a_body_that_is_not_the_announced_one_is_refused() {
    let announced = body(10);
    let signed = head(HEIGHT, &announced);
    let mut other = announced;
    other[3] ^= 1;
    for (sent, is_hash_error) in [(other, true), (body(9), false), (body(11), false)] {
        let mut assembler = assembler();
        assembler
            .receive(publisher(1), message(b"a", 0, Part::Head(signed)))
            .unwrap();
        let error = assembler
            .receive(publisher(1), message(b"a", 1, Part::Chunk(sent)))
            .unwrap_err();
        assert_eq!(matches!(error, PartError::Hash { .. }), is_hash_error);
        assert_eq!(matches!(error, PartError::Length { .. }), !is_hash_error);
        assert!(assembler.streams.is_empty());
    }
}

#[test]
fn repeated_parts_are_refused() {
    let body = body(2 * CHUNK_BYTES);
    let sent = messages(b"a", head(HEIGHT, &body), &body);
    let mut assembler = assembler();
    for (sequence, part) in [(0, &sent[0]), (1, &sent[1])] {
        assembler.receive(publisher(1), part.clone()).unwrap();
        let again = assembler.receive(publisher(1), part.clone());
        assert_eq!(again, Err(PartError::Repeated { sequence }));
    }
}

#[test]
fn a_flood_displaces_only_the_publishers_own_streams() {
    let body = body(2 * CHUNK_BYTES);
    let honest = messages(b"honest", head(HEIGHT, &body), &body);
    let mut assembler = assembler();
    assembler.receive(publisher(1), honest[0].clone()).unwrap();
    assembler.receive(publisher(1), honest[1].clone()).unwrap();
    for stream in 0..1_000_u32 {
        let part = message(&stream.to_le_bytes(), 1, Part::Chunk(vec![0; 100]));
        assembler.receive(publisher(2), part).unwrap();
    }
    assert_eq!(assembler.streams.len(), 1 + STREAM_COUNT_PER_PUBLISHER_MAX);
    assert!(
        assembler
            .receive(publisher(1), honest[2].clone())
            .unwrap()
            .is_some()
    );
}

#[test]
fn buffered_bytes_stay_bounded() {
    let mut assembler = assembler();
    for stream in 0..5_u32 {
        for seed in 1..=4 {
            for sequence in 1..=CHUNK_COUNT_MAX {
                let chunk = Part::Chunk(vec![0; CHUNK_BYTES]);
                let part = message(&stream.to_le_bytes(), sequence, chunk);
                assembler.receive(publisher(seed), part).unwrap();
                assert!(assembler.bytes <= BUFFERED_BYTES_MAX);
            }
        }
    }
}

#[test]
fn a_new_height_forgets_old_streams_and_former_validators() {
    let body = body(2 * CHUNK_BYTES);
    let sent = messages(b"a", head(HEIGHT, &body), &body);
    let mut assembler = assembler();
    assembler.receive(publisher(1), sent[0].clone()).unwrap();
    assembler.receive(publisher(2), sent[1].clone()).unwrap();
    let only_first = Validator {
        key: key(1).address(),
        power: 1,
    };
    assembler.begin(HEIGHT.next(), &ValidatorSet::new(vec![only_first]).unwrap());
    assert_eq!((assembler.bytes, assembler.streams.len()), (0, 0));
}

#[test]
fn a_peer_id_is_the_key() {
    let key = key(1).address();
    assert_eq!(peer_id(&key).to_bytes()[6..], key.as_bytes()[..]);
}

#[test]
fn a_node_that_a_validator_vouches_for_publishes_and_others_do_not() {
    let body = body(10);
    let signed = head(HEIGHT, &body);
    let pass = |validator: u8, network: u8| Pass {
        validator: key(validator).address(),
        signature: key(validator).sign(&crate::stock::pass_bytes(
            &key(validator).address(),
            &key(network).address(),
        )),
    };
    let send = |assembler: &mut Assembler, from: u8, pass: Pass| {
        let mut parts = split(signed, Some(pass), &body).into_iter();
        let first = message(b"v", 0, parts.next().unwrap());
        assembler.receive(publisher(from), first)?;
        assembler.receive(publisher(from), message(b"v", 1, parts.next().unwrap()))
    };
    let mut assembler = assembler();
    assert!(send(&mut assembler, 30, pass(2, 30)).unwrap().is_some());
    // From now on it needs no pass.
    for (sequence, part) in (0..).zip(split(signed, None, &body)) {
        let received = assembler.receive(publisher(30), message(b"w", sequence, part));
        assert_eq!(received.unwrap().is_some(), sequence == 1);
    }
    let mut forged = pass(2, 32);
    forged.validator = key(1).address();
    for (from, pass) in [(31, pass(2, 30)), (32, forged), (33, pass(9, 33))] {
        let refused = send(&mut assembler, from, pass).unwrap_err();
        assert!(
            matches!(refused, PartError::Stranger { .. }),
            "{from}: {refused}"
        );
    }
    // Who was vouched for first goes when there are too many.
    for network in 34..38 {
        assert!(
            send(&mut assembler, network, pass(2, network))
                .unwrap()
                .is_some()
        );
    }
    assert_eq!(assembler.vouched.len(), IDENTITY_COUNT_PER_VALIDATOR_MAX);
    let first = message(b"x", 0, Part::Head(signed));
    let refused = assembler.receive(publisher(30), first).unwrap_err();
    assert!(matches!(refused, PartError::Stranger { .. }), "{refused}");
    // And everybody with its validator.
    let others = ValidatorSet::new(vec![Validator {
        key: key(1).address(),
        power: 1,
    }]);
    assembler.begin(HEIGHT, &others.unwrap());
    assert!(assembler.vouched.is_empty());
    assert_eq!(assembler.publishers.len(), 1);
}
