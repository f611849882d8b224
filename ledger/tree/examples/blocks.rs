//! What the state tree costs: blocks of writes to states of 10⁴, 10⁵ and 10⁶ entries.
//!
//! ```sh
//! cargo run --release -p ledger-tree --example blocks
//! ```
//!
//! Prints, in microseconds of this thread's processor time, the new root of a block of 1, 100 and
//! 10 000 writes (nine of ten to entries that exist, keys of 33 bytes, values of 96), by the tree
//! and by a homomorphic hash of all entries (`LtHash16`), which cannot prove anything; how long it
//! takes to build the whole tree, as a node does when it opens; bytes of a proof, and checking it.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a measurement, printed"
)]

use ledger_tree::{Tree, Writes};
use rustix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;

const REPEATS_COUNT: u64 = 5;

fn now_us() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

/// The result, and microseconds.
fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let from = now_us();
    let result = work();
    (result, now_us() - from)
}

/// An account's key: the number of a table, and an address.
fn key(number: u64) -> Vec<u8> {
    let address = blake3::hash(&number.to_le_bytes());
    [&[1], address.as_bytes().as_slice()].concat()
}

fn value(number: u64, version: u64) -> Vec<u8> {
    let mut value = vec![7; 96];
    value[..8].copy_from_slice(&number.to_le_bytes());
    value[8..16].copy_from_slice(&version.to_le_bytes());
    value
}

/// Writes spread over the state; each tenth is a new entry.
fn block(entries_count: u64, count: u64, version: u64) -> Writes {
    let spread = |index: u64| (index * 0x9E37_79B9 + version * 7_919) % entries_count;
    let write = |index: u64| {
        let number = match index % 10 {
            9 => entries_count + version * count + index,
            _ => spread(index),
        };
        (key(number), Some(value(number, version)))
    };
    (0..count).map(write).collect()
}

/// The lane-wise sum over all entries of 1 024 lanes of 16 bits.
struct Lattice(Vec<u16>);

impl Lattice {
    fn combine(&mut self, key: &[u8], value: &[u8], operation: fn(u16, u16) -> u16) {
        let mut hasher = blake3::Hasher::new_derive_key("a lattice to compare with");
        hasher.update(&(key.len() as u64).to_le_bytes());
        hasher.update(key).update(value);
        let mut bytes = [0; 2_048];
        hasher.finalize_xof().fill(&mut bytes);
        for (lane, pair) in self.0.iter_mut().zip(bytes.chunks_exact(2)) {
            *lane = operation(*lane, u16::from_le_bytes([pair[0], pair[1]]));
        }
    }
    fn after(&self, entries: &BTreeMap<Vec<u8>, Vec<u8>>, writes: &Writes) -> Self {
        let mut after = Self(self.0.clone());
        for (key, value) in writes {
            if let Some(old) = entries.get(key) {
                after.combine(key, old, u16::wrapping_sub);
            }
            after.combine(key, value.as_ref().unwrap(), u16::wrapping_add);
        }
        after
    }
}

fn measure(entries_count: u64) {
    let entries: BTreeMap<_, _> = (0..entries_count).map(|n| (key(n), value(n, 0))).collect();
    let (tree, build_us) = timed(|| Tree::of(&entries));
    println!("{entries_count} entries: built in {:.0} ms", build_us / 1e3);
    let lattice = Lattice(vec![0; 1_024]);
    for count in [1, 100, 10_000] {
        let (mut tree_us, mut lattice_us) = (f64::MAX, f64::MAX);
        for repeat in 0..REPEATS_COUNT {
            let writes = block(entries_count, count, repeat + 1);
            tree_us = tree_us.min(timed(|| tree.after(&writes).root()).1);
            lattice_us = lattice_us.min(timed(|| lattice.after(&entries, &writes)).1);
        }
        println!(
            "  {count:>6} writes: tree {tree_us:>9.0} us ({:.1} a write), lattice {lattice_us:>9.0} \
             us ({:.1}), ratio {:.2}",
            tree_us / count as f64,
            lattice_us / count as f64,
            tree_us / lattice_us
        );
    }
    for (name, keys) in [
        ("an entry", vec![key(5)]),
        ("an absent one", vec![key(entries_count + 5)]),
        ("100 entries", (0..100).map(|n| key(n * 37)).collect()),
    ] {
        let read = |key: &[u8]| entries.get(key).cloned();
        let (proof, prove_us) = timed(|| tree.prove(&keys, read).unwrap());
        let (proven, verify_us) = timed(|| proof.verify(tree.root()).unwrap());
        assert!(keys.iter().all(|key| proven.get(key).is_ok()));
        let bytes = proof.encode().len();
        println!(
            "  proof of {name}: {bytes} bytes, made in {prove_us:.0} us, checked in \
             {verify_us:.0} us"
        );
    }
}

fn main() {
    for entries_count in [10_000, 100_000, 1_000_000] {
        measure(entries_count);
    }
}
