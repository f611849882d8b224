//! Time to prove and to verify one output of verifiable randomness, one thread, beside a strict
//! ed25519 signature.
//!
//! `cargo run --release -p protocol --example vrf_speed`
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement printed to a terminal"
)]

use protocol::SigningKey;
use std::time::{Duration, Instant};

const REPETITIONS: u32 = 2000;

/// Median over all inputs, so that the one or two trials of hashing to a point average out.
fn median(mut action: impl FnMut(u32)) -> Duration {
    let mut times: Vec<Duration> = (0..REPETITIONS)
        .map(|index| {
            let start = Instant::now();
            action(index);
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

/// Keeps a result from being optimised away.
fn black_box_of<T>(value: T) {
    drop(std::hint::black_box(Box::new(value)));
}

fn report(name: &str, time: Duration) {
    println!("{name:18} {:7.1} us", time.as_secs_f64() * 1e6);
}

fn main() {
    let operator = SigningKey::from_seed([7; 32]);
    let secret = operator.vrf();
    let public = secret.public();
    let alpha = |index: u32| index.to_le_bytes();
    let proofs: Vec<_> = (0..REPETITIONS)
        .map(|index| secret.prove(&alpha(index)).1)
        .collect();
    let signatures: Vec<_> = (0..REPETITIONS)
        .map(|index| operator.sign(&alpha(index)))
        .collect();
    println!("median of {REPETITIONS}");
    report(
        "prove",
        median(|index| black_box_of(secret.prove(&alpha(index)))),
    );
    let verify = |index: u32| {
        let found = public.verify(&alpha(index), &proofs[index as usize]);
        assert!(found.is_ok());
    };
    report("verify", median(verify));
    let check = |_| assert!(public.check().is_ok());
    report("check a key", median(check));
    let sign = |index: u32| black_box_of(operator.sign(&alpha(index)));
    report("ed25519 sign", median(sign));
    let verify = |index: u32| {
        let signature = &signatures[index as usize];
        assert!(operator.address().verify(&alpha(index), signature).is_ok());
    };
    report("ed25519 verify", median(verify));
}
