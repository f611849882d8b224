//! The aggregate is the same in any order and on every path, and nobody pulls it far.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::arithmetic::cpu::KernelPath;
use crate::trainer::{SparseUpdate, compress};
use proptest::prelude::*;

const COUNT: usize = 9000;
const ROBUST: Robustness = Robustness {
    norm_max: 1_000_000_000,
    norm_ratio: 1_500_000,
    weight_cap: 400_000,
    center_ratio: 1_500_000,
    center_rounds_count: 3,
};

fn noise(seed: u64, scale: f32) -> Vec<f32> {
    let words = crate::testing::tokens(COUNT, 1 << 24, seed.to_le_bytes()[0]);
    let values = words.iter().enumerate();
    values
        .map(|(index, &word)| {
            let turn = (index as u64).wrapping_mul(seed | 1) % 7;
            (word as f32 / 8_388_608.0 - 1.0) * scale * (turn as f32 + 1.0)
        })
        .collect()
}

/// What all share, and noise of their own.
fn honest(seed: u64) -> Vec<f32> {
    let pairs = noise(255, 0.01).into_iter().zip(noise(seed, 0.005));
    pairs.map(|(shared, own)| shared + own).collect()
}

fn zero() -> CompressedUpdate {
    CompressedUpdate::compress(&[0.0; COUNT]).unwrap()
}

fn dense(values: &[f32]) -> Vec<u8> {
    CompressedUpdate::compress(values).unwrap().encode()
}

fn parts(bytes: &[Vec<u8>]) -> Vec<Part<'_>> {
    let part = |(cluster, bytes)| Part {
        update: Update::dense(bytes, COUNT).unwrap(),
        tokens: 1000,
        cluster,
    };
    bytes
        .iter()
        .map(Vec::as_slice)
        .enumerate()
        .map(part)
        .collect()
}

fn robust(bytes: &[Vec<u8>]) -> Vec<f32> {
    aggregate(&parts(bytes), &zero(), &ROBUST, &Threads::new(1)).unwrap()
}

fn norm(values: &[f32]) -> f64 {
    let squares = values.iter().map(|value| f64::from(*value).powi(2));
    squares.sum::<f64>().sqrt()
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    norm(&a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>())
}

fn mean(updates: &[Vec<f32>]) -> Vec<f32> {
    let at = |index: usize| updates.iter().map(|update| update[index]).sum::<f32>();
    (0..COUNT)
        .map(|index| at(index) / updates.len() as f32)
        .collect()
}

#[test]
fn honest_updates_give_their_mean() {
    let updates: Vec<_> = (1..=8).map(honest).collect();
    let bytes: Vec<_> = updates.iter().map(|update| dense(update)).collect();
    let plain = aggregate(&parts(&bytes), &zero(), &Robustness::NONE, &Threads::new(1)).unwrap();
    let difference = distance(&robust(&bytes), &plain) / norm(&plain);
    // Coefficients are rounded down at 2^-22, one in 500 000 of an eighth.
    assert!(difference < 4e-6, "{difference}");
    let mean = mean(&updates);
    let difference = distance(&plain, &mean) / norm(&mean);
    assert!(difference < 0.01, "{difference}");
}

