//! Time to build and to verify the proofs of 1000 × 5120 bf16 activations, one thread.
//!
//! `cargo run --release -p protocol --example toploc_speed`
#![allow(
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    reason = "a measurement printed to a terminal"
)]

use protocol::proof::toploc::{Activations, Layout, Rule, Thresholds, build, verify};
use std::time::{Duration, Instant};

const TOKENS: usize = 1000;
const HIDDEN: usize = 5120;
const REPETITIONS: usize = 30;

/// Bell-shaped values as bf16 bits: a sum of twelve uniform bytes, about its mean, in steps.
fn bell_shaped(count: usize) -> Vec<u16> {
    let mut reader = blake3::Hasher::new().update(b"toploc speed").finalize_xof();
    let mut bytes = vec![0; count * 12];
    reader.fill(&mut bytes);
    bytes
        .as_chunks::<12>()
        .0
        .iter()
        .map(|draw| {
            let sum: i32 = draw.iter().map(|&byte| i32::from(byte)).sum();
            let value = (sum - 1530) as f32 / 256.0;
            (value.to_bits() >> 16) as u16
        })
        .collect()
}

fn fastest(mut action: impl FnMut()) -> Duration {
    (0..REPETITIONS)
        .map(|_| {
            let start = Instant::now();
            action();
            start.elapsed()
        })
        .min()
        .unwrap_or_default()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let values = bell_shaped(TOKENS * HIDDEN);
    let layout = Layout {
        hidden: HIDDEN,
        prefill_tokens: 0,
        chunk_tokens: 32,
        top_count: 128,
    };
    let activations = Activations::new(&values, layout)?;
    let proofs = build(&activations)?;
    let millions = (TOKENS * HIDDEN) as f64 / 1e6;
    let report = |name: &str, time: Duration| {
        let ms = time.as_secs_f64() * 1e3;
        println!(
            "{name:16} {ms:7.3} ms  {:6.3} ms per million activations",
            ms / millions
        );
    };
    println!(
        "{} proofs of {TOKENS} x {HIDDEN}, best of {REPETITIONS}",
        proofs.len()
    );
    report("build", fastest(|| drop(build(&activations))));
    for (name, rule) in [
        ("verify exact", Rule::Exact),
        ("verify tolerant", Rule::Tolerant(Thresholds::PAPER)),
    ] {
        report(name, fastest(|| drop(verify(&proofs, &activations, rule))));
    }
    Ok(())
}
