//! The engine against Hugging Face `transformers` on small random models of every family.
//!
//! The files are made by `golden/make.py`. Both sides compute in f32, so they agree up to
//! rounding: hidden states and logits to 1e-5, gradients to 1e-4, both as the largest difference
//! over the largest value and as the norm of the difference over the norm.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "tests; a mean loss is rounded to f32 on purpose"
)]

use engine::trainer::{Batch, Gradients, Workspace, cross_entropy};
use engine::{Family, Parameters, RopeScaling, Threads, prefill};
use safetensors::SafeTensors;
use std::path::PathBuf;

const LLAMA: [&str; 3] = ["llama-bf16", "llama-scaled", "llama-tied"];
const QWEN: [&str; 4] = ["qwen2-split", "qwen2-tied", "qwen3-split", "qwen3-tied"];

fn golden(case: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.join("tests/golden").join(case)
}

/// What `transformers` computed for a case.
struct Expected {
    bytes: Vec<u8>,
}

impl Expected {
    fn read(case: &str) -> Self {
        let bytes = std::fs::read(golden(case).join("expected.safetensors")).unwrap();
        Self { bytes }
    }

    fn words(&self, name: &str) -> Vec<u32> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let tensor = file.tensor(name).unwrap();
        let words = tensor.data().as_chunks::<4>().0.iter();
        words.map(|word| u32::from_le_bytes(*word)).collect()
    }

    fn values(&self, name: &str) -> Vec<f32> {
        self.words(name).into_iter().map(f32::from_bits).collect()
    }

    /// Two rows of equal length.
    fn tokens(&self) -> Vec<Vec<u32>> {
        let all = self.words("tokens");
        all.chunks(all.len() / 2).map(<[u32]>::to_vec).collect()
    }
}

/// The larger of the two relative errors.
fn relative_error(got: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(got.len(), expected.len());
    let largest = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let difference = || {
        let pairs = got.iter().zip(expected);
        pairs.map(|(&a, &b)| (f64::from(a) - f64::from(b)).abs())
    };
    let size = || expected.iter().map(|&x| f64::from(x).abs());
    let by_largest = largest(&mut difference()) / largest(&mut size());
    by_largest.max(norm(&mut difference()) / norm(&mut size()))
}

fn assert_close(case: &str, name: &str, got: &[f32], expected: &[f32], limit: f64) -> f64 {
    let error = relative_error(got, expected);
    assert!(error <= limit, "{case} {name}: {error:e} above {limit:e}");
    error
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
        let expected = Expected::read(case);
        let tokens = expected.tokens();
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
        let expected = Expected::read(case);
        let rows = expected.tokens();
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
