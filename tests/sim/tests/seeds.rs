//! Histories by seed. `SEEDS=1000` for a night, `FROM=1001` to go on, `SEED=7` for one alone.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};
use tests_sim::{Outcome, Plan, Violation, run};

/// Histories that every run of the tests goes through.
const SEEDS_COUNT: u64 = 50;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// Runs these seeds on all processors.
fn run_all(seeds: std::ops::Range<u64>) -> Vec<(u64, Result<Outcome, Box<Violation>>)> {
    let next = AtomicU64::new(seeds.start);
    let done = Mutex::new(Vec::new());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let result = run(Plan::of(seed));
            if let Err(violation) = &result {
                println!("seed {seed}: {violation}\n  {:?}", Plan::of(seed));
            }
            done.lock().unwrap().push((seed, result));
        }
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
    done.into_inner().unwrap()
}

#[test]
fn four_honest_validators_commit_blocks() {
    let outcome = run(Plan::quiet(1)).unwrap_or_else(|violation| panic!("{violation}"));
    assert!(
        outcome.blocks >= 10 && outcome.transactions > 20,
        "{outcome:?}"
    );
}

#[test]
fn one_seed_is_one_history() {
    for plan in [Plan::quiet(3), Plan::of(3), Plan::of(5), Plan::of(11)] {
        let (one, other) = (run(plan.clone()), run(plan));
        assert_eq!(one, other);
    }
    assert_ne!(run(Plan::quiet(3)), run(Plan::quiet(4)));
}

/// Validators that never came back: see BENCHMARKS.md, "The chain simulated".
#[test]
fn histories_that_once_failed_keep_every_promise() {
    for seed in [332, 343, 457, 483, 703, 774, 883, 929] {
        run(Plan::undisturbed(seed)).unwrap_or_else(|violation| panic!("{violation}"));
    }
    // A key was put away a block too early.
    for seed in [113, 141, 190] {
        run(Plan::of(seed)).unwrap_or_else(|violation| panic!("{violation}"));
    }
}

#[test]
fn no_seed_breaks_a_promise() {
    let begun = Instant::now();
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => {
            let from = number("FROM").unwrap_or(1);
            from..from + number("SEEDS").unwrap_or(SEEDS_COUNT)
        }
    };
    let results = run_all(seeds);
    let outcomes: Vec<&Outcome> = results
        .iter()
        .filter_map(|(_, r)| r.as_ref().ok())
        .collect();
    let sum = |of: fn(&Outcome) -> u64| outcomes.iter().map(|o| of(o)).sum::<u64>();
    let most = |of: fn(&Outcome) -> u64| outcomes.iter().map(|o| of(o)).max().unwrap_or(0);
    println!(
        "{} histories in {:.1} s: {} kept every promise, {} void; {} blocks, {} transactions, {} \
         events, {} starts, {} changes of the set, {} keys changed, {} states taken, {} of \
         both signed again, {} blocks dropped, {} liars found out, {} s of virtual time; \
         slowest recovery {} ms",
        results.len(),
        begun.elapsed().as_secs_f64(),
        outcomes.len(),
        outcomes.iter().filter(|o| o.is_void).count(),
        sum(|o| o.blocks),
        sum(|o| o.transactions),
        sum(|o| o.events),
        sum(|o| o.starts),
        sum(|o| o.sets_changed),
        sum(|o| o.rotated),
        sum(|o| o.states_taken),
        sum(|o| o.signed_again),
        sum(|o| o.dropped),
        outcomes.iter().map(|o| o.found_out).sum::<usize>(),
        sum(|o| o.took_ms) / 1_000,
        most(|o| o.recovered_ms),
    );
    let failed: Vec<u64> = results
        .iter()
        .filter(|(_, result)| result.is_err())
        .map(|(seed, _)| *seed)
        .collect();
    assert!(failed.is_empty(), "seeds {failed:?} failed; see above");
}
