//! One suite for every store: what `Store` promises, whoever keeps the promise.

use crate::support::{
    Block, assert_holds, bytes_of, chain, genesis, initialize, root, state_at, tip_at, transaction,
};
use ledger_store::{
    KEY_BYTES_MAX, MemoryStore, RedbStore, Restored, SledStore, State, Store, StoreError,
    StoredBlock, Writes,
};
use protocol::{ChainId, Height};
use std::ops::ControlFlow;

/// Runs a test body against every store; the folder lives as long as the body.
macro_rules! for_every_store {
    ($($name:ident)*) => {
        mod memory {
            $(#[test] fn $name() { super::$name(&ledger_store::MemoryStore::new()); })*
        }
        mod redb {
            $(#[test] fn $name() {
                let folder = tempfile::tempdir().unwrap();
                super::$name(&ledger_store::RedbStore::open(folder.path()).unwrap());
            })*
        }
        mod sled {
            $(#[test] fn $name() {
                let folder = tempfile::tempdir().unwrap();
                super::$name(&ledger_store::SledStore::open(folder.path()).unwrap());
            })*
        }
    };
}

for_every_store! {
    fresh_store_is_empty
    genesis_is_the_tip_at_height_zero
    initializing_twice_changes_nothing
    another_chain_is_refused_by_name
    another_genesis_state_is_refused
    commit_before_genesis_is_refused
    history_is_kept_block_by_block
    gap_and_repetition_are_refused
    refused_commit_leaves_no_trace
    deleting_an_absent_key_is_no_error
    empty_keys_and_values_are_kept
    large_block_is_kept
    overlong_keys_are_refused
    notes_are_no_part_of_the_state
    readers_see_whole_blocks
    a_store_begins_in_the_middle_of_a_chain
    half_a_state_is_no_chain
    entries_are_visited_in_the_order_of_their_hashes
    dropped_blocks_are_told_from_missing_ones
}

fn fresh_store_is_empty(store: &dyn Store) {
    assert_eq!(store.chain().unwrap(), None);
    assert_eq!(store.tip().unwrap(), None);
    assert_eq!(store.state().unwrap(), State::new());
    assert_eq!(store.block(Height::ZERO).unwrap(), None);
    assert_eq!(store.block(Height::new(1)).unwrap(), None);
    assert_eq!(store.transaction_height(transaction(1, 0)).unwrap(), None);
    assert_eq!(store.get_local(b"note").unwrap(), None);
}

fn genesis_is_the_tip_at_height_zero(store: &dyn Store) {
    initialize(store);
    assert_holds(store, 0);
    assert_eq!(store.block(Height::ZERO).unwrap(), None);
}

fn initializing_twice_changes_nothing(store: &dyn Store) {
    initialize(store);
    store.commit(&Block::at(1).commit()).unwrap();
    initialize(store);
    assert_holds(store, 1);
}

fn another_chain_is_refused_by_name(store: &dyn Store) {
    initialize(store);
    let other = ChainId::from_bytes(bytes_of("other chain", 0));
    let error = store.initialize(other, &genesis(), root(0)).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, StoreError::OtherChain { .. }), "{text}");
    assert!(text.contains(&chain().to_string()), "{text}");
    assert!(text.contains(&other.to_string()), "{text}");
    assert_holds(store, 0);
}

fn another_genesis_state_is_refused(store: &dyn Store) {
    initialize(store);
    let error = store.initialize(chain(), &genesis(), root(99)).unwrap_err();
    assert!(matches!(error, StoreError::OtherGenesis { .. }), "{error}");
}

fn commit_before_genesis_is_refused(store: &dyn Store) {
    let error = store.commit(&Block::at(1).commit()).unwrap_err();
    assert!(
        matches!(error, StoreError::NotInitialized { .. }),
        "{error}"
    );
}

fn history_is_kept_block_by_block(store: &dyn Store) {
    initialize(store);
    for height in 1..=30 {
        store.commit(&Block::at(height).commit()).unwrap();
    }
    assert_holds(store, 30);
}

