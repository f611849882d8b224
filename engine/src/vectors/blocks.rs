//! §4, piece by piece: rotary positions, norms, softmax, the gated layer, attention.

use super::values::{Noise, noise, result, row, written};
use crate::arithmetic::elementwise::{
    NormInputs, SoftmaxRow, exponentials, rms_norm, rms_norm_backward, softmax, softmax_backward,
    swiglu, swiglu_backward,
};
use crate::testing::config;
use crate::transformer::attention::{heads::Heads, mix};
use crate::transformer::rope::{Direction, Table};
use crate::transformer::rows::Rows;
use crate::{ModelConfig, RopeScaling, Threads};
use serde_json::{Value, json};

pub(super) fn rows(threads: &Threads) -> Vec<Value> {
    let mut rows = rotary(threads);
    rows.extend(norms(threads));
    rows.extend(softmaxes(threads));
    rows.extend(gated(threads));
    rows.extend(attentions(threads));
    rows.extend(log_probabilities(threads));
    rows
}

/// How a row names the rotary settings.
pub(super) fn rope_settings(config: &ModelConfig) -> Value {
    let mut value = json!({"theta": written(&[config.rope_theta])});
    if let RopeScaling::Llama3 {
        factor,
        low_freq_factor,
        high_freq_factor,
        original_max_position_embeddings,
    } = config.rope_scaling
    {
        value["llama3"] = json!({
            "factor": written(&[factor]),
            "low": written(&[low_freq_factor]),
            "high": written(&[high_freq_factor]),
            "context": original_max_position_embeddings,
        });
    }
    value
}

/// The rotary settings of published models, and a small head.
fn rotary(threads: &Threads) -> Vec<Value> {
    let llama3 = |factor| RopeScaling::Llama3 {
        factor,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_position_embeddings: 8192,
    };
    let cases = [
        ("a small head", 10, 1e4, RopeScaling::Default),
        ("Qwen2.5's", 64, 1e6, RopeScaling::Default),
        ("Llama 3.1's", 128, 5e5, llama3(8.0)),
        ("Llama 3.2's", 64, 5e5, llama3(32.0)),
        ("a factor that rounds", 96, 3e4, llama3(4.7)),
    ];
    let mut rows = Vec::new();
    for (name, head_dim, rope_theta, rope_scaling) in cases {
        let config = ModelConfig {
            head_dim,
            rope_theta,
            rope_scaling,
            ..config()
        };
        rows.extend(rotary_of(threads, name, &config));
    }
    rows
}

fn rotary_of(threads: &Threads, name: &str, config: &ModelConfig) -> Vec<Value> {
    let mut table = Table::default();
    table.cover(config, 4096);
    let kernels = threads.kernels();
    let half = config.head_dim / 2;
    let mut rows = Vec::new();
    for position in [0, 1, 5, 4095] {
        // A head of ones and zeros is turned to the cosines and sines themselves.
        let mut unit = [vec![1.0; half], vec![0.0; half]].concat();
        table.apply(kernels, &mut unit, position, Direction::Forward);
        let input = json!({
            "head_dim": config.head_dim,
            "rope": rope_settings(config),
            "position": position,
        });
        let expect = json!({"cosine": written(&unit[..half]), "sine": written(&unit[half..])});
        rows.push(row(
            &format!("rotary table: {name}, {position}"),
            input.clone(),
            expect,
        ));
        let heads = noise(
            &format!("rotary {name} {position}"),
            2 * config.head_dim,
            1.0,
        );
        for (operation, direction) in [
            ("rotate", Direction::Forward),
            ("rotate back", Direction::Inverse),
        ] {
            let mut turned = heads.values.clone();
            table.apply(kernels, &mut turned, position, direction);
            let mut input = input.clone();
            input["x"] = heads.name.clone();
            let name = format!("{operation}: {name}, {position}");
            rows.push(row(&name, input, json!({"y": result(&turned)})));
        }
    }
    rows
}

