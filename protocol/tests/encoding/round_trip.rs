//! Every value survives the wire, and no second byte string stands for it.

use crate::{
    arbitrary::{payload, sections, transaction, unit},
    values::{block, chain, genesis, gradient_payload},
};
use proptest::{
    collection::vec, prelude::any, prop_assert, prop_assert_eq, proptest, sample::Index,
};
use protocol::{
    block::Block,
    codec::{decode, encode},
    genesis::Genesis,
    gradient, rollout,
    task::UnitId,
    transaction::Unverified,
};

proptest! {
    #[test]
    fn transactions_survive_the_wire(transaction in transaction()) {
        let bytes = transaction.encode();
        prop_assert_eq!(&Unverified::decode(&bytes).unwrap(), &transaction);
        let text = serde_json::to_string(&transaction).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Unverified>(&text).unwrap(), &transaction);
        prop_assert!(transaction.verify(chain()).is_ok());
    }

    #[test]
    fn a_further_byte_is_rejected(transaction in transaction(), byte: u8) {
        let mut bytes = transaction.encode();
        bytes.push(byte);
        prop_assert!(Unverified::decode(&bytes).is_err());
    }

    #[test]
    fn a_truncated_transaction_is_rejected(transaction in transaction(), at: Index) {
        let bytes = transaction.encode();
        prop_assert!(Unverified::decode(&bytes[..at.index(bytes.len())]).is_err());
    }

    #[test]
    fn a_changed_byte_never_verifies(transaction in transaction(), at: Index, change in 1_u8..) {
        let mut bytes = transaction.encode();
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        if let Ok(other) = Unverified::decode(&bytes) {
            prop_assert_eq!(other.encode(), bytes);
            prop_assert!(other.verify(chain()).is_err());
        }
    }

    #[test]
    fn rollout_blobs_survive_the_wire(payload in payload(), at: Index) {
        let mut bytes = encode(&payload);
        prop_assert_eq!(rollout::Payload::decode(&bytes).unwrap(), payload);
        prop_assert!(rollout::Payload::decode(&bytes[..at.index(bytes.len())]).is_err());
        bytes.push(0);
        prop_assert!(rollout::Payload::decode(&bytes).is_err());
    }

    #[test]
    fn rollout_sections_survive_the_wire(sections in sections(), at: Index) {
        let mut bytes = sections.encode();
        prop_assert_eq!(rollout::Sections::decode(&bytes).unwrap(), sections);
        prop_assert!(rollout::Sections::decode(&bytes[..at.index(bytes.len())]).is_err());
        bytes.push(0);
        prop_assert!(rollout::Sections::decode(&bytes).is_err());
    }

    #[test]
    fn whatever_decodes_is_canonical(bytes in vec(any::<u8>(), 0..600)) {
        if let Ok(value) = Unverified::decode(&bytes) {
            prop_assert_eq!(value.encode(), bytes.clone());
        }
        if let Ok(value) = Block::decode(&bytes) {
            prop_assert_eq!(value.encode(), bytes.clone());
        }
        if let Ok(value) = rollout::Payload::decode(&bytes) {
            prop_assert_eq!(encode(&value), bytes.clone());
        }
        if let Ok(value) = rollout::Sections::decode(&bytes) {
            prop_assert_eq!(value.encode(), bytes.clone());
        }
        if let Ok(value) = gradient::Payload::decode(&bytes) {
            prop_assert_eq!(encode(&value), bytes.clone());
        }
    }

    #[test]
    fn unit_names_survive_text(unit in unit()) {
        prop_assert_eq!(unit.to_string().parse::<UnitId>().unwrap(), unit);
    }
}

#[test]
fn blocks_and_gradient_blobs_survive_the_wire() {
    let block = block();
    assert_eq!(Block::decode(&block.encode()).unwrap(), block);
    let payload = gradient_payload();
    assert_eq!(
        gradient::Payload::decode(&encode(&payload)).unwrap(),
        payload
    );
}

#[test]
fn genesis_survives_the_wire_and_text() {
    let genesis = genesis();
    let bytes = encode(&genesis);
    assert_eq!(
        decode::<Genesis>("genesis", &bytes, 1 << 20).unwrap(),
        genesis
    );
    let text = serde_json::to_string(&genesis).unwrap();
    assert_eq!(serde_json::from_str::<Genesis>(&text).unwrap(), genesis);
}
