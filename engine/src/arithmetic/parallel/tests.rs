//! Every division gives the bits of one thread.

use super::*;
use crate::testing::bits;

fn noise(length: usize, seed: usize) -> Vec<f32> {
    let value = |i: usize| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.0 - 1.0;
    (0..length).map(value).collect()
}

/// Runs `work` on one and on three threads, and compares what it gives.
fn same(work: impl Fn(&Threads) -> Vec<Vec<f32>>) {
    let one: Vec<_> = work(&Threads::new(1)).iter().map(|x| bits(x)).collect();
    let three: Vec<_> = work(&Threads::new(3)).iter().map(|x| bits(x)).collect();
    assert!(one == three);
}

#[test]
fn norms_have_the_bits_of_one_thread() {
    let (rows, d) = (1031, 176);
    let (x, dy, weight) = (noise(rows * d, 1), noise(rows * d, 2), noise(d, 3));
    same(|threads| {
        let (mut y, mut r) = (vec![0.0; rows * d], vec![0.0; rows]);
        rms_norm(threads, &x, (&weight, 1e-5), &mut y, &mut r);
        let (mut dx, mut dw) = (noise(rows * d, 4), noise(d, 5));
        let inputs = NormInputs {
            x: &x,
            weight: &weight,
            reciprocal: &r,
            dy: &dy,
        };
        rms_norm_backward(threads, inputs, &mut dx, &mut dw, &mut vec![0.0; d]);
        vec![y, r, dx, dw]
    });
}

#[test]
fn scalings_and_steps_have_the_bits_of_one_thread() {
    let n = 100_003;
    let (x, y) = (noise(n, 1), noise(n, 2));
    let step = AdamStep {
        lr: 1e-3,
        beta1: 0.9,
        beta2: 0.99,
        eps: 1e-8,
        decay: 0.1,
        correction1: 0.19,
        correction2: 0.02,
    };
    same(|threads| {
        let mut c = x.clone();
        scale(threads, &mut c, 0.3);
        let (mut theta, mut m, mut v) = (x.clone(), vec![0.1; n], vec![0.2; n]);
        adam(threads, step, (&mut theta, &y), (&mut m, &mut v));
        vec![c, theta, m, v]
    });
}
