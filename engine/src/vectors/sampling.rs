//! §5 and §6: what is drawn from streams: tokens and initial weights.

use super::models::config_input;
use super::values::{Noise, hexadecimal, noise, result, row, salted, words, written};
use crate::arithmetic::elementwise::perturb;
use crate::testing::config;
use crate::{Family, ModelConfig, Parameters, Threads, sampler};
use serde_json::{Value, json};

pub(super) fn rows(threads: &Threads) -> Vec<Value> {
    let mut rows = scores(threads);
    rows.extend(tokens());
    rows.extend(greedy());
    rows.extend(initial_weights());
    rows
}

fn scores(threads: &Threads) -> Vec<Value> {
    let mut rows = Vec::new();
    for (count, temperature) in [(40, 1.0), (1001, 0.7)] {
        let name = format!("scores {count}");
        let logits = noise(&name, count, 2.0);
        let words = words(&name, count);
        let mut scores = vec![0.0; count];
        perturb(
            threads.kernels(),
            &logits.values,
            &words,
            temperature,
            &mut scores,
        );
        let input = json!({
            "logits": logits.name,
            "words": {"words": salted(&name), "count": count},
            "temperature": written(&[temperature]),
        });
        let title = format!("scores: {count} logits at {temperature}");
        rows.push(row(&title, input, json!({"scores": result(&scores)})));
    }
    rows
}

/// The margins of all tokens show every score, and with them every word of the stream.
fn tokens() -> Vec<Value> {
    let mut rows = Vec::new();
    let seed: [u8; 32] = std::array::from_fn(|index| u8::try_from(index * 7).unwrap());
    let cases = [
        (seed, 0, 1.0, noise("token 0", 40, 1.0)),
        (seed, 1, 1.0, noise("token 0", 40, 1.0)),
        ([0xff; 32], 258, 0.5, noise("token 258", 37, 1.0)),
        (seed, u64::MAX, 1.5, noise("token last", 300, 1.0)),
    ];
    for (seed, position, temperature, logits) in cases {
        let Noise { values, name } = logits;
        let token = sampler::sample(&values, &seed, position, temperature);
        let margins: Vec<f32> = (0..u32::try_from(values.len()).unwrap())
            .map(|token| sampler::margin(&values, &seed, position, temperature, token))
            .collect();
        let input = json!({
            "logits": name,
            "seed": hexadecimal(&seed),
            "position": position,
            "temperature": written(&[temperature]),
        });
        let expect = json!({"token": token, "margins": result(&margins)});
        rows.push(row(&format!("token: position {position}"), input, expect));
    }
    rows
}

fn greedy() -> Vec<Value> {
    let cases: [(&str, &[f32]); 6] = [
        ("ties go to the lower id", &[0.0, 3.0, 3.0, 1.0]),
        ("zeros of both signs tie", &[-0.0, 0.0]),
        ("a NaN is never larger", &[1.0, f32::NAN, 2.0]),
        ("nothing is larger than a NaN", &[f32::NAN, 5.0, 7.0]),
        ("infinities", &[f32::NEG_INFINITY, 3.0, f32::INFINITY]),
        ("all -inf", &[f32::NEG_INFINITY; 3]),
    ];
    let case = |(name, logits): (&str, &[f32])| {
        let expect = json!({"token": sampler::greedy(logits)});
        row(
            &format!("greedy: {name}"),
            json!({"logits": written(logits)}),
            expect,
        )
    };
    cases.into_iter().map(case).collect()
}

fn initial_weights() -> Vec<Value> {
    let odd = ModelConfig {
        vocab_size: 5,
        hidden_size: 3,
        intermediate_size: 7,
        num_hidden_layers: 6,
        ..config()
    };
    let cases = [
        ("Llama", config()),
        (
            "odd sizes, not tied",
            ModelConfig {
                tie_word_embeddings: false,
                ..odd
            },
        ),
        (
            "Qwen2",
            ModelConfig {
                family: Family::Qwen2,
                num_hidden_layers: 1,
                ..config()
            },
        ),
        (
            "Qwen3",
            ModelConfig {
                family: Family::Qwen3,
                num_hidden_layers: 1,
                ..config()
            },
        ),
    ];
    let seed = [3; 32];
    let case = |(name, config): (&str, ModelConfig)| {
        let model = Parameters::initialize(&config, seed);
        let tensors = model.layout().tensors().iter().map(|tensor| {
            (
                tensor.name.clone(),
                result(&model.as_slice()[tensor.range()]),
            )
        });
        let expect: serde_json::Map<String, Value> = tensors.collect();
        let input = json!({"config": config_input(&config), "seed": hexadecimal(&seed)});
        row(&format!("initialise: {name}"), input, Value::Object(expect))
    };
    cases.into_iter().map(case).collect()
}
