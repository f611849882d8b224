//! §3: exp, log and what is made of them; bf16.

use super::values::{noise, result, row, salted, words, written};
use crate::Threads;
use crate::arithmetic::cpu::kernel;
use crate::arithmetic::elementary::{
    bf16_bits, exp, exponential, gumbel, log, reciprocal_sqrt, sigmoid, wide,
};
use serde_json::{Value, json};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_PI_2, FRAC_PI_4, PI, SQRT_2};

macro_rules! mapped {
    ($name:ident, $function:ident, $input:ty) => {
        kernel! {
            fn $name(x: &[$input], y: &mut [f32]) {
                for (y, &x) in y.iter_mut().zip(x) {
                    *y = $function(x);
                }
            }
        }
    };
}
mapped!(exp_each, exp, f32);
mapped!(log_each, log, f32);
mapped!(root_each, reciprocal_sqrt, f32);
mapped!(sigmoid_each, sigmoid, f32);
mapped!(exponential_each, exponential, u32);
mapped!(gumbel_each, gumbel, u32);

pub(super) fn rows(threads: &Threads) -> Vec<Value> {
    let mut rows = Vec::new();
    rows.extend(narrow("exp", &EXP_LIMITS, threads, |t, x, y| {
        exp_each(t.kernels(), x, y);
    }));
    rows.extend(narrow("log", &LOG_LIMITS, threads, |t, x, y| {
        log_each(t.kernels(), x, y);
    }));
    rows.extend(narrow(
        "reciprocal root",
        &LOG_LIMITS,
        threads,
        |t, x, y| {
            root_each(t.kernels(), x, y);
        },
    ));
    rows.extend(narrow("sigmoid", &EXP_LIMITS, threads, |t, x, y| {
        sigmoid_each(t.kernels(), x, y);
    }));
    rows.extend(variates("exponential", threads, |t, x, y| {
        exponential_each(t.kernels(), x, y);
    }));
    rows.extend(variates("gumbel", threads, |t, x, y| {
        gumbel_each(t.kernels(), x, y);
    }));
    rows.extend(bf16());
    rows.extend(wide_rows());
    rows
}

/// Around the limits of exp, as bits.
const EXP_LIMITS: [u32; 24] = [
    0x0000_0000,
    0x8000_0000,
    0x0000_0001,
    0x8000_0001,
    0x3f80_0000,
    0xbf80_0000,
    0x3eb1_7217,
    0x3eb1_7218,
    0xc2ad_ffff,
    0xc2ae_0000,
    0xc2ae_0001,
    0xc2b0_0000,
    0xc2b1_7218,
    0xc2b2_0000,
    0x42ae_0000,
    0x42b1_7217,
    0x42b1_7218,
    0x42b1_7219,
    0x42b2_0000,
    0x42b2_0001,
    0x7f80_0000,
    0xff80_0000,
    0x7fc0_0000,
    0xff80_0001,
];

/// Around the limits of log, as bits.
const LOG_LIMITS: [u32; 24] = [
    0x0000_0000,
    0x8000_0000,
    0x0000_0001,
    0x8000_0001,
    0x007f_ffff,
    0x0080_0000,
    0x3f35_04f2,
    0x3f35_04f3,
    0x3f35_04f4,
    0x3f7f_ffff,
    0x3f80_0000,
    0x3f80_0001,
    0x3fb5_04f2,
    0x3fb5_04f3,
    0x3fb5_04f4,
    0x4000_0000,
    0x7f7f_ffff,
    0xbf80_0000,
    0xff7f_ffff,
    0x7f80_0000,
    0xff80_0000,
    0x7fc0_0000,
    0x7f80_0001,
    0xffff_ffff,
];

type Each<X> = fn(&Threads, &[X], &mut [f32]);

/// Limits, moderate numbers, and bit patterns of every kind.
fn narrow(name: &str, limits: &[u32], threads: &Threads, f: Each<f32>) -> Vec<Value> {
    let apply = |x: &[f32]| {
        let mut y = vec![0.0; x.len()];
        f(threads, x, &mut y);
        y
    };
    let from_bits = |bits: &[u32]| {
        bits.iter()
            .map(|&bits| f32::from_bits(bits))
            .collect::<Vec<_>>()
    };
    let moderate = noise(name, 1000, 16.0);
    let any = words(name, 48);
    vec![
        row(
            &format!("{name}: limits"),
            json!({"x": written(limits)}),
            json!({"y": written(&apply(&from_bits(limits)))}),
        ),
        row(
            &format!("{name}: moderate numbers"),
            json!({"x": moderate.name}),
            json!({"y": result(&apply(&moderate.values))}),
        ),
        row(
            &format!("{name}: any bits"),
            json!({"x": written(&any)}),
            json!({"y": written(&apply(&from_bits(&any)))}),
        ),
    ]
}

