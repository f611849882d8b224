//! Transactions, as gossip, a mempool and the body of `POST /v1/transactions` bring them.

use crate::{Decoder, vectors};
use protocol::{
    codec::encode,
    transaction::{TRANSACTION_BYTES_MAX, Unverified},
};

pub(crate) const DECODER: Decoder = Decoder {
    name: "transaction",
    run,
    seeds: || vectors::bytes("transaction "),
};

fn run(bytes: &[u8]) {
    let Ok(transaction) = Unverified::decode(bytes) else {
        return;
    };
    assert!(bytes.len() <= TRANSACTION_BYTES_MAX);
    assert_eq!(transaction.encode(), bytes);
    let chain = transaction.claimed().chain;
    let json = serde_json::to_vec(&transaction).unwrap();
    let read: Unverified = serde_json::from_slice(&json).unwrap();
    assert_eq!(read, transaction);
    if let Ok(verified) = transaction.verify(chain) {
        assert_eq!(encode(verified.as_unverified()), bytes);
    }
}
