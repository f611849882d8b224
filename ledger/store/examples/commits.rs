//! What committing costs, and what stays on the disk: redb and sled.
//!
//! ```sh
//! cargo run --release -p ledger-store --example commits [FOLDER]
//! ```
//!
//! A state of 10 000 entries, then 2 000 blocks of 10 kB with 100 writes and 50 transactions each,
//! every one on the disk before the next. Prints wall time a block, bytes on the disk beside bytes
//! committed, and how long opening takes with everything read.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a measurement, printed"
)]

use ledger_store::{Choice, Commit, State, Writes};
use protocol::{BlockId, ChainId, Height, StateRoot, TransactionId};
use std::{fs, path::Path, time::Instant};

const ENTRIES_COUNT: u64 = 10_000;
const BLOCKS_COUNT: u64 = 2_000;
const WRITES_COUNT: u64 = 100;
const TRANSACTIONS_COUNT: u64 = 50;
const BLOCK_BYTES: usize = 10_000;

fn hash(kind: &str, number: u64) -> [u8; 32] {
    *blake3::hash(format!("{kind}/{number}").as_bytes()).as_bytes()
}

fn key(number: u64) -> Vec<u8> {
    hash("key", number % ENTRIES_COUNT).to_vec()
}

fn bytes_in(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let sizes = entries.map(|entry| match entry.metadata().unwrap() {
        inner if inner.is_dir() => bytes_in(&entry.path()),
        file => file.len(),
    });
    sizes.sum()
}

fn measure(choice: Choice, folder: &Path) {
    let store = choice.open(folder).unwrap();
    let state: State = (0..ENTRIES_COUNT).map(|n| (key(n), vec![1; 64])).collect();
    let root = StateRoot::from_bytes([0; 32]);
    let chain = ChainId::from_bytes([1; 32]);
    store.initialize(chain, &state, root).unwrap();
    let (mut committed, mut slowest_ms) = (0, 0.0_f64);
    let begun = Instant::now();
    for height in 1..=BLOCKS_COUNT {
        let numbers = (0..WRITES_COUNT).map(|n| height * 7919 + n * 104_729);
        let writes: Writes = numbers.map(|n| (key(n), Some(vec![7; 64]))).collect();
        let ids: Vec<_> = (0..TRANSACTIONS_COUNT)
            .map(|n| TransactionId::from_bytes(hash("transaction", height * 1_000 + n)))
            .collect();
        let block = hash("block", height).repeat(BLOCK_BYTES / 32);
        committed += block.len() + ids.len() * 40 + writes.len() * 96;
        let at = Instant::now();
        store
            .commit(&Commit {
                height: Height::new(height),
                block_id: BlockId::from_bytes(hash("id", height)),
                block: &block,
                certificate: &[5; 400],
                state_root: root,
                writes: &writes,
                transactions: &ids,
            })
            .unwrap();
        slowest_ms = slowest_ms.max(at.elapsed().as_secs_f64() * 1e3);
    }
    let each_ms = begun.elapsed().as_secs_f64() * 1e3 / BLOCKS_COUNT as f64;
    drop(store);
    let opening = Instant::now();
    let store = choice.open(folder).unwrap();
    store.check().unwrap();
    let opened_s = opening.elapsed().as_secs_f64();
    println!(
        "{choice}: {each_ms:.2} ms a block, {slowest_ms:.0} ms the slowest; {:.0} MB on the disk \
         for {:.0} MB committed; {opened_s:.2} s to open and read everything",
        bytes_in(folder) as f64 / 1e6,
        committed as f64 / 1e6,
    );
}

fn main() {
    let base = std::env::args().nth(1);
    let base = base.map_or_else(std::env::temp_dir, Into::into);
    for choice in [Choice::Redb, Choice::Sled, Choice::Redb, Choice::Sled] {
        let folder = tempfile::tempdir_in(&base).unwrap();
        measure(choice, folder.path());
    }
}
