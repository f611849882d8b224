//! §8 and §9: compressed updates, their aggregate, the outer step and files.

use super::models::{Case, cases};
use super::values::{Noise, bytes_result, noise, result, row, written};
use crate::testing::config;
use crate::trainer::{CompressedUpdate, OuterOptimizer, OuterState};
use crate::{ModelConfig, Threads};
use serde_json::{Value, json};

pub(super) fn rows(threads: &Threads) -> Vec<Value> {
    let mut rows = compressions();
    rows.extend(refusals());
    rows.extend(super::sparse::rows());
    rows.extend(super::aggregates::rows(threads));
    for case in cases() {
        rows.push(file(&case));
    }
    rows.extend(unusual_numbers());
    let case = cases().remove(0);
    rows.push(nesterov(threads, &case));
    rows.push(adamw(threads, &case));
    rows
}

pub(super) fn explicit(values: &[f32]) -> Noise {
    Noise {
        values: values.to_vec(),
        name: written(values),
    }
}

/// One unit of a scale.
pub(super) const UNIT: f32 = 1.0 / (1_u64 << 38) as f32;

/// What an encoder writes, and what a decoder reads back.
fn compressions() -> Vec<Value> {
    let limit = 127.0 * 4_294_967_040.0 * UNIT;
    let cases = [
        ("nothing", explicit(&[])),
        ("zeros of both signs", explicit(&[0.0, -0.0, 0.0])),
        (
            "codes below one half are an empty block",
            explicit(&[f32::from_bits(1), -1e-30]),
        ),
        ("half a unit", explicit(&[0.5 * UNIT, -0.5 * UNIT])),
        (
            "ties to even",
            explicit(&[127.0 * UNIT, 0.5 * UNIT, 1.5 * UNIT, -2.5 * UNIT]),
        ),
        (
            "one unit more than the scale",
            explicit(&[127.0 * UNIT, 127.5 * UNIT, 128.0 * UNIT]),
        ),
        (
            "ties of the values",
            explicit(&[33_292_414.0 * UNIT, -33_292_414.0 * UNIT]),
        ),
        ("near the limit", explicit(&[limit, -limit, 1.0])),
        ("a tiny block", explicit(&[1e-7, -3e-8, 5e-9, 1e-10])),
        ("one block", noise("compress 256", 256, 0.125)),
        ("a block and one", noise("compress 257", 257, 0.125)),
        ("many blocks", noise("compress 3000", 3000, 0.001_953_125)),
    ];
    let mut rows = Vec::new();
    for (name, values) in cases {
        let update = CompressedUpdate::compress(&values.values).unwrap();
        let expect = json!({
            "bytes": bytes_result(&update.encode()),
            "values": result(&update.decompress()),
        });
        rows.push(row(
            &format!("compress: {name}"),
            json!({"values": values.name}),
            expect,
        ));
    }
    rows
}

/// Values that have no encoding, and bytes that no encoder writes.
fn refusals() -> Vec<Value> {
    let values: [(&str, &[f32]); 4] = [
        ("NaN", &[0.0, f32::NAN]),
        ("infinity", &[f32::NEG_INFINITY]),
        ("too large", &[-1.985]),
        ("the limit", &[1.984]),
    ];
    let encode = |(name, values): (&str, &[f32])| {
        let accepted = CompressedUpdate::compress(values).is_ok();
        let input = json!({"values": written(values)});
        row(
            &format!("encode: {name}"),
            input,
            json!({"accepted": accepted}),
        )
    };
    let mut rows: Vec<Value> = values.into_iter().map(encode).collect();
    // Scale in units as four bytes, then codes.
    let bytes: [(&str, usize, &str); 14] = [
        ("nothing", 0, ""),
        ("a missing code", 1, "01000000"),
        ("one value of code 127", 1, "010000007f"),
        ("a byte too many", 1, "010000007f00"),
        ("a scale without codes", 0, "01000000"),
        ("code -128", 2, "010000007f80"),
        ("code -127", 2, "0100000081ff"),
        ("scale 0 with a code", 1, "0000000001"),
        ("scale 0 without codes", 2, "000000000000"),
        ("a scale with empty codes", 2, "010000000000"),
        ("the smallest code that scale 2 explains", 1, "020000003f"),
        ("a smaller code than scale 2 explains", 1, "020000003e"),
        (
            "the smallest code that a large scale explains",
            1,
            "ffffffff7f",
        ),
        (
            "a smaller code than a large scale explains",
            1,
            "ffffffff7e",
        ),
    ];
    rows.extend(
        bytes
            .into_iter()
            .map(|(name, count, bytes)| decode(name, count, bytes)),
    );
    rows
}