fn norms(threads: &Threads) -> Vec<Value> {
    let mut rows = Vec::new();
    for (count, width, scale) in [(1, 1, 1.0), (3, 24, 1.0), (2, 130, 0.0625), (2, 48, 1e-20)] {
        let name = |part: &str| format!("norm {count} {width} {part}");
        let scale = f32::from_bits(f32::to_bits(scale) & 0xff80_0000);
        let eps = 1e-5;
        let x = noise(&name("x"), count * width, scale);
        let weight = noise(&name("weight"), width, 0.5);
        let dy = noise(&name("dy"), count * width, 1.0);
        let dx0 = noise(&name("dx"), count * width, 1.0);
        let dw0 = noise(&name("dw"), width, 1.0);
        let mut y = vec![0.0; count * width];
        let mut reciprocal = vec![0.0; count];
        rms_norm(
            threads.kernels(),
            &x.values,
            &weight.values,
            eps,
            (&mut y, [width, 0]),
            &mut reciprocal,
        );
        let title = format!("{count} rows of {width}, at {scale:e}");
        let input = json!({"x": x.name, "weight": weight.name, "eps": written(&[eps])});
        let expect = json!({"y": result(&y), "r": written(&reciprocal)});
        rows.push(row(&format!("norm: {title}"), input.clone(), expect));
        let (mut dx, mut dw) = (dx0.values, dw0.values);
        let inputs = NormInputs {
            x: &x.values,
            weight: &weight.values,
            reciprocal: &reciprocal,
            dy: &dy.values,
        };
        let scratch = &mut vec![0.0; width];
        rms_norm_backward(threads.kernels(), inputs, &mut dx, &mut dw, scratch);
        let mut input = input;
        input["dy"] = dy.name;
        input["dx"] = dx0.name;
        input["dw"] = dw0.name;
        let expect = json!({"dx": result(&dx), "dw": result(&dw)});
        rows.push(row(&format!("norm backward: {title}"), input, expect));
    }
    rows
}

fn softmaxes(threads: &Threads) -> Vec<Value> {
    let mut rows = Vec::new();
    let far = [-3e38, 0.0, 80.0, -20.0, f32::NEG_INFINITY, 79.5];
    let special: [(&str, Noise, f32); 3] = [
        ("one number", explicit(&[-5.0]), 1.0),
        ("far apart", explicit(&far), 1.0),
        ("infinity is NaN", explicit(&[1.0, f32::INFINITY]), 0.5),
    ];
    let random = [2, 15, 16, 17, 100].map(|n| (n, noise(&format!("softmax {n}"), n, 1.0)));
    let random = random
        .into_iter()
        .map(|(n, x)| (format!("{n} numbers"), x, 0.3));
    let special = special
        .into_iter()
        .map(|(name, x, scale)| (name.to_owned(), x, scale));
    for (name, x, scale) in special.chain(random) {
        let count = x.values.len();
        let mut p = x.values.clone();
        softmax(threads.kernels(), &mut p, count, scale);
        let input = json!({"x": x.name, "scale": written(&[scale])});
        rows.push(row(
            &format!("softmax: {name}"),
            input,
            json!({"y": result(&p)}),
        ));
        if p.iter().any(|p| p.is_nan()) {
            continue;
        }
        let dp = noise(&format!("softmax backward {name}"), count, 1.0);
        let mut ds = dp.values.clone();
        softmax_backward(threads.kernels(), &p, &mut ds, count, scale);
        let input = json!({"x": x.name, "dp": dp.name, "scale": written(&[scale])});
        rows.push(row(
            &format!("softmax backward: {name}"),
            input,
            json!({"ds": result(&ds)}),
        ));
    }
    rows
}

fn explicit(values: &[f32]) -> Noise {
    Noise {
        values: values.to_vec(),
        name: written(values),
    }
}