/// Both ends, the middle where the formula changes, and any words.
fn variates(name: &str, threads: &Threads, f: Each<u32>) -> Vec<Value> {
    let limits = [
        0,
        1,
        2,
        3,
        0xff,
        0x100,
        0x7f,
        0x00ff_ffff,
        0x0100_0000,
        0x0100_0001,
        0x7fff_ff00,
        0x7fff_ffbf,
        0x7fff_ffc0,
        0x7fff_ffff,
        0x8000_0000,
        0x8000_0001,
        0x8000_0040,
        0xff00_0000,
        0xfeff_ffff,
        0xffff_ff00,
        0xffff_ff7f,
        0xffff_ff80,
        0xffff_fffd,
        0xffff_fffe,
        u32::MAX,
    ];
    let apply = |x: &[u32]| {
        let mut y = vec![0.0; x.len()];
        f(threads, x, &mut y);
        y
    };
    let any = words(name, 1000);
    vec![
        row(
            &format!("{name}: limits"),
            json!({"words": written(&limits)}),
            json!({"y": written(&apply(&limits))}),
        ),
        row(
            &format!("{name}: any words"),
            json!({"words": {"words": salted(name), "count": any.len()}}),
            json!({"y": result(&apply(&any))}),
        ),
    ]
}

fn bf16() -> Vec<Value> {
    let limits = [
        0x0000_0000,
        0x8000_0000,
        0x0000_0001,
        0x0000_8000,
        0x0000_8001,
        0x0001_8000,
        0x3f80_0000,
        0x3f80_7fff,
        0x3f80_8000,
        0x3f80_8001,
        0x3f81_8000,
        0xbf81_8000,
        0x7f7f_7fff,
        0x7f7f_8000,
        0x7f7f_ffff,
        0xff7f_ffff,
        0x7f80_0000,
        0xff80_0000,
        0x7f80_0001,
        0xff80_0001,
        0x7fc0_0000,
        0xffff_ffff,
    ];
    let rounded = |bits: &[u32]| {
        bits.iter()
            .map(|&bits| bf16_bits(f32::from_bits(bits)))
            .collect::<Vec<_>>()
    };
    let any = words("bf16", 1000);
    vec![
        row(
            "bf16: limits",
            json!({"x": written(&limits)}),
            json!({"y": written(&rounded(&limits))}),
        ),
        row(
            "bf16: any bits",
            json!({"x": {"words": salted("bf16"), "count": any.len()}}),
            json!({"y": result(&rounded(&any))}),
        ),
    ]
}

/// Around the limits of exp64, of log64, and of sin64 and cos64.
const EXPONENTS: [f64; 9] = [0.0, -0.0, 1.0, -1.0, 0.5, -88.7, 700.0, -700.0, 1e-300];
const POSITIVE: [f64; 7] = [1.0, 2.0, 1e4, 1e6, FRAC_1_SQRT_2, SQRT_2, 2.3e-308];
const TURN: f64 = 1_073_741_824.0;
const ANGLES: [f64; 9] = [
    0.0, -0.0, 1.0, FRAC_PI_4, FRAC_PI_2, PI, 32_767.0, TURN, -TURN,
];

fn wide_rows() -> Vec<Value> {
    let (sine, cosine) = (|x| wide::sin_cos(x).0, |x| wide::sin_cos(x).1);
    [
        wide_function("exp64", &EXPONENTS, 64.0, &wide::exp),
        wide_function("log64", &POSITIVE, 1.0, &|x| wide::log(x.abs())),
        wide_function("sin64", &ANGLES, 1024.0, &sine),
        wide_function("cos64", &ANGLES, 1024.0, &cosine),
    ]
    .concat()
}

/// Limits, and numbers of magnitudes up to `8 scale`; log64 takes their absolute values.
fn wide_function(name: &str, limits: &[f64], scale: f32, f: &dyn Fn(f64) -> f64) -> Vec<Value> {
    let all = |x: &[f64]| x.iter().map(|&x| f(x)).collect::<Vec<_>>();
    let others = noise(name, 20_000, scale);
    let x: Vec<f64> = others.values.iter().map(|&x| f64::from(x)).collect();
    vec![
        row(
            &format!("{name}: limits"),
            json!({"x": written(limits)}),
            json!({"y": written(&all(limits))}),
        ),
        row(
            &format!("{name}: many"),
            json!({"widened": others.name}),
            json!({"y": result(&all(&x))}),
        ),
    ]
}
