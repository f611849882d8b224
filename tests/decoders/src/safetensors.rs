//! Model and optimiser files, as peers serve checkpoints and people download them.

use crate::Decoder;
use engine::{
    Family, ModelConfig, Parameters, RopeScaling,
    trainer::{OuterOptimizer, OuterState},
};

pub(crate) const DECODER: Decoder = Decoder {
    name: "safetensors",
    run,
    seeds: || {
        let model = Parameters::initialize(&config(), [3; 32]);
        let optimizer = OuterOptimizer::Nesterov {
            lr: 0.7,
            momentum: 0.9,
        };
        let outer = OuterState::new(&optimizer, &config());
        vec![model.to_safetensors(), outer.to_safetensors()]
    },
};

/// One layer of a few values, so that a whole file has a few kilobytes.
pub(crate) fn config() -> ModelConfig {
    ModelConfig {
        family: Family::Llama,
        vocab_size: 5,
        hidden_size: 4,
        intermediate_size: 6,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        num_key_value_heads: 1,
        head_dim: 2,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::Default,
        max_position_embeddings: 8,
        tie_word_embeddings: true,
    }
}

fn run(bytes: &[u8]) {
    if let Ok(model) = Parameters::from_safetensors(bytes) {
        let written = model.to_safetensors();
        let again = Parameters::from_safetensors(&written).unwrap();
        assert_eq!(again.to_safetensors(), written);
    }
    drop(Parameters::from_safetensors_with(bytes, &config()));
    if let Ok(state) = OuterState::from_safetensors(bytes) {
        let written = state.to_safetensors();
        let again = OuterState::from_safetensors(&written).unwrap();
        assert_eq!(again.to_safetensors(), written);
    }
}
