//! Hostile bytes decode to errors, and what is encoded decodes to itself.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::stock::parts::{SignedHead, split};
use arc_malachitebft_core_types::{Context as _, NilOrVal, Round, SignedMessage};
use malachitebft_app_channel::app::streaming::{StreamContent, StreamId};
use protocol::{BlockId, ChainId, Height, SigningKey};
use std::fmt::Debug;

const CHAIN: ChainId = ChainId::from_bytes([1; 32]);

/// Decodes as every type; a panic is the failure.
fn decode_as_everything(bytes: &[u8]) {
    fn decode<T>(bytes: &[u8]) -> bool
    where
        WireCodec: Codec<T>,
    {
        WireCodec.decode(Bytes::copy_from_slice(bytes)).is_ok()
    }
    let accepted = [
        decode::<Part>(bytes),
        decode::<StreamMessage<Part>>(bytes),
        decode::<SignedConsensusMsg<CairnContext>>(bytes),
        decode::<LivenessMsg<CairnContext>>(bytes),
        decode::<ProposedValue<CairnContext>>(bytes),
        decode::<PolkaCertificate<CairnContext>>(bytes),
        decode::<Status<CairnContext>>(bytes),
        decode::<Request<CairnContext>>(bytes),
        decode::<Response<CairnContext>>(bytes),
        decode::<ValidatorProof<CairnContext>>(bytes),
    ];
    assert!(accepted.len() >= 10);
}

/// Encodes, decodes, compares, then decodes every truncation and many corruptions.
fn round_trip<T>(value: &T)
where
    T: PartialEq + Debug,
    WireCodec: Codec<T>,
{
    let bytes = WireCodec.encode(value).unwrap();
    assert_eq!(&WireCodec.decode(bytes.clone()).unwrap(), value);
    let longer = [bytes.as_ref(), &[0]].concat();
    assert!(
        WireCodec.decode(Bytes::from(longer)).is_err(),
        "trailing bytes are accepted"
    );
    for length in 0..bytes.len() {
        assert!(
            WireCodec.decode(bytes.slice(..length)).is_err(),
            "a truncation is accepted"
        );
    }
    for index in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xFF] {
            let mut corrupt = bytes.to_vec();
            corrupt[index] ^= flip;
            decode_as_everything(&corrupt);
        }
    }
}

#[test]
fn messages_round_trip_and_corruptions_do_not_panic() {
    let key = SigningKey::from_seed([1; 32]);
    let address = crate::stock::context::EngineAddress(key.address());
    let (height, round) = (EngineHeight(Height::new(5)), Round::new(2));
    let block_id = BlockId::from_bytes([3; 32]);
    let signature = key.sign(b"anything");

    let head = SignedHead::new(CHAIN, (height.0, 2), block_id, &[7; 100], &key);
    for (sequence, part) in (0..).zip(split(head, None, &[7; 100])) {
        let stream = StreamId::new(Bytes::from_static(b"name"));
        round_trip(&StreamMessage::new(
            stream,
            sequence,
            StreamContent::Data(part),
        ));
    }
    let vote = CairnContext.new_precommit(height, round, NilOrVal::Val(block_id), address);
    let vote = SignedMessage::new(vote, signature);
    round_trip(&SignedConsensusMsg::<CairnContext>::Vote(vote.clone()));
    round_trip(&LivenessMsg::<CairnContext>::Vote(vote));
    let certificate = Certificate::sign(CHAIN, height.0, block_id, &key);
    let value = RawDecidedValue::<CairnContext> {
        value_bytes: Bytes::from_static(b"block"),
        certificate: certificate_to_engine(&certificate),
    };
    let response = ValueResponse {
        start_height: height,
        values: vec![value],
    };
    round_trip(&Response::ValueResponse(response));
    let key_bytes = key.address().as_bytes().to_vec();
    round_trip(&ValidatorProof::<CairnContext>::new(
        key_bytes,
        vec![0; 38],
        signature,
    ));
}

#[test]
fn random_bytes_do_not_panic() {
    let mut random = blake3::Hasher::new().update(b"codec").finalize_xof();
    for length in 0..600 {
        let mut bytes = vec![0; length];
        random.fill(&mut bytes);
        decode_as_everything(&bytes);
    }
}
