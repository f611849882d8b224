//! A process is killed in the middle of committing; what it had acknowledged must be there.

use crate::support::{Block, assert_holds, bytes_of, chain, initialize, root};
use ledger_store::{Choice, Restored, SledStore, State, Store};
use protocol::Height;
use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
};

const FOLDER: &str = "LEDGER_STORE_CRASH_FOLDER";
const PARTS_FOLDER: &str = "LEDGER_STORE_CRASH_PARTS_FOLDER";
const PARTS_STORE: &str = "LEDGER_STORE_CRASH_PARTS_STORE";
const ROUNDS: u64 = 6;

/// The test's process starts itself again, with a folder to commit to until it is killed.
#[test]
fn killed_process_loses_no_acknowledged_block() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return commit_for_ever(folder.as_ref());
    }
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        // A few more blocks in each round, so that the kill falls at different places.
        let test = "crash::killed_process_loses_no_acknowledged_block";
        let folder = [(FOLDER, folder.path().as_os_str())];
        acknowledged = write_until_killed((test, &folder), acknowledged + 7 + 5 * round);
        let folder = Path::new(folder[0].1);
        let store = SledStore::open(folder).unwrap();
        let tip = store.tip().unwrap().unwrap().height.get();
        // The block that was under way may have made it, whole; the pipe may lag by a few lines.
        assert!(
            tip >= acknowledged,
            "block {acknowledged} was lost; the tip is {tip}"
        );
        assert_holds(&store, tip);
        acknowledged = tip;
    }
}

/// Starts a child that writes for ever, and kills it once it acknowledged `number`; the last that
/// it did.
fn write_until_killed((test, places): (&str, &[(&str, &OsStr)]), number: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .envs(places.iter().copied())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut numbers = lines.map_while(Result::ok).filter_map(|line| {
        let number = line.strip_prefix("written ")?;
        number.parse::<u64>().ok()
    });
    let reached = numbers.by_ref().find(|at| *at >= number);
    child.kill().unwrap();
    let rest = numbers.last();
    let status = child.wait().unwrap();
    assert!(!status.success(), "the child ended by itself: {status}");
    rest.or(reached)
        .expect("the child ended before it was killed")
}

/// The child: commits until it is killed.
fn commit_for_ever(folder: &Path) {
    let store = SledStore::open(folder).unwrap();
    initialize(&store);
    let tip = store.tip().unwrap().unwrap().height.get();
    let mut output = std::io::stdout();
    for height in tip + 1.. {
        store.commit(&Block::at(height).commit()).unwrap();
        writeln!(output, "written {height}").unwrap();
        output.flush().unwrap();
    }
}

/// Entries of one part: more than are written at once.
fn part(index: u32) -> State {
    let entry = |number: u64| {
        let name = u64::from(index) * 10_000 + number;
        (
            bytes_of("key", name).to_vec(),
            bytes_of("value", name).to_vec(),
        )
    };
    (0..2_500).map(entry).collect()
}

fn put_part(store: &dyn Store, index: u32) {
    let part = part(index);
    let mut entries = part
        .iter()
        .map(|(key, value)| (key.as_slice(), value.as_slice()));
    store.put_part(index, &mut entries).unwrap();
}

/// A state that comes in parts: after every kill those that were acknowledged are there, whole, and
/// the others can be added.
#[test]
fn killed_process_loses_no_acknowledged_part_of_a_state() {
    if let Some(folder) = std::env::var_os(PARTS_FOLDER) {
        let store = std::env::var(PARTS_STORE).unwrap();
        return put_parts_for_ever(store.parse().unwrap(), folder.as_ref());
    }
    for choice in [Choice::Sled, Choice::Redb] {
        let folder = tempfile::tempdir().unwrap();
        let name = choice.to_string();
        let mut acknowledged = 0;
        for round in 0..ROUNDS {
            let test = "crash::killed_process_loses_no_acknowledged_part_of_a_state";
            let places = [
                (PARTS_FOLDER, folder.path().as_os_str()),
                (PARTS_STORE, OsStr::new(&name)),
            ];
            acknowledged = write_until_killed((test, &places), acknowledged + 3 + round);
            let store = choice.open(folder.path()).unwrap();
            assert_eq!(store.tip().unwrap(), None);
            let begun = store.begun().unwrap().unwrap();
            // The part that was under way may have made it, whole.
            let count = u32::try_from(begun.parts.len()).unwrap();
            assert!(begun.parts.iter().copied().eq(0..count), "{begun:?}");
            assert!(
                u64::from(count) >= acknowledged,
                "part {acknowledged} was lost; there are {count}"
            );
            acknowledged = u64::from(count);
        }
        assert_becomes_whole(choice, folder.path());
    }
}

/// All parts that are there, and one more, are the whole state.
fn assert_becomes_whole(choice: Choice, folder: &Path) {
    let store = choice.open(folder).unwrap();
    let count = u32::try_from(store.begun().unwrap().unwrap().parts.len()).unwrap();
    // It may be there in part.
    put_part(store.as_ref(), count);
    let block = Block::at(20);
    let restored = Restored {
        chain: chain(),
        genesis_root: root(0),
        height: Height::new(20),
        block: &block.stored(),
        transactions: &block.transactions,
        parts_count: count + 1,
    };
    store.restore(&restored).unwrap();
    let all: State = (0..=count).flat_map(part).collect();
    assert_eq!(store.state().unwrap(), all);
    assert_eq!(store.check().unwrap().state_count, all.len() as u64);
}

/// The child: puts parts until it is killed.
fn put_parts_for_ever(choice: Choice, folder: &Path) {
    let store = choice.open(folder).unwrap();
    let count = match store.begun().unwrap() {
        Some(begun) => begun.parts.len(),
        None => {
            store.begin(b"plan").unwrap();
            0
        }
    };
    let mut output = std::io::stdout();
    for index in u32::try_from(count).unwrap().. {
        put_part(store.as_ref(), index);
        writeln!(output, "written {}", index + 1).unwrap();
        output.flush().unwrap();
    }
}
