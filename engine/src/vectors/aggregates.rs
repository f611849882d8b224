//! §8: the aggregate, with and without limits.

use super::exchange::{UNIT, explicit};
use super::values::{Noise, noise, result, row};
use crate::Threads;
use crate::trainer::{CompressedUpdate, Part, Robustness, Update, aggregate};
use serde_json::{Value, json};

/// One of the updates of a case: its values, tokens and cluster.
type Given = (Noise, u64, usize);

pub(super) fn rows(threads: &Threads) -> Vec<Value> {
    let mut rows = plain_means(threads);
    rows.extend(robust_aggregates(threads));
    rows
}

/// Sums and their one rounding, without any limit.
fn plain_means(threads: &Threads) -> Vec<Value> {
    let halves = explicit(&[33_292_414.0 * UNIT]);
    let other_halves = explicit(&[-33_292_668.0 * UNIT]);
    let unit = |code: f32| explicit(&[127.0 * UNIT, code * UNIT]);
    let far = |power: i32| explicit(&[127.0 * 2.0_f32.powi(power - 38)]);
    let cases: [(&str, Vec<Given>); 8] = [
        (
            "one update",
            vec![(noise("aggregate one", 300, 0.125), 12_345, 0)],
        ),
        (
            "halves",
            vec![(unit(1.0), 1, 0), (unit(2.0), 1, 0), (unit(127.0), 0, 0)],
        ),
        ("thirds", vec![(unit(1.0), 1, 0), (unit(-3.0), 2, 0)]),
        ("a tie, upwards to even", vec![(halves, 3, 0)]),
        ("a tie, downwards to even", vec![(other_halves, 1, 0)]),
        ("far apart", vec![(far(0), 1, 0), (far(31), 1, 0)]),
        (
            "cancelling to +0",
            vec![(unit(5.0), 7, 0), (unit(-5.0), 7, 0), (unit(0.0), 1, 0)],
        ),
        (
            "the largest weights",
            vec![(far(31), (1 << 47) - 1, 0), (far(0), (1 << 47) + 1, 0)],
        ),
    ];
    let cases = cases.into_iter();
    let mut rows: Vec<Value> = cases
        .map(|(name, updates)| {
            let centre = explicit(&vec![0.0; updates[0].0.values.len()]);
            aggregated(name, &centre, updates, Robustness::NONE, threads)
        })
        .collect();
    let centre = noise("aggregate centre", 300, 0.125);
    rows.push(aggregated(
        "four updates",
        &centre,
        four(),
        Robustness::NONE,
        threads,
    ));
    rows
}

fn four() -> Vec<Given> {
    let parts = [
        ("a", 0.125, 7, 0),
        ("b", 0.015_625, 1 << 30, 1),
        ("c", 0.0625, 3, 2),
        ("d", 0.125, 999, 0),
    ];
    let of = |(part, scale, tokens, cluster)| {
        (
            noise(&format!("aggregate {part}"), 300, scale),
            tokens,
            cluster,
        )
    };
    parts.map(of).into()
}

const ROBUST: Robustness = Robustness {
    norm_max: 1_000_000_000,
    norm_ratio: 1_500_000,
    weight_cap: 400_000,
    center_ratio: 1_500_000,
    center_rounds_count: 3,
};

/// Ten that agree but for noise, of one chunk and some.
fn similar(scale: f32) -> Vec<Given> {
    let update = |index: usize| {
        let text = format!("aggregate similar {index}");
        (noise(&text, 4500, scale), 1000 + index as u64, index)
    };
    (0..10).map(update).collect()
}

/// These and another one.
fn with(scale: f32, other: Noise) -> Vec<Given> {
    let mut updates = similar(scale);
    updates.push((other, 1000, 10));
    updates
}

/// Centre, updates and limits of a case.
type Case = (&'static str, Noise, Vec<Given>, Robustness);

fn robust_cases() -> Vec<Case> {
    let centre = |scale: f32| noise("aggregate centre", 4500, scale);
    let zeros = || noise("aggregate nothing", 4500, 0.0);
    let bomb = noise("aggregate bomb", 4500, 0.1875);
    vec![
        ("around zero", zeros(), similar(0.001), ROBUST),
        ("around what was", centre(0.001), similar(0.001), ROBUST),
        (
            "around what was far away",
            centre(0.2),
            similar(0.001),
            ROBUST,
        ),
        ("with a norm bomb", centre(0.001), with(0.001, bomb), ROBUST),
        ("with a zero", centre(0.001), with(0.001, zeros()), ROBUST),
        ("of tiny values", centre(1e-9), similar(1e-9), ROBUST),
        (
            "of large values",
            centre(0.1875),
            similar(0.1875),
            Robustness {
                norm_max: 4_000_000,
                ..ROBUST
            },
        ),
        (
            "without a centre",
            centre(0.001),
            with(0.001, noise("aggregate other", 4500, 0.01)),
            Robustness {
                center_rounds_count: 0,
                ..ROBUST
            },
        ),
        (
            "with a close centre",
            centre(0.001),
            similar(0.001),
            Robustness {
                center_ratio: 1_000_000,
                center_rounds_count: 1,
                ..ROBUST
            },
        ),
    ]
}

/// Limits of every kind.
fn robust_aggregates(threads: &Threads) -> Vec<Value> {
    let mut rows: Vec<Value> = robust_cases()
        .into_iter()
        .map(|(name, centre, updates, robustness)| {
            aggregated(
                &format!("robust, {name}"),
                &centre,
                updates,
                robustness,
                threads,
            )
        })
        .collect();
    for cap in [1_000_000, 400_000, 10_000] {
        let robustness = Robustness {
            weight_cap: cap,
            ..ROBUST
        };
        let name = format!("robust, four updates with a cap of {cap}");
        let centre = noise("aggregate centre", 300, 0.125);
        rows.push(aggregated(&name, &centre, four(), robustness, threads));
    }
    rows
}

fn aggregated(
    name: &str,
    centre: &Noise,
    parts: Vec<Given>,
    robustness: Robustness,
    threads: &Threads,
) -> Value {
    let encode = |noise: &Noise| CompressedUpdate::compress(&noise.values).unwrap().encode();
    let bytes: Vec<Vec<u8>> = parts.iter().map(|(noise, ..)| encode(noise)).collect();
    let views: Vec<Part<'_>> = parts
        .iter()
        .zip(&bytes)
        .map(|((noise, tokens, cluster), bytes)| Part {
            update: Update::dense(bytes, noise.values.len()).unwrap(),
            tokens: *tokens,
            cluster: *cluster,
        })
        .collect();
    let compressed = CompressedUpdate::compress(&centre.values).unwrap();
    let values = aggregate(&views, &compressed, &robustness, threads).unwrap();
    let updates: Value = parts
        .into_iter()
        .map(|(noise, tokens, cluster)| {
            json!({"values": noise.name, "tokens": tokens, "cluster": cluster})
        })
        .collect();
    let Robustness {
        norm_max,
        norm_ratio,
        weight_cap,
        center_ratio,
        center_rounds_count,
    } = robustness;
    let input = json!({
        "updates": updates,
        "centre": centre.name,
        "norm_max": norm_max,
        "norm_ratio": norm_ratio,
        "weight_cap": weight_cap,
        "center_ratio": center_ratio,
        "center_rounds": center_rounds_count,
    });
    row(
        &format!("aggregate: {name}"),
        input,
        json!({"values": result(&values)}),
    )
}
