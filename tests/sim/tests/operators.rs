//! What operators do to their nodes, and what happens to their machines: scenes that a seed may not
//! come to.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use tests_sim::{Fault, Join, Outcome, Plan, run};

#[track_caller]
fn kept(plan: Plan) -> Outcome {
    run(plan).unwrap_or_else(|violation| panic!("{violation}"))
}

/// A validator loses its store while two others have dropped the blocks that it needs.
fn losing(node: usize, joins: Join) -> Plan {
    let wipe = Fault::Wipe {
        node,
        away_ms: 700,
        joins,
    };
    let all = (0..4).filter(|other| *other != (node + 1) % 4);
    Plan {
        faults: vec![(6_000, wipe)],
        keep_blocks: all.map(|node| (node, 3)).collect(),
        snapshot_blocks: 3,
        heal_ms: 7_000,
        heights_after: 12,
        ..Plan::quiet(7)
    }
}

#[test]
fn a_validator_joins_by_the_state_of_others_across_changes_of_the_set_and_signs() {
    for node in 0..4 {
        let outcome = kept(losing(node, Join::State));
        assert_eq!(outcome.states_taken, 1, "{outcome:?}");
        assert_eq!(outcome.signed_again, 1, "{outcome:?}");
        assert!(outcome.sets_changed > 2, "{outcome:?}");
        assert!(outcome.dropped > 0, "{outcome:?}");
    }
}

#[test]
fn a_validator_that_replays_gets_old_blocks_of_the_only_one_who_kept_them() {
    for node in 0..4 {
        let outcome = kept(losing(node, Join::Replay));
        assert_eq!(outcome.states_taken, 0, "{outcome:?}");
    }
}

#[test]
fn a_validator_changes_its_key_and_goes_on_signing() {
    for node in 0..4 {
        let outcome = kept(Plan {
            rotations: vec![(500, node)],
            heal_ms: 3_000,
            heights_after: 12,
            ..Plan::quiet(3)
        });
        assert_eq!(outcome.rotated, 1, "{outcome:?}");
        assert_eq!(outcome.signed_again, 1, "{outcome:?}");
    }
}

#[test]
fn a_validator_that_changed_its_key_and_lost_its_store_comes_back() {
    for node in 0..4 {
        let outcome = kept(Plan {
            rotations: vec![(500, node)],
            ..losing(node, Join::State)
        });
        assert_eq!((outcome.rotated, outcome.states_taken), (1, 1));
        assert_eq!(outcome.signed_again, 1, "{outcome:?}");
    }
}

/// Wherever the power goes: before a signature is remembered, between that and the log, before the
/// log is on the disk, before anybody heard of it.
#[test]
fn a_cut_of_the_power_between_a_signature_and_the_log_contradicts_nothing() {
    let mut ends: BTreeMap<&str, u64> = BTreeMap::new();
    for effects in 0..36 {
        let crash = Fault::Crash {
            node: effects as usize % 4,
            effects,
            away_ms: 400,
        };
        let outcome = kept(Plan {
            faults: vec![(1_500, crash)],
            unpowered: vec![effects as usize % 4],
            heal_ms: 3_000,
            heights_after: 4,
            ..Plan::quiet(11)
        });
        for (effect, count) in outcome.ends {
            *ends.entry(effect).or_default() += count;
        }
    }
    // The first is before a record of the history, the second after it and before its log's, the
    // third before the log is on the disk, the last before the message is out.
    for effect in ["sign vote", "append to log", "flush log", "publish"] {
        assert!(ends.get(effect).is_some_and(|count| *count > 0), "{ends:?}");
    }
}
