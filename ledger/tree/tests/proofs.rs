//! The tree against plain maps: any history, any keys, any damage.
#![allow(clippy::unwrap_used, reason = "tests")]

use ledger_tree::{Proof, Tree, Writes};
use proptest::{collection, prelude::*};
use protocol::StateRoot;
use std::collections::BTreeMap;

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// Few different keys, so that histories write them again and delete them.
fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (0_u8..60).prop_map(|n| vec![n]),
        collection::vec(any::<u8>(), 0..40)
    ]
}

fn writes() -> impl Strategy<Value = Writes> {
    let value = proptest::option::of(collection::vec(any::<u8>(), 0..80));
    collection::btree_map(key(), value, 0..40)
}

fn write(entries: &mut Entries, writes: &Writes) {
    for (key, value) in writes {
        match value {
            Some(value) => entries.insert(key.clone(), value.clone()),
            None => entries.remove(key),
        };
    }
}

fn prove(tree: &Tree, entries: &Entries, keys: &[Vec<u8>]) -> Proof {
    tree.prove(keys, |key| entries.get(key).cloned()).unwrap()
}

proptest! {
    #[test]
    fn a_tree_depends_on_its_entries_and_not_on_their_history(
        history in collection::vec(writes(), 1..8),
    ) {
        let mut entries = Entries::new();
        let mut tree = Tree::default();
        for writes in &history {
            let before = tree.clone();
            let root = before.root();
            tree = before.after(writes);
            write(&mut entries, writes);
            prop_assert_eq!(before.root(), root, "the tree before stays");
            prop_assert_eq!(tree.root(), Tree::of(&entries).root());
        }
        let delete: Writes = entries.keys().map(|key| (key.clone(), None)).collect();
        prop_assert_eq!(tree.after(&delete).root(), StateRoot::from_bytes([0; 32]));
    }

    #[test]
    fn every_asked_key_is_proven_present_or_absent(
        all in writes(),
        keys in collection::vec(key(), 0..12),
    ) {
        let mut entries = Entries::new();
        write(&mut entries, &all);
        let tree = Tree::of(&entries);
        let proof = prove(&tree, &entries, &keys);
        prop_assert_eq!(&Proof::decode(&proof.encode()).unwrap(), &proof);
        let proven = proof.verify(tree.root()).unwrap();
        for key in &keys {
            prop_assert_eq!(proven.get(key).unwrap(), entries.get(key).map(Vec::as_slice));
        }
        // What it says about keys that nobody asked for is true as well.
        for (key, value) in &entries {
            if let Ok(found) = proven.get(key) {
                prop_assert_eq!(found, Some(value.as_slice()));
            }
        }
        for (key, value) in proven.entries() {
            prop_assert_eq!(entries.get(key).map(Vec::as_slice), Some(value));
        }
    }

    #[test]
    fn no_change_of_a_proof_proves_anything_false(
        all in writes(),
        keys in collection::vec(key(), 1..6),
        (at, to, cut) in (any::<prop::sample::Index>(), any::<u8>(), any::<bool>()),
    ) {
        let mut entries = Entries::new();
        write(&mut entries, &all);
        let tree = Tree::of(&entries);
        let mut bytes = prove(&tree, &entries, &keys).encode();
        let at = at.index(bytes.len());
        if cut {
            bytes.remove(at);
        } else {
            bytes[at] = to;
        }
        let Ok(changed) = Proof::decode(&bytes) else { return Ok(()) };
        let Ok(proven) = changed.verify(tree.root()) else { return Ok(()) };
        for key in keys.iter().chain(entries.keys()) {
            if let Ok(found) = proven.get(key) {
                prop_assert_eq!(found, entries.get(key).map(Vec::as_slice));
            }
        }
    }

    #[test]
    fn a_proof_about_another_state_is_refused(first in writes(), second in writes(), key in key()) {
        let (mut before, mut after) = (Entries::new(), Entries::new());
        write(&mut before, &first);
        write(&mut after, &second);
        let (before, tree) = (Tree::of(&before), Tree::of(&after));
        let proof = prove(&tree, &after, &[key]);
        prop_assert_eq!(proof.verify(before.root()).is_ok(), before == tree);
    }
}

#[test]
fn the_root_of_three_entries_is_the_one_of_the_specification() {
    let entries: Entries = ["a", "b", "c"]
        .into_iter()
        .map(|name| (name.into(), name.to_uppercase().into()))
        .collect();
    let leaf = |key: &str| {
        let (path, value) = (blake3::hash(key.as_bytes()), key.to_uppercase());
        let value = blake3::hash(value.as_bytes());
        let pair = [path.as_bytes().as_slice(), value.as_bytes()].concat();
        blake3::derive_key("cairn/state-leaf/v1", &pair)
    };
    let fork = |left: [u8; 32], right: [u8; 32]| {
        blake3::derive_key("cairn/state-fork/v1", &[left, right].concat())
    };

    let bits = |key: &str| blake3::hash(key.as_bytes()).as_bytes()[0];
    let (a, b, c) = (bits("a"), bits("b"), bits("c"));
    assert_eq!((a, b, c), (0x17, 0x10, 0xea));
    // a = 00010111…, b = 00010000…: they agree in five bits.
    let mut left = fork(leaf("b"), leaf("a"));
    for bit in [false, true, false, false] {
        left = match bit {
            true => fork([0; 32], left),
            false => fork(left, [0; 32]),
        };
    }
    let root = fork(left, leaf("c"));
    assert_eq!(Tree::of(&entries).root(), StateRoot::from_bytes(root));
}
