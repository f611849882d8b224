//! The tiles against the triple loop that defines them.

use super::*;
use crate::arithmetic::cpu::KernelPath;
use crate::arithmetic::elementwise::{softmax, softmax_again};
use crate::arithmetic::reduce;

/// Deterministic values with a spread of magnitudes and signs.
fn noise(length: usize, seed: u64) -> Vec<f32> {
    let mut bytes = vec![0; length * 4];
    blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    let words = bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|word| i32::from_le_bytes(*word));
    words
        .map(|word| (word >> 8) as f32 * 2.0_f32.powi(-20 - (word & 7)))
        .collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// The definition.
fn triple_loop(a: View<'_>, b: View<'_>, c: &mut [f32], start: Start) {
    for i in 0..a.rows {
        for j in 0..b.columns {
            let out = &mut c[i * b.columns + j];
            let mut acc = if start == Start::Output { *out } else { 0.0 };
            for k in 0..a.columns {
                let left = a.data[i * a.row + k * a.column];
                acc = left.mul_add(b.data[k * b.row + j * b.column], acc);
            }
            *out = acc;
        }
    }
}

fn every_execution() -> Vec<Threads> {
    let paths = KernelPath::supported();
    let executions = paths
        .into_iter()
        .flat_map(|path| [1, 2, 3].map(|count| Threads::new(count).with_kernels(path)));
    executions.flatten().collect()
}

#[test]
fn every_path_and_thread_count_equals_the_triple_loop_on_any_shape() {
    let shapes = [
        (1, 1, 1),
        (1, 7, 33),
        (2, 1, 16),
        (5, 3, 31),
        (6, 16, 16),
        (7, 129, 17),
        (9, 20, 8),
        (11, 33, 24),
        (12, 64, 32),
        (13, 65, 48),
        (25, 100, 95),
        (64, 128, 256),
        (37, 0, 5),
        (131, 70, 129),
    ];
    // An interpreter that checks every access takes minutes for what else takes a second.
    let shapes = shapes
        .iter()
        .filter(|(m, k, n)| !cfg!(miri) || m * k * n < 4000);
    for &(m, k, n) in shapes {
        let (a, b, c0) = (noise(m * k, 1), noise(k * n, 2), noise(m * n, 3));
        let left = [View::new(&a, m, k), View::new(&a, k, m).transposed()];
        let right = [View::new(&b, k, n), View::new(&b, n, k).transposed()];
        for (index, (a, b)) in left.iter().flat_map(|a| right.map(|b| (*a, b))).enumerate() {
            for start in [Start::Zero, Start::Output] {
                let mut expected = c0.clone();
                triple_loop(a, b, &mut expected, start);
                for threads in every_execution() {
                    let mut packed = Packed::default();
                    packed.pack(threads.kernels(), b);
                    let mut c = c0.clone();
                    multiply(&threads, a, &packed, &mut c, start);
                    assert_eq!(
                        bits(&c),
                        bits(&expected),
                        "{m}x{k}x{n} #{index} {threads:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn large_products_are_divided_among_threads_and_passes_without_changing_a_bit() {
    for (m, k, n) in [(203, 150, 130), (61, 1100, 790), (13, 2100, 33)] {
        let (a, b) = (noise(m * k, 4), noise(k * n, 5));
        let b = View::new(&b, k, n);
        for a in [View::new(&a, m, k), View::new(&a, k, m).transposed()] {
            let mut expected = vec![0.0; m * n];
            triple_loop(a, b, &mut expected, Start::Zero);
            for threads in every_execution() {
                let mut packed = Packed::default();
                packed.pack(threads.kernels(), b);
                let mut c = vec![0.0; m * n];
                multiply(&threads, a, &packed, &mut c, Start::Zero);
                assert_eq!(bits(&c), bits(&expected), "{m}x{k}x{n} {threads:?}");
            }
        }
    }
}

#[test]
fn softmax_of_a_padded_row_is_that_of_the_row_and_the_second_time_that_of_the_first() {
    for valid in 1..70 {
        let row = noise(valid, 6);
        for path in KernelPath::supported() {
            let kernels = Kernels::new(path).unwrap_or_else(|| unreachable!("supported"));
            let mut short = row.clone();
            softmax(kernels, &mut short, valid, 0.3);
            let mut long = row.clone();
            long.resize(valid.next_multiple_of(16) + 16, f32::NAN);
            let mut again = long.clone();
            let known = softmax(kernels, &mut long, valid, 0.3);
            assert_eq!(bits(&short), bits(&long[..valid]), "{path:?} {valid}");
            assert!(long[valid..].iter().all(|p| p.to_bits() == 0));
            softmax_again(kernels, &mut again, valid, 0.3, known);
            assert_eq!(bits(&again), bits(&long), "{path:?} {valid}");
        }
    }
}

#[test]
fn a_sum_adds_sixteen_lanes_and_then_the_tree() {
    let x = noise(45, 7);
    let mut lanes = [0.0_f32; 16];
    for (index, value) in x.iter().enumerate() {
        lanes[index % 16] += value;
    }
    for width in [8, 4, 2, 1] {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
    }
    assert_eq!(reduce::sum(&x).to_bits(), lanes[0].to_bits());
}
