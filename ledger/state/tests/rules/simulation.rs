//! Random walks: honest and lying miners, a dishonest validator, absence, garbage.
//!
//! Each walk follows one seed. [`world`] builds blocks from what everybody wants to do and checks
//! after each that nobody honest lost anything, that every unit settled once, and (by
//! [`crate::support::Chain`]) that supply, root and replica agree. `SEED=42 cargo test -p
//! ledger-state simulation` repeats one walk.

mod actors;
mod garbage;
mod minority;
mod random;
mod world;

use std::{collections::BTreeMap, ops::Range};
use world::{End, MET, World};

const BLOCKS_COUNT: u64 = 180;

/// Names the seed when a walk fails.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("repeat with SEED={}", self.0);
        }
    }
}

fn walk(seed: u64) -> End {
    let _named = Named(seed);
    let mut world = World::new(seed);
    for _ in 0..BLOCKS_COUNT {
        world.advance();
    }
    world.finish()
}

fn walks(seeds: Range<u64>) {
    if let Ok(seed) = std::env::var("SEED") {
        walk(seed.parse().unwrap());
        return;
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (label, count) in seeds.flat_map(|seed| walk(seed).counts) {
        *counts.entry(label).or_insert(0) += count;
    }
    for label in MET {
        assert!(
            counts.contains_key(label),
            "no walk met {label:?}: {counts:?}"
        );
    }
}

#[test]
fn random_walks_keep_the_invariants() {
    walks(0..10);
}

#[test]
fn more_random_walks_keep_the_invariants() {
    walks(10..26);
}

#[test]
fn the_same_seed_gives_the_same_root() {
    let roots = [100, 100, 101].map(|seed| walk(seed).root);
    assert_eq!(roots[0], roots[1]);
    assert_ne!(roots[0], roots[2]);
}
