//! What people and pages write into paths and queries: units, keys, hashes, verdicts as JSON.

use crate::{Decoder, vectors};
use protocol::{
    Address, BlobId, Signature, TransactionId,
    task::UnitId,
    transaction::Transaction,
    verdict::Verdict,
    vrf::{Proof, Public},
};
use std::{fmt::Display, str::FromStr};

pub(crate) const DECODER: Decoder = Decoder {
    name: "names",
    run,
    seeds: || {
        let mut seeds = vectors::json("verdict");
        seeds.extend(vectors::json("content of "));
        seeds.push(b"0.12.rollout.3".to_vec());
        seeds.push("ab".repeat(32).into_bytes());
        seeds.push("0C".repeat(80).into_bytes());
        seeds
    },
};

/// What is read is written as it was, up to the case of hexadecimal digits and leading zeros.
fn text<T: FromStr + Display + PartialEq>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        let written = value.to_string();
        assert!(written.parse::<T>().is_ok_and(|again| again == value));
    }
}

fn run(bytes: &[u8]) {
    if let Ok(value) = str::from_utf8(bytes) {
        text::<UnitId>(value);
        text::<Address>(value);
        text::<BlobId>(value);
        text::<Signature>(value);
        text::<TransactionId>(value);
        text::<Public>(value);
        text::<Proof>(value);
    }
    drop(serde_json::from_slice::<Verdict>(bytes));
    drop(serde_json::from_slice::<Transaction>(bytes));
}
