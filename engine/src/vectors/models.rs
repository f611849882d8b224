//! §4, whole: hidden states, logits and tokens of tiny models.

use super::blocks::rope_settings;
use super::values::{Noise, hexadecimal, noise, result, row, written};
use crate::testing::{config, tokens};
use crate::{
    Family, GenerationOptions, GenerationRequest, ModelConfig, Parameters, RopeScaling, Sampling,
    Threads, generate, logprobs, prefill,
};
use serde_json::{Value, json};

/// Divides the logits of what is drawn and scored.
const TEMPERATURE: f32 = 0.7;

/// A model whose weights, gains and biases are all noise.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) model: Parameters,
    weights: Value,
}

impl Case {
    pub(super) fn new(name: &'static str, config: ModelConfig) -> Self {
        let length = Parameters::initialize(&config, [0; 32]).as_slice().len();
        let Noise {
            values,
            name: weights,
        } = noise(name, length, 0.125);
        let model = Parameters::from_values(&config, values).unwrap();
        Self {
            name,
            model,
            weights,
        }
    }

    /// How a row names the model.
    pub(super) fn input(&self) -> Value {
        json!({"config": config_input(self.model.config()), "weights": self.weights})
    }
}

/// How a row names a configuration.
pub(super) fn config_input(config: &ModelConfig) -> Value {
    json!({
        "family": format!("{:?}", config.family).to_lowercase(),
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.num_hidden_layers,
        "num_attention_heads": config.num_attention_heads,
        "num_key_value_heads": config.num_key_value_heads,
        "head_dim": config.head_dim,
        "rms_norm_eps": written(&[config.rms_norm_eps]),
        "rope": rope_settings(config),
        "max_position_embeddings": config.max_position_embeddings,
        "tie_word_embeddings": config.tie_word_embeddings,
    })
}

/// Every family, tied and not, and scaled rotary positions.
pub(super) fn cases() -> Vec<Case> {
    let untied = ModelConfig {
        tie_word_embeddings: false,
        num_attention_heads: 3,
        num_key_value_heads: 1,
        head_dim: 8,
        ..config()
    };
    let scaled = ModelConfig {
        rope_theta: 5e5,
        rope_scaling: RopeScaling::Llama3 {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 16,
        },
        ..config()
    };
    let qwen2 = ModelConfig {
        family: Family::Qwen2,
        rope_theta: 1e6,
        rms_norm_eps: 1e-6,
        ..config()
    };
    let qwen3 = ModelConfig {
        family: Family::Qwen3,
        tie_word_embeddings: false,
        ..qwen2
    };
    vec![
        Case::new("Llama, tied", config()),
        Case::new("Llama, not tied", untied),
        Case::new("Llama, scaled positions", scaled),
        Case::new("Qwen2, biases", qwen2),
        Case::new("Qwen3, head norms", qwen3),
    ]
}

pub(super) fn rows(threads: &Threads) -> Vec<Value> {
    let pass = |case: &Case| [forward(threads, case), generation(threads, case)];
    cases().iter().flat_map(pass).collect()
}

/// Hidden states, logits and log-probabilities of three sequences in one batch.
fn forward(threads: &Threads, case: &Case) -> Value {
    let sequences = [tokens(1, 37, 1), tokens(13, 37, 2), tokens(20, 37, 3)];
    let views: Vec<&[u32]> = sequences.iter().map(Vec::as_slice).collect();
    let passes = prefill(&case.model, &views, threads).unwrap();
    let hidden: Vec<f32> = passes.iter().flat_map(|pass| pass.hidden.clone()).collect();
    let logits: Vec<f32> = passes.iter().flat_map(|pass| pass.logits.clone()).collect();
    let scored = logprobs(&case.model, &views, TEMPERATURE, threads).unwrap();
    let mut input = case.input();
    input["sequences"] = json!(sequences);
    input["temperature"] = written(&[TEMPERATURE]);
    let expect = json!({
        "hidden": result(&hidden),
        "logits": result(&logits),
        "logprobs": result(&scored.concat()),
    });
    row(&format!("model: {}", case.name), input, expect)
}

/// Tokens drawn one at a time from a cache, for prompts that are decoded together.
fn generation(threads: &Threads, case: &Case) -> Value {
    let requests = [(1, 3), (2, 9)].map(|(seed, length)| GenerationRequest {
        prompt: tokens(length, 37, seed),
        seed: [seed; 32],
    });
    let sampling = Sampling::Gumbel {
        temperature: TEMPERATURE,
    };
    let options = GenerationOptions {
        sampling,
        tokens_max: 15,
        eos: u32::MAX,
    };
    let generations = generate(&case.model, &requests, &options, threads).unwrap();
    let mut input = case.input();
    input["prompts"] = requests
        .iter()
        .map(|request| json!(request.prompt))
        .collect();
    let seeds = requests.iter().map(|request| hexadecimal(&request.seed));
    input["seeds"] = json!(seeds.collect::<String>());
    input["temperature"] = written(&[TEMPERATURE]);
    input["count"] = json!(options.tokens_max);
    let tokens: Vec<u32> = generations.into_iter().flat_map(|one| one.tokens).collect();
    row(
        &format!("generate: {}", case.name),
        input,
        json!({"tokens": written(&tokens)}),
    )
}