#[test]
fn one_hostile_update_moves_the_aggregate_by_at_most_its_share_of_the_radius() {
    let updates: Vec<_> = (1..=7).map(honest).collect();
    let bytes: Vec<_> = updates.iter().map(|update| dense(update)).collect();
    let clean = robust(&bytes);
    let norm_honest = norm(&updates[0]);
    let limit = 1.98_f32;
    let hostile: [(&str, Vec<f32>); 5] = [
        ("norm bomb", vec![limit; COUNT]),
        (
            "a thousandfold",
            clean
                .iter()
                .map(|x| (x * 1e3).clamp(-limit, limit))
                .collect(),
        ),
        ("negated", clean.iter().map(|x| -x).collect()),
        (
            "a spike",
            (0..COUNT)
                .map(|i| if i == 5 { limit } else { 0.0 })
                .collect(),
        ),
        ("noise", noise(77, 0.2)),
    ];
    for (name, values) in hostile {
        let mut with = bytes.clone();
        with.push(dense(&values));
        let moved = distance(&robust(&with), &clean);
        let plain = aggregate(&parts(&with), &zero(), &Robustness::NONE, &Threads::new(1));
        let unclipped = distance(&plain.unwrap(), &clean);
        // Its weight is an eighth, and it is moved to within 1.5 norms of an honest one's place.
        assert!(
            moved < norm_honest * 2.5 / 8.0,
            "{name}: {moved} of {norm_honest}"
        );
        assert!(
            moved <= unclipped * 1.2,
            "{name}: {moved}, without limits {unclipped}"
        );
    }
}

#[test]
fn updates_of_zero_are_no_reason_to_clip_others() {
    let informative = honest(1);
    let bytes = [
        dense(&informative),
        dense(&[0.0; COUNT]),
        dense(&[0.0; COUNT]),
    ];
    let third: Vec<f32> = informative.iter().map(|x| x / 3.0).collect();
    let difference = distance(&robust(&bytes), &third) / norm(&third);
    assert!(difference < 0.01, "{difference}");
    let nothing = robust(&bytes[1..]);
    assert!(nothing.iter().all(|value| value.to_bits() == 0));
}

#[test]
fn a_cluster_has_at_most_its_cap_of_the_weight() {
    let bytes = dense(&honest(1));
    let part = |(cluster, tokens)| Part {
        update: Update::dense(&bytes, COUNT).unwrap(),
        tokens,
        cluster,
    };
    let share = |clusters: &[(usize, u64)], cap: u64| -> Vec<f64> {
        let parts: Vec<_> = clusters.iter().copied().map(part).collect();
        let weights = weights::weights(&parts, cap).unwrap();
        weights
            .iter()
            .map(|weight| *weight as f64 / ONE as f64)
            .collect()
    };
    let close = |found: Vec<f64>, expected: &[f64]| {
        let same = found
            .iter()
            .zip(expected)
            .all(|(a, b)| (a - b).abs() < 1e-3);
        assert!(
            same && found.len() == expected.len(),
            "{found:?}, not {expected:?}"
        );
    };
    let half = [(0, 500), (0, 500), (1, 300), (2, 200)];
    close(
        share(&half, 1_000_000),
        &[1.0 / 3.0, 1.0 / 3.0, 0.2, 0.4 / 3.0],
    );
    close(share(&half, 400_000), &[0.2, 0.2, 0.36, 0.24]);
    // A cap that cannot hold is an equal share.
    close(
        share(&half, 10_000),
        &[1.0 / 6.0, 1.0 / 6.0, 1.0 / 3.0, 1.0 / 3.0],
    );
    close(share(&[(0, 10), (1, 6)], 400_000), &[0.5, 0.5]);
    close(share(&[(3, 7)], 1), &[1.0]);
    close(
        share(&[(0, 8), (1, 8), (2, 2), (3, 2)], 250_000),
        &[0.25; 4],
    );
    close(share(&[(0, 0), (1, 8)], 250_000), &[0.0, 1.0]);
}

#[test]
fn what_cannot_be_weighed_is_an_error() {
    let bytes = dense(&honest(1));
    let update = Update::dense(&bytes, COUNT).unwrap();
    let part = |tokens| Part {
        update: update.clone(),
        tokens,
        cluster: 0,
    };
    let of = |parts: &[Part<'_>], centre: &CompressedUpdate| {
        aggregate(parts, centre, &ROBUST, &Threads::new(1)).unwrap_err()
    };
    assert_eq!(of(&[], &zero()), AggregateError::NoWeight);
    assert_eq!(of(&[part(0)], &zero()), AggregateError::NoWeight);
    let overflow = of(&[part(u64::MAX), part(1)], &zero());
    assert_eq!(overflow, AggregateError::Weight { limit: 1 << 48 });
    let short = CompressedUpdate::compress(&[1.0]).unwrap();
    let expected = AggregateError::Length {
        index: 0,
        value_count: COUNT,
        expected: 1,
    };
    assert_eq!(of(&[part(1)], &short), expected);
}

