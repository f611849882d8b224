//! Small models of odd sizes, and what is computed with them.

use crate::values::{values, words};
use engine::trainer::{AdamW, Batch, GrpoSequence, InnerOptions};
use engine::{Family, GenerationRequest, ModelConfig, Parameters, RopeScaling, Threads, logprobs};

pub(crate) fn threads() -> Threads {
    Threads::new(2)
}

/// A model of each family: remainders everywhere, untied heads, sizes of whole vectors.
pub(crate) fn families() -> Vec<ModelConfig> {
    let llama = ModelConfig {
        family: Family::Llama,
        vocab_size: 37,
        hidden_size: 22,
        intermediate_size: 45,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 10,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::Default,
        max_position_embeddings: 96,
        tie_word_embeddings: true,
    };
    let qwen2 = ModelConfig {
        family: Family::Qwen2,
        num_attention_heads: 3,
        num_key_value_heads: 1,
        rope_scaling: RopeScaling::Llama3 {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 32,
        },
        tie_word_embeddings: false,
        ..llama
    };
    // Sizes of whole vectors and more than one large tile; heads wider than a tile.
    let qwen3 = ModelConfig {
        family: Family::Qwen3,
        vocab_size: 140,
        hidden_size: 132,
        intermediate_size: 148,
        num_attention_heads: 2,
        num_key_value_heads: 2,
        head_dim: 68,
        ..llama
    };
    vec![llama, qwen2, qwen3]
}

/// A tiny model with a long context and a large vocabulary: rows longer than any window of a
/// kernel.
pub(crate) fn long() -> ModelConfig {
    ModelConfig {
        vocab_size: 2500,
        hidden_size: 8,
        intermediate_size: 12,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        num_key_value_heads: 1,
        head_dim: 4,
        max_position_embeddings: 1200,
        ..families().remove(0)
    }
}

/// Weights of a model, with gains and biases that are not all 1 and 0.
pub(crate) fn model(config: &ModelConfig) -> Parameters {
    let mut model = Parameters::initialize(config, [1; 32]);
    let tensors = model.layout().tensors().to_vec();
    for tensor in tensors.iter().filter(|tensor| tensor.shape.len() == 1) {
        let changes = values(tensor.length, 40);
        let weights = &mut model.as_mut_slice()[tensor.range()];
        for (weight, change) in weights.iter_mut().zip(changes) {
            *weight += 0.3 * change;
        }
    }
    model
}

/// Tokens below the vocabulary.
pub(crate) fn tokens(config: &ModelConfig, count: usize, seed: u8) -> Vec<u32> {
    let vocabulary = u32::try_from(config.vocab_size).unwrap();
    words(count, seed)
        .iter()
        .map(|word| word % vocabulary)
        .collect()
}

/// Sequences of one token, a few, and more than a tile.
pub(crate) fn sentences(config: &ModelConfig) -> Vec<Vec<u32>> {
    [1, 2, 17, 70, 64, 5]
        .map(|length| tokens(config, length, u8::try_from(length).unwrap()))
        .to_vec()
}

/// Batches of different lengths, some positions of weight 0 or a fraction.
pub(crate) fn batches(config: &ModelConfig) -> Vec<Batch> {
    [(3, 17), (2, 66), (1, 1)]
        .map(|(rows, length)| {
            let mut batch = Batch::next_token(&tokens(config, rows * (length + 1), 8), length);
            for (index, weight) in batch.weights.iter_mut().enumerate() {
                *weight = if index % 5 == 3 {
                    0.0
                } else {
                    1.0 - 0.1 * (index % 4) as f32
                };
            }
            batch
        })
        .to_vec()
}

pub(crate) fn inner_options() -> InnerOptions {
    InnerOptions {
        adamw: AdamW {
            weight_decay: 0.1,
            ..AdamW::default()
        },
        warmup_steps: 2,
        first_step: 0,
        clip_norm: 0.5,
    }
}

/// Rollouts whose log-probabilities under the behaviour policy differ from the model's, so that
/// some ratios are clipped.
pub(crate) fn grpo_sequences(model: &Parameters) -> Vec<GrpoSequence> {
    let config = model.config();
    let shapes = [(9, 3, 0.7), (30, 1, -1.2), (2, 1, 0.4), (70, 20, -0.3)];
    let make = |(index, (length, prompt_len, advantage)): (usize, (usize, usize, f32))| {
        let tokens = tokens(config, length, u8::try_from(index).unwrap() + 20);
        let scored = logprobs(model, &[&tokens], 0.9, &threads())
            .unwrap()
            .remove(0);
        let behaviour = scored[prompt_len - 1..].iter().enumerate();
        GrpoSequence {
            behaviour_logprobs: behaviour
                .map(|(i, logprob)| logprob + 0.35 * (i % 7) as f32 - 0.9)
                .collect(),
            tokens,
            prompt_len,
            advantage,
        }
    };
    shapes.into_iter().enumerate().map(make).collect()
}

/// Prompts of all lengths, one of them nearly filling the context.
pub(crate) fn continuations(config: &ModelConfig) -> Vec<GenerationRequest> {
    let context = config.max_position_embeddings;
    let lengths = [1, 2, 7, 30, context - 3, context, 7];
    let make = |(index, length): (usize, usize)| GenerationRequest {
        prompt: tokens(config, length, 30),
        seed: [u8::try_from(index).unwrap(); 32],
    };
    lengths.into_iter().enumerate().map(make).collect()
}
