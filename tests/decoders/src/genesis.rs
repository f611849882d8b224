//! Genesis files, recipe included, in JSON and in canonical bytes.

use crate::{Decoder, vectors};
use protocol::{
    codec::{decode, encode},
    genesis::Genesis,
};

pub(crate) const DECODER: Decoder = Decoder {
    name: "genesis",
    run,
    seeds: || [vectors::json("genesis"), vectors::bytes("genesis")].concat(),
};

fn run(bytes: &[u8]) {
    if let Ok(genesis) = serde_json::from_slice::<Genesis>(bytes) {
        let canonical = encode(&genesis);
        assert_eq!(
            decode::<Genesis>("genesis", &canonical, canonical.len()),
            Ok(genesis.clone())
        );
        drop(ledger_state::genesis::state(&genesis));
    }
    if let Ok(genesis) = decode::<Genesis>("genesis", bytes, 1 << 20) {
        assert_eq!(encode(&genesis), bytes);
        let json = serde_json::to_vec(&genesis).unwrap();
        assert_eq!(serde_json::from_slice::<Genesis>(&json).unwrap(), genesis);
        drop(ledger_state::genesis::state(&genesis));
    }
}