fn decode(name: &str, count: usize, hexadecimal: &str) -> Value {
    let bytes: Vec<u8> = (0..hexadecimal.len() / 2)
        .map(|index| u8::from_str_radix(&hexadecimal[2 * index..][..2], 16).unwrap())
        .collect();
    let accepted = CompressedUpdate::decode(&bytes, count).is_ok();
    let input = json!({"bytes": hexadecimal, "count": count});
    row(
        &format!("decode: {name}"),
        input,
        json!({"accepted": accepted}),
    )
}

fn config_text(config: &ModelConfig) -> String {
    serde_json::to_string(config).unwrap()
}

fn file(case: &Case) -> Value {
    let expect = json!({
        "config": config_text(case.model.config()),
        "file": bytes_result(&case.model.to_safetensors()),
    });
    row(&format!("checkpoint: {}", case.name), case.input(), expect)
}

/// Configurations whose numbers need exponents and many digits.
fn unusual_numbers() -> Vec<Value> {
    let cases = [
        ("exponents", 2.5e-8, 1e13),
        (
            "small and large without exponent",
            1.25e-6,
            1_234_567_900_000.0,
        ),
        ("many digits", 0.1 + f32::EPSILON, 16_777_217.0_f32.sqrt()),
        ("below and above", 9.999_999e-7, 9.999_999e12),
        ("the smallest and the largest", f32::from_bits(1), f32::MAX),
    ];
    let row = |(name, rms_norm_eps, rope_theta)| {
        let config = ModelConfig {
            rms_norm_eps,
            rope_theta,
            ..config()
        };
        file(&Case::new(name, config))
    };
    cases.into_iter().map(row).collect()
}

/// Two outer steps: the weights and the file of the state after them.
fn outer(threads: &Threads, case: &Case, optimizer: &OuterOptimizer) -> (Value, Value) {
    let mut model = case.model.clone();
    let mut state = OuterState::new(optimizer, model.config());
    let count = model.as_slice().len();
    let gradients = ["first", "second"].map(|name| noise(name, count, 0.125));
    for gradient in &gradients {
        state
            .step(optimizer, &mut model, &gradient.values, threads)
            .unwrap();
    }
    let mut input = case.input();
    input["gradients"] = gradients
        .map(|gradient| gradient.name)
        .into_iter()
        .collect();
    let expect = json!({
        "weights": result(model.as_slice()),
        "state": bytes_result(&state.to_safetensors()),
    });
    (input, expect)
}

fn nesterov(threads: &Threads, case: &Case) -> Value {
    let (lr, momentum) = (0.7, 0.9);
    let (mut input, expect) = outer(threads, case, &OuterOptimizer::Nesterov { lr, momentum });
    input["lr"] = written(&[lr]);
    input["momentum"] = written(&[momentum]);
    row("outer nesterov: two steps", input, expect)
}

fn adamw(threads: &Threads, case: &Case) -> Value {
    let optimizer = OuterOptimizer::AdamW {
        lr: 3e-4,
        beta1: 0.9,
        beta2: 0.99,
        eps: 1e-8,
        weight_decay: 0.01,
        clip_norm: 0.3,
    };
    let (mut input, expect) = outer(threads, case, &optimizer);
    input["options"] = json!({
        "lr": written(&[3e-4_f32]),
        "beta1": written(&[0.9_f32]),
        "beta2": written(&[0.99_f32]),
        "eps": written(&[1e-8_f32]),
        "weight_decay": written(&[0.01_f32]),
    });
    input["clip_norm"] = written(&[0.3_f32]);
    row("outer adamw: two steps", input, expect)
}
