//! Flipped and missing bytes are found and named, never returned as data.

use crate::support::{Block, chain, genesis, initialize, root, state_at, tip_at, transaction};
use ledger_store::{Record, SledStore, State, Store, StoreError};
use protocol::Height;
use std::path::Path;

const HEIGHT: u64 = 11;

/// A store with a history, closed.
fn history(folder: &Path) {
    let store = SledStore::open(folder).unwrap();
    initialize(&store);
    for height in 1..=HEIGHT {
        store.commit(&Block::at(height).commit()).unwrap();
    }
    store.put_local(b"salt", b"secret").unwrap();
}

/// The database behind the store. A child that another test starts holds the lock for a moment
/// between fork and exec.
fn database(folder: &Path) -> sled::Db {
    loop {
        match sled::open(folder) {
            Err(error) if error.to_string().contains("lock") => std::thread::yield_now(),
            result => return result.unwrap(),
        }
    }
}

/// Changes one stored value behind the store's back, below sled's own checksums.
fn tamper(folder: &Path, key: &[u8], change: impl FnOnce(&mut Vec<u8>)) {
    let raw = database(folder);
    let mut value = raw.get(key).unwrap().expect("no such key").to_vec();
    change(&mut value);
    raw.insert(key, value).unwrap();
    raw.flush().unwrap();
}

fn flip_last(value: &mut [u8]) {
    *value.last_mut().unwrap() ^= 0x10;
}

fn state_key(key: &str) -> Vec<u8> {
    let hash = blake3::hash(key.as_bytes());
    [b"s", &hash.as_bytes()[..8], key.as_bytes()].concat()
}

fn block_key(height: u64) -> Vec<u8> {
    [b"b".as_slice(), &height.to_be_bytes()].concat()
}

#[track_caller]
fn assert_names(error: &StoreError, expected: &Record) {
    let StoreError::RecordDamaged { record, height, .. } = error else {
        panic!("expected damage of {expected}, found: {error}");
    };
    assert_eq!(record, expected);
    if *expected != Record::Tip {
        assert_eq!(*height, Height::new(HEIGHT));
    }
}

#[test]
fn flipped_bit_in_a_state_record_is_named_by_key_and_height() {
    let folder = tempfile::tempdir().unwrap();
    history(folder.path());
    tamper(folder.path(), &state_key("account/3"), |value| {
        flip_last(value);
    });
    let store = SledStore::open(folder.path()).unwrap();
    let error = store.state().unwrap_err();
    assert_names(&error, &Record::State(b"account/3".to_vec()));
    let text = error.to_string();
    assert!(
        text.contains("at height 11: state key \"account/3\" is damaged"),
        "{text}"
    );
}

#[test]
fn flipped_bit_in_a_block_is_named_by_height() {
    let folder = tempfile::tempdir().unwrap();
    history(folder.path());
    tamper(folder.path(), &block_key(5), |value| flip_last(value));
    let store = SledStore::open(folder.path()).unwrap();
    let error = store.block(Height::new(5)).unwrap_err();
    assert_names(&error, &Record::Block(Height::new(5)));
    assert!(store.block(Height::new(6)).unwrap().is_some());
}

#[test]
fn damaged_last_block_and_tip_are_found_on_opening() {
    for (key, record) in [
        (block_key(HEIGHT), Record::Block(Height::new(HEIGHT))),
        (b"mtip".to_vec(), Record::Tip),
        (b"mformat".to_vec(), Record::Format),
    ] {
        let folder = tempfile::tempdir().unwrap();
        history(folder.path());
        tamper(folder.path(), &key, |value| flip_last(value));
        assert_names(&SledStore::open(folder.path()).unwrap_err(), &record);
    }
}

#[test]
fn damaged_index_and_notes_are_found() {
    let folder = tempfile::tempdir().unwrap();
    history(folder.path());
    let id = transaction(3, 0);
    tamper(
        folder.path(),
        &[b"t".as_slice(), id.as_bytes()].concat(),
        |value| flip_last(value),
    );
    tamper(folder.path(), b"lsalt", |value| value.truncate(31));
    let store = SledStore::open(folder.path()).unwrap();
    assert_names(
        &store.transaction_height(id).unwrap_err(),
        &Record::Transaction(id),
    );
    let error = store.get_local(b"salt").unwrap_err();
    assert_names(&error, &Record::Local(b"salt".to_vec()));
    assert!(error.to_string().contains("31 bytes"), "{error}");
}

