//! A process is killed in the middle of committing; what it had acknowledged must be there.

use crate::support::{Block, assert_holds, initialize};
use ledger_store::{SledStore, Store};
use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

const FOLDER: &str = "LEDGER_STORE_CRASH_FOLDER";
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
        acknowledged = commit_until_killed(folder.path(), acknowledged + 7 + 5 * round);
        let store = SledStore::open(folder.path()).unwrap();
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

/// Starts a child that commits for ever, and kills it once it acknowledged `height`.
fn commit_until_killed(folder: &std::path::Path, height: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "crash::killed_process_loses_no_acknowledged_block",
            "--nocapture",
        ])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut heights = lines.map_while(Result::ok).filter_map(|line| {
        let number = line.strip_prefix("committed ")?;
        number.parse::<u64>().ok()
    });
    let reached = heights.by_ref().find(|at| *at >= height);
    child.kill().unwrap();
    let rest = heights.last();
    let status = child.wait().unwrap();
    assert!(!status.success(), "the child ended by itself: {status}");
    rest.or(reached)
        .expect("the child ended before it was killed")
}

/// The child: commits until it is killed.
fn commit_for_ever(folder: &std::path::Path) {
    let store = SledStore::open(folder).unwrap();
    initialize(&store);
    let tip = store.tip().unwrap().unwrap().height.get();
    let mut output = std::io::stdout();
    for height in tip + 1.. {
        store.commit(&Block::at(height).commit()).unwrap();
        writeln!(output, "committed {height}").unwrap();
        output.flush().unwrap();
    }
}