fn gated(threads: &Threads) -> Vec<Value> {
    let special = [
        0.0, -0.0, 100.0, -100.0, -88.0, 1e-40, 3e38, 2.0, 2.0, 2.0, -1.0, 1.0, 1e30, 5.0,
    ];
    let cases = [
        ("limits", 7, explicit(&special)),
        ("3 rows of 44", 44, noise("gated 44", 3 * 2 * 44, 1.0)),
        ("2 rows of 5", 5, noise("gated 5", 2 * 2 * 5, 2.0)),
    ];
    let mut rows = Vec::new();
    for (name, width, x) in cases {
        let count = x.values.len() / 2;
        let mut h = vec![0.0; count];
        let rows_of_x = x.values.chunks_exact(2 * width);
        for (row, h) in rows_of_x.zip(h.chunks_exact_mut(width)) {
            let (gate, up) = row.split_at(width);
            swiglu(threads.kernels(), gate, up, h);
        }
        let input = json!({"width": width, "x": x.name});
        rows.push(row(
            &format!("swiglu: {name}"),
            input,
            json!({"h": result(&h)}),
        ));
        let dh = noise(&format!("gated backward {name}"), count, 1.0);
        let mut dx = x.values.clone();
        let rows_of_dh = dh.values.chunks_exact(width);
        for (row, dh) in dx.chunks_exact_mut(2 * width).zip(rows_of_dh) {
            let (gate, up) = row.split_at_mut(width);
            swiglu_backward(threads.kernels(), gate, up, dh);
        }
        let input = json!({"width": width, "x": x.name, "dh": dh.name});
        rows.push(row(
            &format!("swiglu backward: {name}"),
            input,
            json!({"dx": result(&dx)}),
        ));
    }
    rows
}

/// Grouped heads over ragged sequences.
fn attentions(threads: &Threads) -> Vec<Value> {
    let shapes: [(usize, usize, usize, &[usize]); 4] = [
        (4, 2, 6, &[5, 1, 3]),
        (1, 1, 2, &[1]),
        (3, 1, 34, &[13, 40]),
        (6, 3, 16, &[70]),
    ];
    let mut rows = Vec::new();
    for (queries, keys, width, lengths) in shapes {
        let heads = Heads {
            queries,
            keys,
            width,
            scale: 1.0 / (width as f32).sqrt(),
        };
        let count: usize = lengths.iter().sum();
        let title = format!("{queries} heads of {width} on {keys}, {lengths:?}");
        let qkv = noise(&format!("qkv {title}"), count * heads.row(), 0.5);
        let d_out = noise(&format!("d_out {title}"), count * heads.out_row(), 1.0);
        let mut out = vec![f32::NAN; count * heads.out_row()];
        let scratch = &mut Vec::new();
        let mut sequences = Rows::default();
        for &length in lengths {
            sequences.push(length, None);
        }
        let mut normalisers = vec![SoftmaxRow::default(); count * queries];
        let outputs = (&mut out[..], &mut normalisers[..]);
        mix::forward(threads, heads, &sequences, &qkv.values, outputs, scratch);
        let input = json!({
            "query_heads": queries,
            "key_heads": keys,
            "head_dim": width,
            "lengths": lengths,
            "qkv": qkv.name,
        });
        let expect = json!({"out": result(&out)});
        rows.push(row(&format!("attention: {title}"), input.clone(), expect));
        let mut d_qkv = vec![f32::NAN; count * heads.row()];
        let inputs = (&qkv.values[..], &normalisers[..], &d_out.values[..]);
        mix::backward(threads, heads, &sequences, inputs, &mut d_qkv, scratch);
        let mut input = input;
        input["d_out"] = d_out.name;
        let expect = json!({"d_qkv": result(&d_qkv)});
        rows.push(row(&format!("attention backward: {title}"), input, expect));
    }
    rows
}

fn log_probabilities(threads: &Threads) -> Vec<Value> {
    let logits = noise("log-probability", 300, 2.0);
    let special = explicit(&[0.0, -200.0, 3.5, f32::NEG_INFINITY]);
    let cases = [
        ("temperature 1", &logits, 1.0, [0, 17, 299]),
        ("temperature 0.7", &logits, 0.7, [0, 17, 299]),
        ("limits", &special, 1.0, [1, 2, 3]),
    ];
    let mut rows = Vec::new();
    for (name, logits, temperature, targets) in cases {
        let mut row_values = logits.values.clone();
        let scaled = targets.map(|target: usize| row_values[target] / temperature);
        let normaliser = exponentials(threads.kernels(), &mut row_values, temperature);
        let y = scaled.map(|logit| normaliser.log_probability(logit));
        let input = json!({"logits": logits.name, "temperature": written(&[temperature]), "targets": targets});
        rows.push(row(
            &format!("log-probability: {name}"),
            input,
            json!({"y": written(&y)}),
        ));
    }
    rows
}