#[test]
fn record_under_another_key_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    history(folder.path());
    let other = {
        let raw = database(folder.path());
        raw.get(state_key("account/1")).unwrap().unwrap()
    };
    tamper(folder.path(), &state_key("account/2"), |value| {
        *value = other.to_vec();
    });
    let store = SledStore::open(folder.path()).unwrap();
    assert_names(
        &store.state().unwrap_err(),
        &Record::State(b"account/2".to_vec()),
    );
}

#[test]
fn missing_records_are_found() {
    let folder = tempfile::tempdir().unwrap();
    history(folder.path());
    let raw = database(folder.path());
    raw.remove(state_key("account/4"))
        .unwrap()
        .expect("no such key");
    raw.remove(block_key(4)).unwrap().expect("no such key");
    raw.flush().unwrap();
    drop(raw);
    let store = SledStore::open(folder.path()).unwrap();
    let error = store.state().unwrap_err();
    let StoreError::StateDiffers {
        found_count,
        expected_count,
        ..
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!(found_count + 1, expected_count);
    let error = store.block(Height::new(4)).unwrap_err();
    assert!(matches!(error, StoreError::RecordMissing { .. }), "{error}");
}

/// A store that forgot its chain is not begun anew over what it holds.
#[test]
fn a_store_that_forgot_its_chain_is_not_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    history(folder.path());
    let raw = database(folder.path());
    raw.remove(b"mchain").unwrap().expect("no such key");
    raw.flush().unwrap();
    drop(raw);
    let store = SledStore::open(folder.path()).unwrap();
    let before = store.tip().unwrap();
    let error = store.initialize(chain(), &genesis(), root(0)).unwrap_err();
    let is_named = matches!(
        error,
        StoreError::RecordMissing {
            record: Record::Chain,
            ..
        }
    );
    assert!(is_named, "{error}");
    assert_eq!(store.tip().unwrap(), before);
}

/// A value that was right once: its own checksum holds, the tip's summary does not.
#[test]
fn stale_record_is_found() {
    let folder = tempfile::tempdir().unwrap();
    history(folder.path());
    let key = state_key(&format!("account/{}", (HEIGHT + 1) % 20));
    let raw = database(folder.path());
    let old = raw.get(&key).unwrap().expect("no such key").to_vec();
    drop(raw);
    let store = SledStore::open(folder.path()).unwrap();
    store.commit(&Block::at(HEIGHT + 1).commit()).unwrap();
    drop(store);
    tamper(folder.path(), &key, |value| *value = old);
    let error = SledStore::open(folder.path()).unwrap().state().unwrap_err();
    assert!(matches!(error, StoreError::StateDiffers { .. }), "{error}");
}

/// A state of which some parts are there is read as carefully as one that is whole.
#[test]
fn damage_of_a_state_that_comes_in_parts_is_found() {
    let state = state_at(HEIGHT);
    let mark = [b"p".as_slice(), &0_u32.to_be_bytes()].concat();
    let parts_then = |harm: &dyn Fn(&Path)| {
        let folder = tempfile::tempdir().unwrap();
        let store = SledStore::open(folder.path()).unwrap();
        store.begin(b"plan").unwrap();
        for index in 0..2 {
            let entries = state.iter().skip(index as usize).step_by(2);
            let mut entries = entries.map(|(key, value)| (key.as_slice(), value.as_slice()));
            store.put_part(index, &mut entries).unwrap();
        }
        drop(store);
        harm(folder.path());
        SledStore::open(folder.path()).unwrap().begun()
    };
    assert_eq!(parts_then(&|_| {}).unwrap().unwrap().parts.len(), 2);
    let flipped = |key: Vec<u8>| {
        let found = parts_then(&|folder| tamper(folder, &key, |value| flip_last(value)));
        let error = found.unwrap_err();
        assert!(error.is_damage(), "{error}");
        match error {
            StoreError::RecordDamaged { record, .. } => record,
            error => panic!("{error}"),
        }
    };
    let account = b"account/3".to_vec();
    assert_eq!(flipped(state_key("account/3")), Record::State(account));
    assert_eq!(flipped(mark.clone()), Record::Part(0));
    assert_eq!(flipped(b"mplan".to_vec()), Record::Plan);
    for lost in [state_key("account/3"), mark] {
        let error = parts_then(&|folder| {
            let raw = database(folder);
            raw.remove(&lost).unwrap().expect("no such key");
            raw.flush().unwrap();
        });
        let error = error.unwrap_err();
        assert!(matches!(error, StoreError::StateDiffers { .. }), "{error}");
    }
}

