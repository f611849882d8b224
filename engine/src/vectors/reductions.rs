//! §2: reductions by 16 lanes and a tree.

use super::values::{noise, result, row, written};
use crate::Threads;
use crate::arithmetic::cpu::kernel;
use crate::arithmetic::elementwise::sum_of_squares;
use crate::arithmetic::reduce;
use serde_json::{Value, json};

kernel! {
    fn sum(x: &[f32]) -> f32 {
        reduce::sum(x)
    }
}

kernel! {
    fn dot(x: &[f32], y: &[f32]) -> f32 {
        reduce::dot(x, y)
    }
}

kernel! {
    fn max(x: &[f32]) -> f32 {
        reduce::max(x)
    }
}

/// Longest of the prefixes that are all reduced.
const PREFIX_MAX: usize = 40;

pub(super) fn rows(threads: &Threads) -> Vec<Value> {
    let kernels = threads.kernels();
    let x = noise("reductions x", PREFIX_MAX, 1.0);
    let y = noise("reductions y", PREFIX_MAX, 1.0);
    let prefixes = |f: &dyn Fn(usize) -> f32| result(&(0..=PREFIX_MAX).map(f).collect::<Vec<_>>());
    let one = json!({"x": x.name});
    let two = json!({"x": x.name, "y": y.name});
    let (x, y) = (&x.values, &y.values);
    let squares: Vec<f64> = (0..=PREFIX_MAX)
        .map(|n| sum_of_squares(kernels, &x[..n]))
        .collect();
    let mut rows = vec![
        row(
            "sums: all prefixes",
            one.clone(),
            json!({"y": prefixes(&|n| sum(kernels, &x[..n]))}),
        ),
        row(
            "dots: all prefixes",
            two,
            json!({"y": prefixes(&|n| dot(kernels, &x[..n], &y[..n]))}),
        ),
        row(
            "squares: all prefixes",
            one.clone(),
            json!({"y": result(&squares)}),
        ),
        row(
            "maxima: all prefixes",
            one,
            json!({"y": prefixes(&|n| max(kernels, &x[..n]))}),
        ),
    ];
    for count in [1000, 4099] {
        let x = noise(&format!("reduction x {count}"), count, 1.0);
        let y = noise(&format!("reduction y {count}"), count, 1.0);
        rows.extend(whole(
            threads,
            &format!("{count} numbers"),
            (x.name, &x.values),
            (y.name, &y.values),
        ));
    }
    rows.extend(special(threads));
    rows
}

/// The four reductions of whole vectors.
fn whole(
    threads: &Threads,
    name: &str,
    (x_name, x): (Value, &[f32]),
    (y_name, y): (Value, &[f32]),
) -> Vec<Value> {
    let kernels = threads.kernels();
    let one = json!({"x": x_name});
    let expect = |y: f32| json!({"y": result(&[y])});
    vec![
        row(
            &format!("sum: {name}"),
            one.clone(),
            expect(sum(kernels, x)),
        ),
        row(
            &format!("dot: {name}"),
            json!({"x": x_name, "y": y_name}),
            expect(dot(kernels, x, y)),
        ),
        row(
            &format!("square: {name}"),
            one.clone(),
            json!({"y": result(&[sum_of_squares(kernels, x)])}),
        ),
        row(&format!("max: {name}"), one, expect(max(kernels, x))),
    ]
}

fn special(threads: &Threads) -> Vec<Value> {
    let subnormals = [
        f32::from_bits(3),
        f32::from_bits(0x8000_0005),
        f32::from_bits(9),
    ];
    let far = [[1e30_f32; 20], [-1e30; 20]].concat();
    let cases: [(&str, &[f32]); 8] = [
        ("one -0", &[-0.0]),
        ("seventeen -0", &[-0.0; 17]),
        ("subnormals", &subnormals),
        ("overflow", &[3e38, 3e38]),
        ("infinity", &[1.0, f32::INFINITY, 2.0]),
        ("both infinities", &[f32::INFINITY, f32::NEG_INFINITY]),
        ("cancelling far apart", &far),
        ("a NaN", &[5.0, f32::NAN, 7.0]),
    ];
    let case = |(name, x): (&str, &[f32])| whole(threads, name, (written(x), x), (written(x), x));
    cases.into_iter().flat_map(case).collect()
}
