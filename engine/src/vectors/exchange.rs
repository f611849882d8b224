//! §8 and §9: compressed updates, their aggregate, the outer step and files.

use super::models::{Case, cases};
use super::values::{Noise, bytes_result, noise, result, row, written};
use crate::testing::config;
use crate::trainer::{
    CompressedUpdate, OuterOptimizer, OuterState, Part, Robustness, Update, aggregate,
};
use crate::{ModelConfig, Threads};
use serde_json::{Value, json};

pub(super) fn rows(threads: &Threads) -> Vec<Value> {
    let mut rows = compressions();
    rows.extend(refusals());
    rows.extend(aggregates(threads));
    for case in cases() {
        rows.push(file(&case));
    }
    rows.extend(unusual_numbers());
    let case = cases().remove(0);
    rows.push(nesterov(threads, &case));
    rows.push(adamw(threads, &case));
    rows
}

fn explicit(values: &[f32]) -> Noise {
    Noise {
        values: values.to_vec(),
        name: written(values),
    }
}

/// One unit of a scale.
const UNIT: f32 = 1.0 / (1_u64 << 38) as f32;

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

/// One of the updates of a case: its values, tokens and cluster.
type Given = (Noise, u64, usize);

fn aggregates(threads: &Threads) -> Vec<Value> {
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

/// Limits of every kind.
fn robust_aggregates(threads: &Threads) -> Vec<Value> {
    let robust = Robustness {
        norm_max: 1_000_000_000,
        norm_ratio: 1_500_000,
        weight_cap: 400_000,
        center_ratio: 1_500_000,
        center_rounds_count: 3,
    };
    // Ten that agree but for noise, of one chunk and some; and others among them.
    let similar = |scale: f32| -> Vec<Given> {
        let update = |index: u64| {
            let text = format!("aggregate similar {index}");
            (noise(&text, 4500, scale), 1000 + index, index as usize)
        };
        (0..10).map(update).collect()
    };
    let with = |scale: f32, noise: Noise| {
        let mut updates = similar(scale);
        updates.push((noise, 1000, 10));
        updates
    };
    let centre = |scale: f32| noise("aggregate centre", 4500, scale);
    let zeros = || explicit_zeros(4500);
    let bomb = noise("aggregate bomb", 4500, 0.1875);
    let cases = [
        ("around zero", zeros(), similar(0.001), robust),
        ("around what was", centre(0.001), similar(0.001), robust),
        (
            "around what was far away",
            centre(0.2),
            similar(0.001),
            robust,
        ),
        ("with a norm bomb", centre(0.001), with(0.001, bomb), robust),
        ("with a zero", centre(0.001), with(0.001, zeros()), robust),
        ("of tiny values", centre(1e-9), similar(1e-9), robust),
        (
            "of large values",
            centre(0.1875),
            similar(0.1875),
            Robustness {
                norm_max: 4_000_000,
                ..robust
            },
        ),
        (
            "without a centre",
            centre(0.001),
            with(0.001, noise("aggregate other", 4500, 0.01)),
            Robustness {
                center_rounds_count: 0,
                ..robust
            },
        ),
        (
            "with a close centre",
            centre(0.001),
            similar(0.001),
            Robustness {
                center_ratio: 1_000_000,
                center_rounds_count: 1,
                ..robust
            },
        ),
    ];
    let mut rows: Vec<Value> = cases
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
            ..robust
        };
        let name = format!("robust, four updates with a cap of {cap}");
        let centre = noise("aggregate centre", 300, 0.125);
        rows.push(aggregated(&name, &centre, four(), robustness, threads));
    }
    rows
}

fn explicit_zeros(count: usize) -> Noise {
    noise("aggregate nothing", count, 0.0)
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