#[test]
fn one_update_is_itself_rounded_once() {
    let update = CompressedUpdate::compress(&honest(3)).unwrap();
    for robustness in [ROBUST, Robustness::NONE] {
        let bytes = [update.encode()];
        let whole = [Part {
            tokens: 12_345,
            ..parts(&bytes)[0].clone()
        }];
        let found = aggregate(&whole, &zero(), &robustness, &Threads::new(1)).unwrap();
        assert_eq!(found, update.decompress());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn order_threads_and_kernels_change_no_bit(
        updates in prop::collection::vec(
            (any::<u64>(), -16_i32..1, 1_u64..1 << 32, 0_usize..4, any::<bool>()), 1..7),
        centre in -12_i32..0,
        rounds in 0_u32..4,
        cap in 10_000_u64..1_000_000,
        rotation in 0_usize..7,
    ) {
        let values = |seed: u64, power: i32| noise(seed, 0.25 * 2.0_f32.powi(power));
        let bytes: Vec<Vec<u8>> = updates
            .iter()
            .map(|(seed, power, .., is_sparse)| match is_sparse {
                true => SparseUpdate::compress(&values(*seed, *power)).unwrap().encode(),
                false => dense(&values(*seed, *power)),
            })
            .collect();
        let centre = CompressedUpdate::compress(&values(99, centre)).unwrap();
        let robustness = Robustness {
            weight_cap: cap,
            center_rounds_count: rounds,
            ..ROBUST
        };
        let mut parts: Vec<Part<'_>> = updates
            .iter()
            .zip(&bytes)
            .map(|((_, _, tokens, cluster, is_sparse), bytes)| Part {
                update: match is_sparse {
                    true => Update::sparse(bytes, COUNT).unwrap(),
                    false => Update::dense(bytes, COUNT).unwrap(),
                },
                tokens: *tokens,
                cluster: *cluster,
            })
            .collect();
        let bits = |parts: &[Part<'_>], threads: &Threads| -> Vec<u32> {
            let values = aggregate(parts, &centre, &robustness, threads).unwrap();
            values.into_iter().map(f32::to_bits).collect()
        };
        let expected = bits(&parts, &Threads::new(1));
        parts.rotate_left(rotation % updates.len());
        parts.reverse();
        for path in KernelPath::supported() {
            for count in [1, 3] {
                let threads = Threads::new(count).with_kernels(path).unwrap();
                prop_assert_eq!(&bits(&parts, &threads), &expected);
            }
        }
    }

    /// Whatever is sent: the aggregate is finite, and nowhere beyond what one update can say.
    #[test]
    fn sums_cannot_overflow(
        signs in prop::collection::vec(any::<bool>(), 1..40),
        rounds in 0_u32..4,
    ) {
        let limit = 127.0 * 4_294_967_040.0 / compress::SCALE_ONE as f32;
        let values = |is_negative: bool| vec![if is_negative { -limit } else { limit }; 4097];
        let compress = |sign| CompressedUpdate::compress(&values(sign)).unwrap();
        let bytes: Vec<_> = signs.iter().map(|sign| compress(*sign).encode()).collect();
        let parts: Vec<Part<'_>> = bytes
            .iter()
            .enumerate()
            .map(|(cluster, bytes)| Part {
                update: Update::dense(bytes, 4097).unwrap(),
                tokens: u64::from(u32::MAX),
                cluster,
            })
            .collect();
        let robustness = Robustness { center_rounds_count: rounds, ..Robustness::NONE };
        let found = aggregate(&parts, &compress(true), &robustness, &Threads::new(1)).unwrap();
        prop_assert!(found.iter().all(|value| value.abs() <= limit));
    }
}
