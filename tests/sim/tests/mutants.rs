//! Tests of the tests: seeded bugs are found, liars with too much power too, and single scenes that
//! a seed may not come to.
#![allow(clippy::unwrap_used, reason = "tests")]

use tests_sim::{Fault, Join, Liar, Mutant, Plan, Simulation, run};

/// Runs plans with a bug until one of its consequences is found; the first words of what is found.
#[track_caller]
fn is_found(mutant: Mutant, plan: impl Fn(u64) -> Plan, words: &[&str]) {
    for seed in 1..=12 {
        let plan = Plan {
            mutant: Some(mutant),
            ..plan(seed)
        };
        if let Err(violation) = run(plan) {
            let what = &violation.what;
            assert!(words.iter().any(|word| what.contains(word)), "{what}");
            return;
        }
    }
    panic!("{mutant:?} is never found");
}

/// Every node falls again and again, one at a time.
fn falling(seed: u64) -> Plan {
    let crash = |number: u64| Fault::Crash {
        node: usize::try_from(number % 4).unwrap(),
        effects: u32::try_from(number * 7 % 23).unwrap(),
        away_ms: 300,
    };
    Plan {
        faults: (0..12)
            .map(|number| (1_000 + number * 600, crash(number)))
            .collect(),
        heal_ms: 9_000,
        ..Plan::quiet(seed)
    }
}

/// Two halves that do not hear each other for a while.
fn parted(seed: u64) -> Plan {
    let sides = vec![true, false, true, false];
    let part = Fault::Partition {
        sides,
        for_ms: 6_000,
    };
    Plan {
        faults: vec![(500, part)],
        heal_ms: 8_000,
        ..Plan::quiet(seed)
    }
}

fn lying(seed: u64) -> Plan {
    Plan {
        liars: vec![(1, Liar::Equivocator)],
        heal_ms: 2_000,
        ..Plan::quiet(seed)
    }
}

#[test]
fn the_same_scenes_without_a_bug_keep_every_promise() {
    for plan in [falling(1), parted(1), lying(1)] {
        run(plan).unwrap_or_else(|violation| panic!("{violation}"));
    }
}

#[test]
fn forgotten_signatures_are_found() {
    is_found(
        Mutant::ForgetsSignatures,
        falling,
        &["signed two of", "is punished"],
    );
}

#[test]
fn a_quorum_of_a_half_is_found() {
    is_found(
        Mutant::CountsHalfAsQuorum,
        parted,
        &["disagreement", "without a quorum"],
    );
}

#[test]
fn a_lost_last_block_is_found() {
    is_found(Mutant::LosesLastBlock, falling, &["lost blocks"]);
}

#[test]
fn a_transfer_that_arrives_twice_is_found() {
    is_found(
        Mutant::CreditsTwice,
        falling,
        &[
            "cannot start: stored state has root",
            "another state than its tip",
        ],
    );
}

#[test]
fn a_liar_that_nobody_reports_is_found() {
    is_found(Mutant::IgnoresEvidence, lying, &["not found out 1"]);
}

#[test]
fn more_than_a_third_of_liars_are_found_to_break_agreement() {
    // Two of four are twins: each pair of copies convinces one of the honest two.
    let sides = vec![false, true, false, false, true, true];
    let part = Fault::Partition {
        sides: sides.clone(),
        for_ms: 4_000,
    };
    let plan = Plan {
        liars: vec![(2, Liar::Twin), (3, Liar::Twin)],
        faults: vec![(100, part)],
        heal_ms: 5_000,
        ..Plan::quiet(1)
    };
    let violation = Simulation::new(plan).promising_all().hearing(sides).run();
    let what = violation.unwrap_err().what;
    assert!(what.starts_with("disagreement at height"), "{what}");
}

#[test]
fn twins_of_less_than_a_third_break_nothing() {
    for seed in 1..=4 {
        let plan = Plan {
            liars: vec![(0, Liar::Twin)],
            heal_ms: 3_000,
            ..Plan::quiet(seed)
        };
        let outcome = run(plan).unwrap_or_else(|violation| panic!("{violation}"));
        assert!(!outcome.is_void);
    }
}

#[test]
fn a_validator_whose_store_is_lost_comes_back_without_contradicting_itself() {
    for node in 0..4 {
        let wipe = Fault::Wipe {
            node,
            away_ms: 700,
            joins: Join::Replay,
        };
        let plan = Plan {
            faults: vec![(2_500, wipe)],
            heal_ms: 3_300,
            ..Plan::quiet(7)
        };
        run(plan).unwrap_or_else(|violation| panic!("node {node}: {violation}"));
    }
}

#[test]
fn a_failure_says_how_to_see_it_again_and_is_the_same_again() {
    let plan = Plan {
        mutant: Some(Mutant::LosesLastBlock),
        ..falling(1)
    };
    let (one, other) = (run(plan.clone()), run(plan));
    let violation = one.clone().unwrap_err();
    assert_eq!(one, other);
    assert!(
        violation
            .to_string()
            .contains("SEED=1 cargo test -p tests-sim")
    );
}
