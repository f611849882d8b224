//! Small models and comparisons for the tests of this crate.

use crate::{Family, KernelPath, ModelConfig, Parameters, RopeScaling, Threads};

/// A small model of odd sizes, so that every tile has remainders.
pub(crate) fn config() -> ModelConfig {
    ModelConfig {
        family: Family::Llama,
        vocab_size: 37,
        hidden_size: 24,
        intermediate_size: 44,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 10,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::Default,
        max_position_embeddings: 96,
        tie_word_embeddings: true,
    }
}

/// The same sizes in every family.
pub(crate) fn families() -> [ModelConfig; 3] {
    [Family::Llama, Family::Qwen2, Family::Qwen3].map(|family| ModelConfig { family, ..config() })
}

/// A model with a head of its own, and positions beyond those that it was trained with.
pub(crate) fn own_head(config: ModelConfig) -> ModelConfig {
    ModelConfig {
        tie_word_embeddings: false,
        rope_scaling: RopeScaling::Llama3 {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 16,
        },
        ..config
    }
}

pub(crate) fn model() -> Parameters {
    Parameters::initialize(&config(), [3; 32])
}

/// Tokens below `vocab` that look random.
pub(crate) fn tokens(count: usize, vocab: usize, seed: u8) -> Vec<u32> {
    let mut bytes = vec![0; count * 4];
    blake3::Hasher::new_keyed(&[seed; 32])
        .finalize_xof()
        .fill(&mut bytes);
    let words = bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|word| u32::from_le_bytes(*word));
    let vocab = u32::try_from(vocab).unwrap_or(u32::MAX);
    words.map(|word| word % vocab).collect()
}

/// Every instruction set of this machine, with one and with two threads.
pub(crate) fn every_execution() -> Vec<Threads> {
    let paths = KernelPath::supported();
    let executions = paths
        .into_iter()
        .flat_map(|path| [1, 2].map(|n| Threads::new(n).with_kernels(path)));
    executions.flatten().collect()
}

pub(crate) fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}
