//! Blobs of gradient units, as miners serve them.

use crate::{Decoder, vectors};
use protocol::{codec::encode, gradient::Payload};

pub(crate) const DECODER: Decoder = Decoder {
    name: "gradient_payload",
    run,
    seeds: || vectors::bytes("gradient payload"),
};

fn run(bytes: &[u8]) {
    if let Ok(payload) = Payload::decode(bytes) {
        assert_eq!(encode(&payload), bytes);
    }
}
