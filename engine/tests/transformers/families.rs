//! Small random models of every family, with gains and biases that matter.

use crate::expected::{Expected, assert_close, golden};
use engine::trainer::{Batch, Gradients, Workspace, cross_entropy};
use engine::{Family, Parameters, RopeScaling, Threads, prefill};

const LLAMA: [&str; 3] = ["llama-bf16", "llama-scaled", "llama-tied"];
const QWEN: [&str; 4] = ["qwen2-split", "qwen2-tied", "qwen3-split", "qwen3-tied"];

fn read(case: &str) -> Expected {
    Expected::read(&format!("{case}/expected.safetensors"))
}

/// Two rows of equal length.
fn tokens(expected: &Expected) -> Vec<Vec<u32>> {
    let all = expected.words("tokens");
    all.chunks(all.len() / 2).map(<[u32]>::to_vec).collect()
}

#[test]
fn llama_passes_agree_with_transformers() {
    check_passes(&LLAMA);
}

#[test]
fn llama_gradients_agree_with_transformers() {
    check_gradients(&LLAMA);
}

#[test]
fn qwen_passes_agree_with_transformers() {
    check_passes(&QWEN);
}

#[test]
fn qwen_gradients_agree_with_transformers() {
    check_gradients(&QWEN);
}

fn check_passes(cases: &[&str]) {
    for case in cases {
        let model = Parameters::from_directory(&golden(case)).unwrap();
        let expected = read(case);
        let tokens = tokens(&expected);
        let rows: Vec<&[u32]> = tokens.iter().map(Vec::as_slice).collect();
        let passes = prefill(&model, &rows, &Threads::new(1)).unwrap();
        let all = |part: fn(&engine::Prefill) -> &[f32]| passes.iter().flat_map(part).copied();
        let hidden: Vec<f32> = all(|pass| &pass.hidden).collect();
        let logits: Vec<f32> = all(|pass| &pass.logits).collect();
        let hidden = assert_close(case, "hidden", &hidden, &expected.values("hidden"), 1e-5);
        let logits = assert_close(case, "logits", &logits, &expected.values("logits"), 1e-5);
        eprintln!("{case}: hidden {hidden:.1e}, logits {logits:.1e}");
    }
}

fn check_gradients(cases: &[&str]) {
    for case in cases {
        let model = Parameters::from_directory(&golden(case)).unwrap();
        let expected = read(case);
        let rows = tokens(&expected);
        let batch = Batch::next_token(&rows.concat(), rows[0].len() - 1);
        let mut gradients = Gradients::zeros(&model);
        let mut workspace = Workspace::new();
        let threads = Threads::new(1);
        let loss = cross_entropy(&model, &batch, &mut gradients, &mut workspace, &threads).unwrap();
        let mean = loss.sum / batch.tokens.len() as f64;
        assert_close(case, "loss", &[mean as f32], &expected.values("loss"), 1e-5);
        gradients.scale(1.0 / batch.tokens.len() as f32, &threads);
        let mut worst = 0.0_f64;
        for tensor in model.layout().tensors() {
            let name = format!("gradient.{}", tensor.name);
            let got = &gradients.as_slice()[tensor.range()];
            worst = worst.max(assert_close(
                case,
                &name,
                got,
                &expected.values(&name),
                1e-4,
            ));
        }
        eprintln!("{case}: gradients {worst:.1e}");
    }
}

#[test]
fn the_cases_cover_what_they_are_meant_to() {
    let config = |case: &str| {
        Parameters::from_directory(&golden(case))
            .unwrap()
            .config()
            .clone()
    };
    assert_eq!(config("llama-tied").family, Family::Llama);
    assert_eq!(config("qwen2-tied").family, Family::Qwen2);
    assert_eq!(config("qwen3-tied").family, Family::Qwen3);
    let scaling = config("llama-scaled").rope_scaling;
    assert!(matches!(scaling, RopeScaling::Llama3 { .. }), "{scaling:?}");
    let wide = config("qwen3-tied");
    assert_ne!(wide.head_dim * wide.num_attention_heads, wide.hidden_size);
    for case in ["qwen2-split", "qwen3-split"] {
        assert!(golden(case).join("model.safetensors.index.json").exists());
        assert!(!config(case).tie_word_embeddings);
    }
}