fn gap_and_repetition_are_refused(store: &dyn Store) {
    initialize(store);
    store.commit(&Block::at(1).commit()).unwrap();
    for height in [0, 1, 3, u64::MAX] {
        let mut block = Block::at(1);
        block.height = height;
        let error = store.commit(&block.commit()).unwrap_err();
        let StoreError::HeightNotNext { found, tip, .. } = error else {
            panic!("height {height}: {error}");
        };
        assert_eq!((found, tip), (Height::new(height), Height::new(1)));
    }
    assert_holds(store, 1);
}

fn refused_commit_leaves_no_trace(store: &dyn Store) {
    initialize(store);
    let mut block = Block::at(1);
    block
        .writes
        .insert(vec![0; KEY_BYTES_MAX + 1], Some(vec![1]));
    store.commit(&block.commit()).unwrap_err();
    assert_holds(store, 0);
}

fn deleting_an_absent_key_is_no_error(store: &dyn Store) {
    initialize(store);
    let mut block = Block::at(1);
    block.writes.insert(b"never/there".to_vec(), None);
    store.commit(&block.commit()).unwrap();
    assert_holds(store, 1);
}

fn empty_keys_and_values_are_kept(store: &dyn Store) {
    initialize(store);
    let mut block = Block::at(1);
    block.writes = Writes::from([(vec![], Some(vec![])), (vec![0xff; 40], Some(vec![0]))]);
    store.commit(&block.commit()).unwrap();
    let state = store.state().unwrap();
    assert_eq!(state.get([].as_slice()), Some(&vec![]));
    assert_eq!(state.get([0xff; 40].as_slice()), Some(&vec![0]));
    assert_eq!(state.len(), genesis().len() + 2);
}

fn large_block_is_kept(store: &dyn Store) {
    initialize(store);
    let mut block = Block::at(1);
    block.block = (0..3u32 << 20).map(|number| (number % 251) as u8).collect();
    store.commit(&block.commit()).unwrap();
    assert_eq!(store.block(Height::new(1)).unwrap(), Some(block.stored()));
}

fn overlong_keys_are_refused(store: &dyn Store) {
    let key = vec![b'k'; KEY_BYTES_MAX + 1];
    let error = store.put_local(&key, b"").unwrap_err();
    assert_eq!(
        error.to_string(),
        "key has 1025 bytes; at most 1024 are allowed"
    );
    let state = State::from([(key, vec![])]);
    let error = store.initialize(chain(), &state, root(0)).unwrap_err();
    assert!(matches!(error, StoreError::KeyTooLong { .. }), "{error}");
    assert_eq!(store.chain().unwrap(), None);
}

fn notes_are_no_part_of_the_state(store: &dyn Store) {
    initialize(store);
    store.put_local(b"audit/0.1.rollout.2", b"salt").unwrap();
    store.put_local(b"account/0", b"not a balance").unwrap();
    store
        .put_local(b"audit/0.1.rollout.2", b"other salt")
        .unwrap();
    let note = store.get_local(b"audit/0.1.rollout.2").unwrap();
    assert_eq!(note.as_deref(), Some(b"other salt".as_slice()));
    assert_holds(store, 0);
}

fn readers_see_whole_blocks(store: &dyn Store) {
    initialize(store);
    let states: Vec<State> = (0..=25).map(crate::support::state_at).collect();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = 0;
            while seen < 25 {
                let state = store.state().unwrap();
                let at = states.iter().position(|expected| *expected == state);
                let at = at.expect("a state that no block boundary has");
                assert!(at >= seen, "the state went back from {seen} to {at}");
                seen = at;
            }
        });
        for height in 1..=25 {
            store.commit(&Block::at(height).commit()).unwrap();
        }
        reader.join().unwrap();
    });
}