/// What is there of a part that was cut off must be the beginning of what comes again.
#[test]
fn another_part_is_not_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let entry = |number: u64| (number.to_be_bytes().to_vec(), vec![7; 9]);
    let (one, other): (State, State) = (
        (0..2_500).map(entry).collect(),
        (9..2_509).map(entry).collect(),
    );
    let put = |part: &State, ends_at: usize| {
        let store = SledStore::open(folder.path()).unwrap();
        let mut entries = part.iter().enumerate().map(|(at, (key, value))| {
            assert!(at < ends_at, "cut off");
            (key.as_slice(), value.as_slice())
        });
        store.put_part(0, &mut entries)
    };
    let store = SledStore::open(folder.path()).unwrap();
    store.begin(b"plan").unwrap();
    drop(store);
    let cut_off = std::panic::catch_unwind(|| put(&one, 1_700));
    assert!(cut_off.is_err());
    let store = SledStore::open(folder.path()).unwrap();
    assert!(store.begun().unwrap().unwrap().parts.is_empty());
    drop(store);
    for wrong in [other, one.clone().into_iter().take(500).collect()] {
        let error = put(&wrong, usize::MAX).unwrap_err();
        assert!(matches!(error, StoreError::StateDiffers { .. }), "{error}");
    }
    put(&one, usize::MAX).unwrap();
    let store = SledStore::open(folder.path()).unwrap();
    assert_eq!(store.begun().unwrap().unwrap().parts.len(), 1);
}

#[test]
fn other_format_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    history(folder.path());
    let raw = database(folder.path());
    raw.remove(b"mformat").unwrap();
    raw.flush().unwrap();
    drop(raw);
    let error = SledStore::open(folder.path()).unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::RecordMissing {
                record: Record::Format,
                ..
            }
        ),
        "{error}"
    );
}

/// Wherever a byte of the database's file flips, the store says so or still holds everything:
/// sled by itself would drop the damaged end of its log and go back in time.
#[test]
fn flipped_byte_in_the_file_never_becomes_wrong_data() {
    let original = tempfile::tempdir().unwrap();
    history(original.path());
    let bytes = std::fs::read(original.path().join("db")).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let mut found = 0;
    for number in 0..60 {
        let folder = tempfile::tempdir().unwrap();
        copy_folder(original.path(), folder.path());
        let mut bytes = bytes.clone();
        bytes[(used * number / 60 + 5).min(used - 1)] ^= 0x04;
        std::fs::write(folder.path().join("db"), bytes).unwrap();
        found += usize::from(everything(folder.path()).is_err());
    }
    assert!(found > 0, "no flip was found at all");
}

/// A process that is killed while sled opens leaves half of a file that sled then takes for its
/// newest list of pages.
#[test]
fn what_a_killed_opening_left_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    history(folder.path());
    let left = folder.path().join("snap.7FFFFFFFFFFFFFFF.generating");
    for bytes in [&b""[..], &[7; 100]] {
        std::fs::write(&left, bytes).unwrap();
        assert!(sled::open(folder.path()).is_err(), "sled by itself opens");
        everything(folder.path()).unwrap();
        assert!(!left.exists());
    }
}

#[test]
fn emptied_database_is_not_taken_for_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    history(folder.path());
    std::fs::write(folder.path().join("db"), b"").unwrap();
    let error = SledStore::open(folder.path()).unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::BlocksLost { .. } | StoreError::Damaged { .. }
        ),
        "{error}"
    );
}

#[test]
fn damaged_witness_does_not_stop_the_store() {
    let folder = tempfile::tempdir().unwrap();
    history(folder.path());
    std::fs::write(folder.path().join("witness"), b"rubbish").unwrap();
    everything(folder.path()).unwrap();
}

/// Reads all that the store holds, and panics when it is wrong.
fn everything(folder: &Path) -> Result<(), StoreError> {
    let store = SledStore::open(folder)?;
    assert_eq!(store.tip()?, Some(tip_at(HEIGHT)));
    assert_eq!(store.state()?, state_at(HEIGHT));
    for height in 1..=HEIGHT {
        let block = store.block(Height::new(height))?;
        assert_eq!(block, Some(Block::at(height).stored()));
    }
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
