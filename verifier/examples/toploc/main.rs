//! TOPLOC beside its reference library, in one run: speed, interchange, forgeries.
//!
//! `cargo run --release -p verifier --example toploc -- [--python PYTHON] [--model DIR]`
//!
//! PYTHON is one that has `toploc==0.1.6` and `torch==2.6.0`; without it an environment with them
//! is made under the target folder (about 3 GB). DIR is a Hugging Face directory, such as
//! `cairn model import` makes; without it a small model is trained for a minute on the corpus that
//! ships with the program. Prints Markdown tables, and fails if an honest proof is refused.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "a measurement printed to a terminal"
)]

mod chunks;
mod forgery;
mod reference;

use chunks::Chunks;
use forgery::Forgery;
use protocol::proof::toploc::{Rule, Thresholds, build, verify_bytes};
use reference::{Answer, Reference};
use std::{error::Error, path::PathBuf, time::Instant};

/// Chunks of each kind.
const CHUNKS_COUNT: usize = 1024;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn option(name: &str) -> Option<PathBuf> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1).map(PathBuf::from)
}

/// The best of many times, in milliseconds.
fn best_ms(action: impl Fn()) -> f64 {
    let time = |_| {
        let start = Instant::now();
        action();
        start.elapsed().as_secs_f64() * 1e3
    };
    (0..30).map(time).fold(f64::INFINITY, f64::min)
}

/// Times on the same activations, ours before and after the reference's.
fn speed(reference: &Reference) -> Result<()> {
    let chunks = Chunks::bell_shaped("speed", 1, 1000, 5120);
    let activations = chunks.activations(0)?;
    let proofs: Vec<_> = build(&activations)?.iter().map(|p| p.to_bytes()).collect();
    let judge = |rule| best_ms(|| drop(verify_bytes(&proofs, &activations, rule)));
    let ours = || {
        let built = best_ms(|| drop(build(&activations)));
        [
            built,
            judge(Rule::Exact),
            judge(Rule::Tolerant(Thresholds::PAPER)),
        ]
    };
    let before = ours();
    let theirs = reference.speed(&chunks)?;
    let after = ours();
    let best = |index: usize| before[index].min(after[index]);
    println!("1000 x 5120 values, k = 128, one thread, best of many:\n");
    println!("| | reference | ours | ratio |\n|---|---|---|---|");
    let rows = [
        ("build", theirs.build_ms, best(0)),
        ("verify, exact rule", theirs.verify_ms, best(1)),
        ("verify, tolerant rule", theirs.verify_ms, best(2)),
    ];
    for (name, theirs, ours) in rows {
        println!(
            "| {name} | {theirs:.2} ms | {ours:.2} ms | {:.1} |",
            theirs / ours
        );
    }
    println!();
    Ok(())
}

/// Each library judges the other's proofs.
fn interchange(chunks: &Chunks, answer: &Answer, name: &str) -> Result<()> {
    let (mut equal, mut ours_accepted, mut theirs_accepted) = (0, 0, 0);
    let (mut mismatches_max, mut mean_max) = (0, 0.0_f64);
    let honest = chunks.proofs()?;
    for (index, own) in honest.iter().enumerate() {
        let found = answer.measured("honest", index)?;
        theirs_accepted += usize::from(found.is_accepted());
        mismatches_max = mismatches_max.max(found.exponent_mismatches);
        mean_max = mean_max.max(found.mantissa_mean);
        let theirs = answer.proof(index)?.to_bytes();
        equal += usize::from(theirs == *own);
        let rule = Rule::Tolerant(Thresholds::PAPER);
        ours_accepted +=
            usize::from(verify_bytes(&[theirs], &chunks.activations(index)?, rule).is_ok());
    }
    let count = honest.len();
    println!(
        "| {name} | {count} | {theirs_accepted} | {ours_accepted} | {equal} | {mismatches_max} | \
         {mean_max:.3} |"
    );
    if ours_accepted < count || theirs_accepted < count {
        return Err(format!("honest proofs of {name} were refused").into());
    }
    Ok(())
}

/// How many forged proofs pass each rule.
fn forgeries(chunks: &Chunks, answer: &Answer) -> Result<()> {
    for forgery in Forgery::ALL {
        let forged = forgery.proofs(chunks)?;
        let mut passed = [0; 3];
        for (index, proof) in forged.iter().enumerate() {
            let activations = chunks.activations(index)?;
            let passes = |rule| verify_bytes(&[proof], &activations, rule).is_ok();
            passed[0] += usize::from(answer.measured(forgery.as_str(), index)?.is_accepted());
            passed[1] += usize::from(passes(Rule::Tolerant(Thresholds::PAPER)));
            passed[2] += usize::from(passes(Rule::Exact));
        }
        let count = forged.len();
        let share = passed.map(|passed| passed as f64 / count as f64);
        println!(
            "| {} | {} | {count} | {:.4} | {:.4} | {:.4} |",
            chunks.name(),
            forgery.as_str(),
            share[0],
            share[1],
            share[2]
        );
    }
    Ok(())
}

fn main() -> Result<()> {
    let reference = Reference::open(option("--python"))?;
    speed(&reference)?;
    let random = Chunks::bell_shaped("random", CHUNKS_COUNT, 32, 1024);
    let real = Chunks::real("real", CHUNKS_COUNT, option("--model").as_deref())?;
    let sets = [random, real];
    let answers: Vec<_> = sets
        .iter()
        .map(|set| reference.judge(set))
        .collect::<Result<_>>()?;
    println!(
        "| activations | chunks | ours accepted by the reference | its own accepted by ours | equal bytes | most exponent mismatches | largest mean distance |\n|---|---|---|---|---|---|---|"
    );
    for (set, answer) in sets.iter().zip(&answers) {
        interchange(set, answer, set.name())?;
    }
    println!(
        "\n| activations | forgery | proofs | pass the reference's rule | pass our tolerant rule | pass the exact rule |\n|---|---|---|---|---|---|"
    );
    for (set, answer) in sets.iter().zip(&answers) {
        forgeries(set, answer)?;
    }
    Ok(())
}
