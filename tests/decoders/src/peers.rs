//! What validators and miners say to each other: blob streams, votes and bodies, certificates.
//! Gossip carries transactions without a frame of its own, so it needs no decoder here.

use crate::Decoder;
use ledger_consensus::{Certificate, DoubleSign, Validator, ValidatorSet, stock::decode_hostile};
use network::hostile;
use protocol::{
    BlobId, BlockId, ChainId, Height, SigningKey,
    codec::{decode, encode},
};

const CHAIN: ChainId = ChainId::from_bytes([1; 32]);

/// A request of 56 bytes; or a size of eight bytes and a response.
pub(crate) const BLOB_WIRE: Decoder = Decoder {
    name: "blob_wire",
    run: |bytes| {
        if let Ok(request) = bytes.try_into() {
            let _served = hostile::request(request);
        }
        if let Some((size, response)) = bytes.split_first_chunk::<8>() {
            let content = blob();
            let hash = *BlobId::of(&content).as_bytes();
            let size = u64::from_le_bytes(*size);
            for size in [size, content.len() as u64] {
                let verified = hostile::response(hash, size, response);
                assert!(content.starts_with(&verified), "only verified bytes");
            }
        }
    },
    seeds: || {
        let content = blob();
        let size = (content.len() as u64).to_le_bytes();
        let id = BlobId::of(&content);
        let request = encode(&(id, content.len() as u64, 0_u64, content.len() as u64));
        // A blob of one chunk group is its own encoding.
        vec![request, [&size[..], &[0], &content].concat()]
    },
};

fn blob() -> Vec<u8> {
    b"stone upon stone, each passer-by adds one ".repeat(40)
}

/// Certificates and proofs of equivocation, in canonical bytes and in JSON.
pub(crate) const CERTIFICATE: Decoder = Decoder {
    name: "certificate",
    run: |bytes| {
        if let Ok(certificate) = decode::<Certificate>("certificate", bytes, 1 << 20) {
            assert_eq!(encode(&certificate), bytes);
            let key = SigningKey::from_seed([1; 32]).address();
            let set = ValidatorSet::new(vec![Validator { key, power: 1 }]).unwrap();
            if certificate.verify(CHAIN, &set).is_ok() {
                assert_eq!(certificate.signatures.as_slice().len(), 1);
            }
        }
        if let Ok(evidence) = decode::<DoubleSign>("evidence", bytes, 1 << 20) {
            assert_eq!(encode(&evidence), bytes);
            let _proven = evidence.verify(CHAIN).is_ok();
        }
        drop(serde_json::from_slice::<Certificate>(bytes));
    },
    seeds: || {
        let key = SigningKey::from_seed([1; 32]);
        let block = BlockId::from_bytes([2; 32]);
        let certificate = Certificate::sign(CHAIN, Height::new(9), block, &key);
        let json = serde_json::to_vec(&certificate).unwrap();
        vec![encode(&certificate), json, [&[0], &[0; 400][..]].concat()]
    },
};

/// The engine's messages: the first byte says which.
pub(crate) const CONSENSUS: Decoder = Decoder {
    name: "consensus",
    run: |bytes| {
        if let Some((kind, message)) = bytes.split_first() {
            let _accepted = decode_hostile(*kind, message);
        }
    },
    seeds: || {
        let lengths = [8, 16, 64, 120, 200];
        let seed = |kind: u8, length| [vec![kind], vec![0; length]].concat();
        let kinds = (0..10).flat_map(|kind| lengths.map(|length| seed(kind, length)));
        kinds.collect()
    },
};
