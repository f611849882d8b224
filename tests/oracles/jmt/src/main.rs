//! The `jmt` crate with BLAKE3 beside our state tree: the same blocks on the same states.
//!
//! ```sh
//! cd tests/oracles/jmt && cargo run --release
//! ```
//!
//! Nodes of `jmt` lie in its own map in memory, the best case for it: a store would add the nodes
//! of every block to the disk. States of 10⁴, 10⁵ and 10⁶ entries; blocks of 1, 100 and 10 000
//! writes, nine of ten to entries that exist, keys of 33 bytes, values of 96. Wall time, in
//! microseconds; bytes of the nodes that a block writes, and of proofs.

use anyhow::{Context, Result};
use jmt::{
    JellyfishMerkleTree, KeyHash, SimpleHasher, mock::MockTreeStore, storage::TreeWriter as _,
};
use ledger_tree::{Tree, Writes};
use std::{collections::BTreeMap, time::Instant};

/// BLAKE3 for `jmt`, whose traits are those of another version of `digest` than BLAKE3's.
struct Blake3(blake3::Hasher);

impl SimpleHasher for Blake3 {
    fn new() -> Self {
        Self(blake3::Hasher::new())
    }
    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }
    fn finalize(self) -> [u8; 32] {
        *self.0.finalize().as_bytes()
    }
}

type Jmt<'a> = JellyfishMerkleTree<'a, MockTreeStore, Blake3>;

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

fn micros(from: Instant) -> u128 {
    from.elapsed().as_micros()
}

fn hashed(writes: &Writes) -> Vec<(KeyHash, Option<Vec<u8>>)> {
    let hash = |key: &Vec<u8>| KeyHash::with::<Blake3>(key);
    writes
        .iter()
        .map(|(key, value)| (hash(key), value.clone()))
        .collect()
}

fn measure(entries_count: u64) -> Result<()> {
    let entries: BTreeMap<_, _> = (0..entries_count).map(|n| (key(n), value(n, 0))).collect();
    let from = Instant::now();
    let tree = Tree::of(&entries);
    let ours = micros(from);
    let all = entries
        .iter()
        .map(|(k, v)| (k.clone(), Some(v.clone())))
        .collect();
    let store = MockTreeStore::default();
    let from = Instant::now();
    let (_, batch) = Jmt::new(&store).put_value_set(hashed(&all), 0)?;
    store.write_node_batch(&batch.node_batch)?;
    println!(
        "{entries_count} entries: built in {ours} us, by jmt in {} us",
        micros(from)
    );
    drop((all, batch));
    for count in [1, 100, 10_000] {
        let (mut best, mut best_of_jmt, mut node_bytes) = (u128::MAX, u128::MAX, 0);
        for repeat in 1..=5 {
            let writes = block(entries_count, count, repeat);
            let from = Instant::now();
            let after = tree.after(&writes);
            best = best.min(micros(from));
            drop(after);
            let from = Instant::now();
            let (_, batch) = Jmt::new(&store).put_value_set(hashed(&writes), 1)?;
            best_of_jmt = best_of_jmt.min(micros(from));
            node_bytes = borsh::to_vec(batch.node_batch.nodes())?.len();
        }
        println!(
            "  {count:>6} writes: ours {best:>8} us, jmt {best_of_jmt:>8} us and {node_bytes} bytes \
             of nodes to store"
        );
    }
    let asked = key(5);
    let proof = tree.prove([&asked], |key| entries.get(key).cloned())?;
    let (_, of_jmt) = Jmt::new(&store).get_with_proof(KeyHash::with::<Blake3>(&asked), 0)?;
    let bytes = borsh::to_vec(&of_jmt).context("a proof of jmt")?.len();
    println!(
        "  proof of an entry: ours {} bytes with key and value, jmt {bytes}",
        proof.encode().len()
    );
    Ok(())
}

fn main() -> Result<()> {
    for entries_count in [10_000, 100_000, 1_000_000] {
        measure(entries_count)?;
    }
    Ok(())
}
