//! The fourteen invariants over random histories, and a mutant for each that must break it.
//!
//! `HISTORIES=100000 cargo test -p governance histories` plays more; `SEED=42` plays one.

use super::history::{Counts, play};
use crate::mutant;
use std::collections::BTreeMap;

/// Histories in every run of the tests.
const HISTORIES_COUNT: u64 = 10_000;
/// Histories within which a mutant must be caught.
const MUTANT_HISTORIES_COUNT: u64 = 3_000;

/// A broken rule, and the invariants of which one must notice.
const MUTANTS: &[(&str, &[u8])] = &[
    ("a failure is retried", &[1]),
    ("timelocks are skipped", &[2]),
    ("a direct vote is counted beside the delegate's", &[3, 5]),
    ("veto is measured against all votes", &[4]),
    ("quorum counts every vote", &[4]),
    ("powers are read when the vote is cast", &[3, 5]),
    ("an expired deposit vanishes", &[6, 7]),
    ("spending does not debit the treasury", &[7]),
    ("the treasury has no window", &[8]),
    ("the steward keeps its powers", &[9]),
    ("pauses do not end", &[10]),
    ("a failed execution keeps what it did", &[11]),
    ("parameters have no bounds", &[12]),
    ("readiness is not asked for", &[13]),
    ("a restored node forgets votes", &[14]),
];

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn ten_thousand_histories_keep_all_invariants() {
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("HISTORIES").unwrap_or(HISTORIES_COUNT),
    };
    let started = std::time::Instant::now();
    let is_one = seeds.end - seeds.start == 1;
    let mut all: BTreeMap<String, u64> = BTreeMap::new();
    for seed in seeds {
        match play(seed) {
            Ok(Counts(counts)) => {
                for (what, count) in counts {
                    *all.entry(what).or_default() += count;
                }
            }
            Err(broken) => panic!("SEED={seed} broke {}: {}", broken.invariant, broken.what),
        }
    }
    eprintln!("{:?} for {all:?}", started.elapsed());
    // Histories that never reach a status would prove nothing about it.
    let needed = [
        "deposit",
        "voting",
        "passed",
        "rejected",
        "vetoed",
        "timelocked",
        "executed",
        "failed",
        "expired",
        "cancelled",
        "deposit-expired",
        "lapsed",
        "activated",
        "outflow",
        "guarded",
    ];
    let missing: Vec<_> = needed
        .iter()
        .filter(|what| !all.contains_key(**what))
        .collect();
    assert!(
        is_one || missing.is_empty(),
        "never seen: {missing:?} in {all:?}"
    );
}

#[test]
fn every_broken_rule_is_noticed_by_its_invariant() {
    for (rule, invariants) in MUTANTS {
        let caught = mutant::with(Some(rule), || {
            (0..MUTANT_HISTORIES_COUNT).find_map(|seed| play(seed).err())
        });
        let Some(broken) = caught else {
            panic!("{rule:?} broke nothing in {MUTANT_HISTORIES_COUNT} histories");
        };
        assert!(
            invariants.contains(&broken.invariant),
            "{rule:?} broke {broken:?}"
        );
    }
}

#[test]
fn there_is_a_mutant_for_every_invariant() {
    let covered = |invariant| {
        MUTANTS
            .iter()
            .any(|(_, broken)| broken.contains(&invariant))
    };
    assert!((1..=14).all(covered));
}
