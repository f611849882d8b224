//! Every decoder on its seeds and on thousands of mutations of them. `tests/fuzz` goes on from
//! here for hours.
#![allow(clippy::unwrap_used, reason = "tests")]

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use std::panic::catch_unwind;
use tests_decoders::{ALL, Decoder};

const MUTATIONS_COUNT: u32 = 3_000;

/// Numbers at which lengths and counts go wrong.
const EDGES: [u64; 8] = [0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFF, u64::MAX];

/// A few changes: bits, bytes, edges, removed, repeated and exchanged parts.
fn mutate(random: &mut StdRng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds[random.gen_range(0..seeds.len())].clone();
    for _ in 0..random.gen_range(1..=4) {
        let position = random.gen_range(0..=bytes.len());
        let end = (position + random.gen_range(0..=16)).min(bytes.len());
        match random.gen_range(0..7) {
            0 if position < bytes.len() => bytes[position] ^= 1 << random.gen_range(0..8),
            1 if position < bytes.len() => bytes[position] = random.r#gen(),
            2 => bytes.truncate(position),
            3 => drop(bytes.drain(position..end)),
            4 => {
                let part = bytes[position..end].to_vec();
                bytes.splice(position..position, part);
            }
            5 => {
                let edge = EDGES[random.gen_range(0..EDGES.len())].to_le_bytes();
                let width = (end - position).min([1, 2, 4, 8][random.gen_range(0..4)]);
                bytes[position..position + width].copy_from_slice(&edge[..width]);
            }
            _ => {
                let other = &seeds[random.gen_range(0..seeds.len())];
                let tail = &other[random.gen_range(0..=other.len())..];
                bytes.truncate(position);
                bytes.extend_from_slice(tail);
            }
        }
    }
    bytes
}

fn survives(decoder: Decoder, seed: u64) {
    let seeds = (decoder.seeds)();
    assert!(!seeds.is_empty(), "{} has no seeds", decoder.name);
    let run = |bytes: &[u8], which: &str| {
        let outcome = catch_unwind(|| (decoder.run)(bytes));
        let shown = hex::encode(bytes);
        assert!(outcome.is_ok(), "{} on {which}: {shown}", decoder.name);
    };
    for bytes in &seeds {
        run(bytes, "a seed");
    }
    let mut random = StdRng::seed_from_u64(seed);
    for count in 0..MUTATIONS_COUNT {
        let bytes = mutate(&mut random, &seeds);
        run(&bytes, &format!("mutation {count} of SEED={seed}"));
    }
}

#[test]
fn every_decoder_survives_mutations_of_its_seeds() {
    let seed = std::env::var("SEED").ok();
    let seed = seed.map_or(1, |text| text.parse().unwrap());
    for decoder in ALL {
        survives(*decoder, seed);
    }
}

#[test]
fn every_decoder_has_a_fuzz_target() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/fuzz_targets");
    let mut targets: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    targets.sort();
    let names: Vec<&str> = ALL.iter().map(|decoder| decoder.name).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(targets, sorted);
}