fn a_store_begins_in_the_middle_of_a_chain(store: &dyn Store) {
    let block = Block::at(20);
    let stored = block.stored();
    let restored = restored_at_20(&block, &stored);
    store.begin(PLAN).unwrap();
    for index in [1, 0, 2] {
        put_part(store, index, &state_at(20)).unwrap();
    }
    store.restore(&restored).unwrap();
    assert_eq!(store.begun().unwrap(), None);
    for error in [
        store.restore(&restored).unwrap_err(),
        store.begin(PLAN).unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::NotEmpty { .. }), "{error}");
    }
    let error = put_part(store, 3, &State::new()).unwrap_err();
    assert_in_parts(&error, "none has begun");
    // The genesis is known, and the chain goes on.
    initialize(store);
    store.commit(&Block::at(21).commit()).unwrap();
    assert_eq!(store.tip().unwrap(), Some(tip_at(21)));
    assert_eq!(store.state().unwrap(), state_at(21));
    assert_eq!(store.first().unwrap(), Height::new(20));
    let error = store.block(Height::new(19)).unwrap_err();
    assert!(matches!(error, StoreError::BlockNotKept { .. }), "{error}");
    assert_eq!(store.check().unwrap().blocks_count, 2);
    // Its past can be had.
    for height in (1..20).rev() {
        let block = Block::at(height);
        let filled = store.backfill(&block.stored(), &block.transactions);
        assert_eq!(filled.unwrap(), Height::new(height));
    }
    assert_holds(store, 21);
    let block = Block::at(1);
    let error = store.backfill(&block.stored(), &[]).unwrap_err();
    assert!(matches!(error, StoreError::Whole { .. }), "{error}");
    assert_eq!(store.check().unwrap().blocks_count, 21);
}

const PLAN: &[u8] = b"three parts";

/// Puts every third entry.
fn put_part(store: &dyn Store, index: u32, state: &State) -> Result<(), StoreError> {
    let entries = state.iter().skip(index as usize).step_by(3);
    let mut entries = entries.map(|(key, value)| (key.as_slice(), value.as_slice()));
    store.put_part(index, &mut entries)
}

fn restored_at_20<'a>(block: &'a Block, stored: &'a StoredBlock) -> Restored<'a> {
    Restored {
        chain: chain(),
        genesis_root: root(0),
        height: Height::new(20),
        block: stored,
        transactions: &block.transactions,
        parts_count: 3,
    }
}

#[track_caller]
fn assert_in_parts(error: &StoreError, expected: &str) {
    let StoreError::InParts { reason, .. } = error else {
        panic!("expected {expected:?}, found: {error}");
    };
    assert_eq!(*reason, expected);
}

/// Whatever it is asked, a store that lacks a part starts nothing, and says what it has.
fn half_a_state_is_no_chain(store: &dyn Store) {
    let block = Block::at(20);
    let stored = block.stored();
    let restored = restored_at_20(&block, &stored);
    assert_eq!(store.begun().unwrap(), None);
    assert_in_parts(
        &put_part(store, 0, &state_at(20)).unwrap_err(),
        "none has begun",
    );
    assert_in_parts(
        &store.restore(&restored).unwrap_err(),
        "the state has others",
    );
    store.begin(PLAN).unwrap();
    for index in [0, 2] {
        put_part(store, index, &state_at(20)).unwrap();
    }
    let error = put_part(store, 2, &state_at(20)).unwrap_err();
    assert_in_parts(&error, "this one is among them");
    let expected = "they must be all before there is a chain";
    assert_in_parts(&store.begin(PLAN).unwrap_err(), expected);
    let error = store.initialize(chain(), &genesis(), root(0)).unwrap_err();
    assert_in_parts(&error, expected);
    assert_in_parts(
        &store.restore(&restored).unwrap_err(),
        "the state has others",
    );
    let error = store.commit(&Block::at(1).commit()).unwrap_err();
    assert!(
        matches!(error, StoreError::NotInitialized { .. }),
        "{error}"
    );
    assert_eq!(store.tip().unwrap(), None);
    assert_eq!(store.chain().unwrap(), None);
    assert_eq!(store.snapshot().unwrap(), None);
    let begun = store.begun().unwrap().unwrap();
    assert_eq!(begun.plan, PLAN);
    assert_eq!(begun.parts.into_iter().collect::<Vec<_>>(), [0, 2]);
    put_part(store, 1, &state_at(20)).unwrap();
    store.restore(&restored).unwrap();
    assert_eq!(store.tip().unwrap(), Some(tip_at(20)));
    assert_eq!(store.state().unwrap(), state_at(20));
}

