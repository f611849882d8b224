//! Blobs of rollout units, as miners serve them.

use crate::{Decoder, vectors};
use protocol::{codec::encode, rollout::Payload};

pub(crate) const DECODER: Decoder = Decoder {
    name: "rollout_payload",
    run,
    seeds: || vectors::bytes("rollout payload"),
};

fn run(bytes: &[u8]) {
    if let Ok(payload) = Payload::decode(bytes) {
        assert_eq!(encode(&payload), bytes);
        if let Some(misplaced) = payload.misplaced_sections() {
            assert!(payload.sections.is_some() && misplaced < u64::MAX);
        }
        let totals = payload.totals(1_000_000);
        assert!(totals.exact_count <= totals.samples_count);
    }
}
