//! Work of a size that the emulator would take hours for.

use crate::gpus;
use crate::models::{grpo_sequences, inner_options, model, threads, tokens};
use crate::values::assert_same;
use engine::trainer::{Batch, Gradients, GrpoOptions, Workspace, grpo, pseudo_gradient};
use engine::{
    Family, GenerationOptions, GenerationRequest, ModelConfig, RopeScaling, Sampling, generate,
};

/// Eight million parameters in whole tiles.
fn config() -> ModelConfig {
    ModelConfig {
        family: Family::Qwen3,
        vocab_size: 2048,
        hidden_size: 256,
        intermediate_size: 768,
        num_hidden_layers: 8,
        num_attention_heads: 8,
        num_key_value_heads: 4,
        head_dim: 64,
        rms_norm_eps: 1e-6,
        rope_theta: 1e6,
        rope_scaling: RopeScaling::Default,
        max_position_embeddings: 512,
        tie_word_embeddings: true,
    }
}

#[test]
fn large_training_steps_equal_the_cpu() {
    let model = model(&config());
    let batch = |seed| Batch::next_token(&tokens(&config(), 16 * 257, seed), 256);
    for gpu in gpus() {
        let batches = || [batch(1), batch(2)];
        let expected = pseudo_gradient(&model, batches(), &inner_options(), &threads()).unwrap();
        let found = gpu
            .pseudo_gradient(&model, batches(), &inner_options())
            .unwrap();
        assert_eq!(found.losses, expected.losses);
        assert_same(&found.values, &expected.values, "pseudo-gradient");
        assert_eq!(found.digests, expected.digests);
        let update = gpu.compress(&found.values).unwrap();
        assert_eq!(
            update,
            engine::trainer::CompressedUpdate::compress(&expected.values).unwrap()
        );
    }
}

#[test]
fn a_large_reinforcement_step_equals_the_cpu() {
    let model = model(&config());
    let options = GrpoOptions {
        clip_low: 0.2,
        clip_high: 0.2,
        delta: 4.0,
        temperature: 0.9,
        normaliser: 31.0,
    };
    for gpu in gpus() {
        let sequences = grpo_sequences(&model);
        let (mut expected, mut found) = (Gradients::zeros(&model), Gradients::zeros(&model));
        let mut workspace = Workspace::new();
        let loss = grpo(
            &model,
            &sequences,
            &options,
            &mut expected,
            &mut workspace,
            &threads(),
        );
        assert_eq!(
            gpu.grpo(&model, &sequences, &options, &mut found).unwrap(),
            loss.unwrap()
        );
        assert_same(found.as_slice(), expected.as_slice(), "gradients");
    }
}

#[test]
fn ten_thousand_tokens_equal_the_cpu() {
    let model = model(&config());
    let request = |index: u8| GenerationRequest {
        prompt: tokens(&config(), 1 + usize::from(index) % 40, index),
        seed: [index; 32],
    };
    let requests: Vec<_> = (0..64).map(request).collect();
    let options = GenerationOptions {
        sampling: Sampling::Gumbel { temperature: 1.0 },
        tokens_max: 160,
        eos: u32::MAX,
    };
    for gpu in gpus() {
        let found = gpu.generate(&model, &requests, &options).unwrap();
        let expected = generate(&model, &requests, &options, &threads()).unwrap();
        let drawn: usize = found.iter().map(|generation| generation.tokens.len()).sum();
        assert!(drawn > 10_000);
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found.tokens, expected.tokens);
            assert_same(&found.hidden, &expected.hidden, "hidden");
        }
    }
}