fn entries_are_visited_in_the_order_of_their_hashes(store: &dyn Store) {
    let nothing = store.read_state(&mut |_, _| panic!("there is nothing"));
    assert_eq!(nothing.unwrap(), None);
    initialize(store);
    store.commit(&Block::at(1).commit()).unwrap();
    let mut seen = Vec::new();
    let tip = store.read_state(&mut |key, value| {
        seen.push((*blake3::hash(key).as_bytes(), key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    });
    assert_eq!(tip.unwrap(), Some(tip_at(1)));
    assert!(seen.is_sorted());
    let all: State = seen
        .into_iter()
        .map(|(_, key, value)| (key, value))
        .collect();
    assert_eq!(all, state_at(1));
    // Who has seen enough is told the tip all the same.
    let mut count = 0;
    let tip = store.read_state(&mut |_, _| {
        count += 1;
        if count < 5 {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    });
    assert_eq!((tip.unwrap(), count), (Some(tip_at(1)), 5));
}

fn dropped_blocks_are_told_from_missing_ones(store: &dyn Store) {
    initialize(store);
    for height in 1..=30 {
        store.commit(&Block::at(height).commit()).unwrap();
    }
    while store.prune(Height::new(12), 4).unwrap() < Height::new(12) {}
    assert_eq!(store.first().unwrap(), Height::new(12));
    assert_eq!(store.state().unwrap(), state_at(30));
    let error = store.block(Height::new(11)).unwrap_err();
    assert!(matches!(error, StoreError::BlockNotKept { .. }), "{error}");
    assert!(store.block(Height::new(12)).unwrap().is_some());
    assert_eq!(store.transaction_height(transaction(11, 0)).unwrap(), None);
    let kept = store.transaction_height(transaction(13, 0)).unwrap();
    assert_eq!(kept, Some(Height::new(13)));
    assert_eq!(store.check().unwrap().blocks_count, 19);
    // The last block is never dropped.
    while store.prune(Height::new(99), 4).unwrap() < Height::new(30) {}
    store.commit(&Block::at(31).commit()).unwrap();
    assert_eq!(store.check().unwrap().blocks_count, 2);
}

#[test]
fn store_on_disk_survives_being_dropped() {
    let folder = tempfile::tempdir().unwrap();
    for height in 1..=12 {
        let store = RedbStore::open(folder.path()).unwrap();
        initialize(&store);
        store.commit(&Block::at(height).commit()).unwrap();
        store.put_local(b"last", &height.to_le_bytes()).unwrap();
        drop(store);
        let store = RedbStore::open(folder.path()).unwrap();
        assert_holds(&store, height);
        let note = store.get_local(b"last").unwrap();
        assert_eq!(note.as_deref(), Some(height.to_le_bytes().as_slice()));
    }
}

#[test]
fn second_opener_is_told_that_the_store_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let store = RedbStore::open(folder.path()).unwrap();
    let error = RedbStore::open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains(&folder.path().display().to_string()),
        "{error}"
    );
    initialize(&store);
    assert_holds(&store, 0);
}

#[test]
fn path_that_cannot_be_a_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, b"not a folder").unwrap();
    let error = RedbStore::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Open { .. }), "{error}");
    assert!(
        error.to_string().contains(&path.display().to_string()),
        "{error}"
    );
}

#[test]
fn all_stores_tell_the_same_story() {
    let folder = tempfile::tempdir().unwrap();
    let disk = RedbStore::open(folder.path().join("redb")).unwrap();
    let other = SledStore::open(folder.path().join("sled")).unwrap();
    let memory = MemoryStore::new();
    let all = [&disk as &dyn Store, &other, &memory];
    for store in all {
        initialize(store);
    }
    for height in 1..=40 {
        for store in all {
            store.commit(&Block::at(height).commit()).unwrap();
        }
        for store in [&disk as &dyn Store, &other] {
            assert_eq!(store.state().unwrap(), memory.state().unwrap());
            assert_eq!(store.tip().unwrap(), memory.tip().unwrap());
        }
    }
}
