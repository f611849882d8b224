//! §1: matrix products as left folds.

use super::values::{Noise, noise, result, row, written};
use crate::Threads;
use crate::arithmetic::gemm::{Packed, Start, View, multiply};
use serde_json::{Value, json};

pub(super) fn rows(threads: &Threads) -> Vec<Value> {
    let mut rows: Vec<Value> = [
        (1, 1, 1),
        (1, 7, 33),
        (2, 1, 16),
        (5, 3, 31),
        (7, 129, 17),
        (13, 65, 48),
        (25, 300, 19),
        (3, 0, 5),
    ]
    .into_iter()
    .flat_map(|shape| [Start::Zero, Start::Output].map(|start| random(threads, shape, start)))
    .collect();
    rows.extend(special(threads));
    rows
}

/// `C = A B` in the four combinations of strides, which all give the same bits.
fn product(
    threads: &Threads,
    (m, k, n): (usize, usize, usize),
    (a, b, c): (&[f32], &[f32], &[f32]),
    start: Start,
) -> Vec<f32> {
    let transposed = |data: &[f32], rows: usize, columns: usize| -> Vec<f32> {
        let indices = (0..columns).flat_map(|j| (0..rows).map(move |i| (i, j)));
        indices.map(|(i, j)| data[i * columns + j]).collect()
    };
    let (a_columns, b_columns) = (transposed(a, m, k), transposed(b, k, n));
    let left = [View::new(a, m, k), View::new(&a_columns, k, m).transposed()];
    let right = [View::new(b, k, n), View::new(&b_columns, n, k).transposed()];
    let mut results = left
        .iter()
        .flat_map(|a| right.map(|b| (*a, b)))
        .map(|(a, b)| {
            let mut packed = Packed::default();
            packed.pack(threads.kernels(), b);
            let mut c = c.to_vec();
            multiply(threads, a, &packed, &mut c, start);
            c
        });
    let first = results.next().unwrap();
    for other in results {
        assert_eq!(written(&other), written(&first), "strides of a product");
    }
    first
}

fn random(threads: &Threads, (m, k, n): (usize, usize, usize), start: Start) -> Value {
    let accumulate = start == Start::Output;
    let name = format!("product: {m} x {k} by {k} x {n}, {}", describe(start));
    let [a, b, c] = [("a", m * k), ("b", k * n), ("c", m * n)]
        .map(|(matrix, count)| noise(&format!("product {m} {k} {n} {matrix}"), count, 1.0));
    let start_values = if accumulate {
        c.values
    } else {
        vec![0.0; m * n]
    };
    let c_values = product(
        threads,
        (m, k, n),
        (&a.values, &b.values, &start_values),
        start,
    );
    let mut input = json!({"m": m, "k": k, "n": n, "a": a.name, "b": b.name});
    if accumulate {
        input["c"] = c.name;
    }
    row(&name, input, json!({"c": result(&c_values)}))
}

fn describe(start: Start) -> &'static str {
    match start {
        Start::Zero => "from zero",
        Start::Output => "from what C holds",
    }
}

/// Rows of A against a single column, so that each fold can be read in the table.
fn special(threads: &Threads) -> Vec<Value> {
    let tiny = f32::from_bits(1);
    let cases: [(&str, &[f32], &[f32]); 9] = [
        (
            "a fused step rounds once",
            &[1.0, 1.0 + f32::EPSILON],
            &[-1.0, 1.0 - f32::EPSILON],
        ),
        ("the order decides", &[1e8, 1.0, -1e8], &[1.0, 1.0, 1.0]),
        ("subnormal products are kept", &[tiny, tiny], &[0.5, 1.5]),
        (
            "subnormal sums are kept",
            &[1e-20, -1e-20, 3e-23],
            &[1e-20, 1e-20, 1e-20],
        ),
        (
            "a product of negative zero leaves +0",
            &[-0.0, 0.0],
            &[1.0, -1.0],
        ),
        ("overflow is infinite", &[3e38, 3e38], &[2.0, 2.0]),
        (
            "infinities of both signs are NaN",
            &[3e38, -3e38],
            &[2.0, 2.0],
        ),
        ("zero times infinity is NaN", &[0.0], &[f32::INFINITY]),
        ("NaN stays", &[f32::NAN, 1.0], &[1.0, 1.0]),
    ];
    let case = |(name, a, b): (&str, &[f32], &[f32])| {
        let k = a.len();
        let c = product(threads, (1, k, 1), (a, b, &[0.0]), Start::Zero);
        let input = json!({"m": 1, "k": k, "n": 1, "a": written(a), "b": written(b)});
        row(&format!("product: {name}"), input, json!({"c": result(&c)}))
    };
    let mut rows: Vec<Value> = cases.into_iter().map(case).collect();
    let Noise { values, name } = noise("product of negative zero", 5, 1.0);
    let zeros = vec![-0.0; 5];
    let c = product(
        threads,
        (1, 5, 1),
        (&values, &zeros, &[-0.0]),
        Start::Output,
    );
    let input =
        json!({"m": 1, "k": 5, "n": 1, "a": name, "b": written(&zeros), "c": written(&[-0.0_f32])});
    let expect = json!({"c": result(&c)});
    rows.push(row("product: zeros of both signs from -0", input, expect));
    rows
}
