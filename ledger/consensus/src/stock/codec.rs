//! How the engine's messages look on wire and disk: borsh, exactly one value per message.
//!
//! Most types bring borsh themselves. A validator proof and a sync response do not; they travel as
//! tuples, and a response carries our own [`Certificate`], the same bytes a light client reads.

use super::{
    context::{CairnContext, EngineHeight},
    convert::{certificate_from_engine, certificate_to_engine},
    parts::Part,
};
use crate::Certificate;
use arc_malachitebft_core_consensus::{LivenessMsg, ProposedValue, SignedConsensusMsg};
use arc_malachitebft_core_types::{PolkaCertificate, ValidatorProof};
use arc_malachitebft_sync::{RawDecidedValue, Request, Response, Status, ValueResponse};
use borsh::{BorshDeserialize as _, io};
use bytes::Bytes;
use malachitebft_app_channel::app::{
    streaming::StreamMessage,
    types::codec::{Codec, HasEncodedLen},
};
use protocol::{Signature, codec::BoundedVec};

/// Most blocks in one sync response that are decoded.
const RESPONSE_COUNT_MAX: usize = 256;
/// Most bytes of a key or peer id in a validator proof.
const PROOF_FIELD_BYTES_MAX: usize = 64;

/// The one codec for network, sync and write-ahead log.
#[derive(Debug, Clone, Copy)]
pub(super) struct WireCodec;

macro_rules! borsh_codec {
    ($($message:ty),+ $(,)?) => {$(
        impl Codec<$message> for WireCodec {
            type Error = io::Error;

            fn decode(&self, bytes: Bytes) -> Result<$message, io::Error> {
                <$message>::try_from_slice(&bytes)
            }
            fn encode(&self, message: &$message) -> Result<Bytes, io::Error> {
                borsh::to_vec(message).map(Bytes::from)
            }
        }
    )+};
}

borsh_codec!(
    Part,
    StreamMessage<Part>,
    SignedConsensusMsg<CairnContext>,
    LivenessMsg<CairnContext>,
    ProposedValue<CairnContext>,
    PolkaCertificate<CairnContext>,
    Status<CairnContext>,
    Request<CairnContext>,
);

type ProofFields = BoundedVec<u8, PROOF_FIELD_BYTES_MAX>;

impl Codec<ValidatorProof<CairnContext>> for WireCodec {
    type Error = io::Error;

    fn decode(&self, bytes: Bytes) -> Result<ValidatorProof<CairnContext>, io::Error> {
        let (key, peer, signature) =
            <(ProofFields, ProofFields, Signature)>::try_from_slice(&bytes)?;
        Ok(ValidatorProof::new(
            key.into_vec(),
            peer.into_vec(),
            signature,
        ))
    }
    fn encode(&self, proof: &ValidatorProof<CairnContext>) -> Result<Bytes, io::Error> {
        borsh::to_vec(&(&proof.public_key, &proof.peer_id, &proof.signature)).map(Bytes::from)
    }
}

type Decided = BoundedVec<(Vec<u8>, Certificate), RESPONSE_COUNT_MAX>;

impl Codec<Response<CairnContext>> for WireCodec {
    type Error = io::Error;

    fn decode(&self, bytes: Bytes) -> Result<Response<CairnContext>, io::Error> {
        let (start_height, decided) = <(EngineHeight, Decided)>::try_from_slice(&bytes)?;
        let raw = |(block, certificate): (Vec<u8>, Certificate)| RawDecidedValue {
            value_bytes: block.into(),
            certificate: certificate_to_engine(&certificate),
        };
        let values = decided.into_vec().into_iter().map(raw).collect();
        Ok(Response::ValueResponse(ValueResponse {
            start_height,
            values,
        }))
    }
    fn encode(&self, response: &Response<CairnContext>) -> Result<Bytes, io::Error> {
        let Response::ValueResponse(ValueResponse {
            start_height,
            values,
        }) = response;
        let invalid = |reason: &str| io::Error::new(io::ErrorKind::InvalidInput, reason.to_owned());
        let mut decided = Vec::with_capacity(values.len());
        for RawDecidedValue {
            value_bytes,
            certificate,
        } in values
        {
            let certificate = certificate_from_engine(&certificate.trim_vote_extensions())
                .ok_or_else(|| invalid("certificate of no round"))?;
            decided.push((value_bytes.to_vec(), certificate));
        }
        let decided = Decided::new(decided).map_err(|error| invalid(&error.to_string()))?;
        borsh::to_vec(&(start_height, decided)).map(Bytes::from)
    }
}

impl HasEncodedLen<Response<CairnContext>> for WireCodec {
    fn encoded_len(&self, response: &Response<CairnContext>) -> Result<usize, io::Error> {
        self.encode(response).map(|bytes| bytes.len())
    }
}

/// Decodes as the type at this position, for tests that throw bytes at it; whether they are one.
///
/// # Panics
/// When a value's encoding is not the bytes that it came from.
#[must_use]
pub fn decode_hostile(kind: u8, bytes: &[u8]) -> bool {
    fn decode<T>(bytes: &[u8]) -> bool
    where
        WireCodec: Codec<T, Error = io::Error>,
    {
        let Ok(value) = WireCodec.decode(Bytes::copy_from_slice(bytes)) else {
            return false;
        };
        let encoded = WireCodec.encode(&value);
        assert!(
            encoded.is_ok_and(|encoded| encoded == bytes),
            "messages have one encoding"
        );
        true
    }
    match kind {
        0 => decode::<Part>(bytes),
        1 => decode::<StreamMessage<Part>>(bytes),
        2 => decode::<SignedConsensusMsg<CairnContext>>(bytes),
        3 => decode::<LivenessMsg<CairnContext>>(bytes),
        4 => decode::<ProposedValue<CairnContext>>(bytes),
        5 => decode::<PolkaCertificate<CairnContext>>(bytes),
        6 => decode::<Status<CairnContext>>(bytes),
        7 => decode::<Request<CairnContext>>(bytes),
        // A response's certificates are written in the order of their keys, each key once, and read
        // in any: what is decoded is judged by the engine before it is used.
        8 => Codec::<Response<CairnContext>>::decode(&WireCodec, Bytes::copy_from_slice(bytes))
            .is_ok(),
        _ => decode::<ValidatorProof<CairnContext>>(bytes),
    }
}

#[cfg(test)]
mod tests;
