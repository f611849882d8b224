//! What memory a store takes as the chain grows: one database a process.
//!
//! ```sh
//! cargo run --release -p ledger-store --example memory sled|redb [KEEP [TRANSACTIONS [FOLDER]]]
//! ```
//!
//! Blocks of transfers among 256 accounts, 170 bytes each (128 a block unless said otherwise),
//! every block on the disk before the next. Of each the last `KEEP` blocks stay, all of them for 0;
//! older ones go as they do in a node. After each tenth, the process's resident memory, the bytes
//! in the folder, and milliseconds a commit of that tenth took.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a measurement, printed"
)]

use ledger_store::{Choice, Commit, State, Store, Writes};
use protocol::{BlockId, ChainId, Height, StateRoot, TransactionId};
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

const BLOCKS_COUNT: u64 = 10_000;
const ACCOUNTS_COUNT: u64 = 256;
const TRANSFER_BYTES: usize = 170;
/// Blocks above the limit before the next are dropped, and records dropped at once, as nodes do.
const SLACK_BLOCKS: u64 = 20;
const RECORDS_COUNT: usize = 2_000;

fn hash(kind: &str, number: u64) -> [u8; 32] {
    *blake3::hash(format!("{kind}/{number}").as_bytes()).as_bytes()
}

fn key(number: u64) -> Vec<u8> {
    hash("key", number % ACCOUNTS_COUNT).to_vec()
}

fn resident_mib() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = pages.split(' ').nth(1).unwrap().parse().unwrap();
    (pages * 4096) >> 20
}

fn mib_in(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let bytes: u64 = entries.map(|entry| entry.metadata().unwrap().len()).sum();
    bytes >> 20
}

/// Commits a block of so many transfers; how long the store took.
fn commit(store: &dyn Store, height: u64, count: u64) -> Duration {
    let transactions = height * count..(height + 1) * count;
    let writes: Writes = transactions
        .clone()
        .flat_map(|number| [key(number), key(number * 7 + 3)])
        .map(|key| (key, Some(vec![7; 64])))
        .collect();
    let ids: Vec<_> = transactions
        .clone()
        .map(|number| TransactionId::from_bytes(hash("transaction", number)))
        .collect();
    let body = |number| hash("body", number).into_iter().cycle();
    let block: Vec<u8> = transactions
        .flat_map(|number| body(number).take(TRANSFER_BYTES))
        .collect();
    let begun = Instant::now();
    store
        .commit(&Commit {
            height: Height::new(height),
            block_id: BlockId::from_bytes(hash("id", height)),
            block: &block,
            certificate: &[5; 400],
            state_root: StateRoot::from_bytes([0; 32]),
            writes: &writes,
            transactions: &ids,
        })
        .unwrap();
    begun.elapsed()
}

/// Drops what is older than the last blocks that are kept.
fn prune(store: &dyn Store, height: u64, keep: u64) {
    let below = Height::new(height.saturating_sub(keep) + 1);
    let mut first = store.first().unwrap();
    if keep == 0 || first.saturating_add(SLACK_BLOCKS) > below {
        return;
    }
    while first < below {
        first = store.prune(below, RECORDS_COUNT).unwrap();
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let choice: Choice = arguments.next().unwrap().parse().unwrap();
    let keep: u64 = arguments.next().map_or(0, |text| text.parse().unwrap());
    let count: u64 = arguments.next().map_or(128, |text| text.parse().unwrap());
    let parent = arguments.next().unwrap_or_else(|| "/tmp".to_owned());
    let folder = tempfile::tempdir_in(parent).unwrap();
    let store = choice.open(folder.path()).unwrap();
    let state: State = (0..ACCOUNTS_COUNT).map(|n| (key(n), vec![1; 64])).collect();
    let root = StateRoot::from_bytes([0; 32]);
    store
        .initialize(ChainId::from_bytes([1; 32]), &state, root)
        .unwrap();
    let tenth = BLOCKS_COUNT / 10;
    let mut took = Duration::ZERO;
    for height in 1..=BLOCKS_COUNT {
        took += commit(store.as_ref(), height, count);
        prune(store.as_ref(), height, keep);
        if height % tenth == 0 {
            let (resident, disk) = (resident_mib(), mib_in(folder.path()));
            let each_ms = took.as_secs_f64() * 1e3 / tenth as f64;
            println!(
                "{height} blocks | {resident} MiB resident | {disk} MiB on the disk | {each_ms:.1} \
                 ms a commit"
            );
            took = Duration::ZERO;
        }
    }
}
