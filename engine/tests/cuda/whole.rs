//! Whole computations on a device against the CPU engine.

use crate::gpus;
use crate::models::{
    batches, continuations, families, grpo_sequences, inner_options, long, model, sentences,
    threads, tokens,
};
use crate::values::{assert_same, values};
use engine::trainer::{
    Batch, CompressedUpdate, Feedback, Gradients, GrpoOptions, InnerState, OuterOptimizer,
    OuterState, Workspace, clip_gradient_norm, cross_entropy, grpo, pseudo_gradient,
};
use engine::{
    Continuation, GenerationOptions, GenerationRequest, Sampling, generate, logprobs, prefill,
    replay, response_logprobs,
};

#[test]
fn hidden_states_and_logits_equal_the_cpu() {
    for config in families() {
        let model = model(&config);
        let sentences = sentences(&config);
        let sequences: Vec<&[u32]> = sentences.iter().map(Vec::as_slice).collect();
        let expected = prefill(&model, &sequences, &threads()).unwrap();
        let scored = logprobs(&model, &sequences, 0.8, &threads()).unwrap();
        for gpu in gpus() {
            let mut resident = gpu.load(&model).unwrap();
            let found = resident.prefill(&sequences).unwrap();
            for (found, expected) in found.iter().zip(&expected) {
                assert_same(&found.hidden, &expected.hidden, "hidden");
                assert_same(&found.logits, &expected.logits, "logits");
            }
            let found = resident.logprobs(&sequences, 0.8).unwrap();
            assert_eq!(found.len(), scored.len());
            for (found, scored) in found.iter().zip(&scored) {
                assert_same(found, scored, "logprobs");
            }
        }
    }
}

#[test]
fn replayed_responses_equal_the_cpu() {
    for config in families() {
        let model = model(&config);
        let context = config.max_position_embeddings;
        // Of one prompt, empty, and up to one token beyond the context.
        let shapes = [
            (3, 9),
            (3, 0),
            (1, 1),
            (40, 12),
            (context, 1),
            (context - 5, 6),
        ];
        let texts = shapes
            .map(|(prompt, response)| (tokens(&config, prompt, 50), tokens(&config, response, 51)));
        let continuations: Vec<_> = texts
            .iter()
            .map(|(prompt, response)| Continuation { prompt, response })
            .collect();
        let expected = replay(&model, &continuations, &threads()).unwrap();
        let scored = response_logprobs(&model, &continuations, 0.8, &threads()).unwrap();
        for gpu in gpus() {
            let found = gpu.replay(&model, &continuations).unwrap();
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(&expected) {
                assert_same(&found.hidden, &expected.hidden, "hidden");
                assert_same(&found.logits, &expected.logits, "logits");
            }
            let found = gpu.response_logprobs(&model, &continuations, 0.8).unwrap();
            assert_eq!(found.len(), scored.len());
            for (found, scored) in found.iter().zip(&scored) {
                assert_same(found, scored, "logprobs");
            }
        }
    }
}

#[test]
fn gradients_of_cross_entropy_equal_the_cpu() {
    for config in families() {
        let model = model(&config);
        for batch in batches(&config) {
            let mut expected = Gradients::zeros(&model);
            expected
                .as_mut_slice()
                .copy_from_slice(&values(model.as_slice().len(), 9));
            let start = expected.clone();
            let mut workspace = Workspace::new();
            let loss =
                cross_entropy(&model, &batch, &mut expected, &mut workspace, &threads()).unwrap();
            for gpu in gpus() {
                let mut found = start.clone();
                assert_eq!(gpu.cross_entropy(&model, &batch, &mut found).unwrap(), loss);
                for tensor in model.layout().tensors() {
                    let range = tensor.range();
                    let (found, expected) = (found.as_slice(), expected.as_slice());
                    assert_same(&found[range.clone()], &expected[range], &tensor.name);
                }
            }
        }
    }
}

#[test]
fn a_unit_of_inner_steps_equals_the_cpu() {
    for config in families() {
        let model = model(&config);
        let options = inner_options();
        let expected = pseudo_gradient(&model, batches(&config), &options, &threads()).unwrap();
        for gpu in gpus() {
            let found = gpu
                .pseudo_gradient(&model, batches(&config), &options)
                .unwrap();
            assert_eq!(found.losses, expected.losses);
            assert_eq!(found.digests, expected.digests);
            assert_same(&found.values, &expected.values, "pseudo-gradient");
        }
    }
}

#[test]
fn a_state_that_comes_back_is_the_state_of_the_cpu() {
    let config = families().remove(0);
    let mut expected = InnerState::new(model(&config));
    let mut runs: Vec<_> = gpus()
        .iter()
        .map(|gpu| gpu.inner(&expected).unwrap())
        .collect();
    let mut buffers = (Gradients::zeros(&expected.parameters), Workspace::new());
    for batch in batches(&config) {
        let parts = &[batch];
        let (gradients, workspace) = &mut buffers;
        let loss = expected
            .step(parts, &inner_options(), (gradients, workspace), &threads())
            .unwrap();
        for run in &mut runs {
            assert_eq!(run.step(parts, &inner_options()).unwrap(), loss);
        }
    }
    for run in runs {
        assert_eq!(run.state().unwrap(), expected);
        assert_eq!(run.digest().unwrap(), expected.digest());
    }
}

#[test]
fn a_reinforcement_step_equals_the_cpu() {
    for config in families() {
        let model = model(&config);
        let sequences = grpo_sequences(&model);
        let options = GrpoOptions {
            clip_low: 0.2,
            clip_high: 0.2,
            delta: 4.0,
            temperature: 0.9,
            normaliser: 31.0,
        };
        let mut expected = Gradients::zeros(&model);
        let mut workspace = Workspace::new();
        let loss = grpo(
            &model,
            &sequences,
            &options,
            &mut expected,
            &mut workspace,
            &threads(),
        )
        .unwrap();
        assert!(loss.clipped_count > 0 && loss.clipped_count < loss.token_count);
        let optimizer = OuterOptimizer::AdamW {
            lr: 1e-3,
            beta1: 0.9,
            beta2: 0.99,
            eps: 1e-8,
            weight_decay: 0.01,
            clip_norm: 0.3,
        };
        let mut state = OuterState::new(&optimizer, &config);
        let mut next = model.clone();
        state
            .step(&optimizer, &mut next, expected.as_slice(), &threads())
            .unwrap();
        for gpu in gpus() {
            let mut found = Gradients::zeros(&model);
            assert_eq!(
                gpu.grpo(&model, &sequences, &options, &mut found).unwrap(),
                loss
            );
            assert_same(found.as_slice(), expected.as_slice(), "gradients");
            let mut own_state = OuterState::new(&optimizer, &config);
            let mut own = model.clone();
            gpu.outer_step(&mut own_state, &optimizer, &mut own, found.as_slice())
                .unwrap();
            assert_same(own.as_slice(), next.as_slice(), "weights");
            assert_eq!(own_state, state);
        }
    }
}

#[test]
fn an_outer_step_with_momentum_equals_the_cpu() {
    let config = families().remove(0);
    let optimizer = OuterOptimizer::Nesterov {
        lr: 0.7,
        momentum: 0.9,
    };
    let start = OuterState::new(&optimizer, &config);
    for gpu in gpus() {
        let (mut state, mut model) = (start.clone(), model(&config));
        let (mut own_state, mut own) = (state.clone(), model.clone());
        for seed in 0..3 {
            let gradient = values(model.as_slice().len(), seed);
            state
                .step(&optimizer, &mut model, &gradient, &threads())
                .unwrap();
            gpu.outer_step(&mut own_state, &optimizer, &mut own, &gradient)
                .unwrap();
            assert_same(own.as_slice(), model.as_slice(), "weights");
            assert_eq!(own_state, state);
        }
    }
}

#[test]
fn generated_tokens_and_hidden_states_equal_the_cpu() {
    for config in families() {
        let model = model(&config);
        for sampling in [Sampling::Gumbel { temperature: 0.7 }, Sampling::Greedy] {
            let options = GenerationOptions {
                sampling,
                // The wider model is slow to run thread by thread.
                tokens_max: if config.hidden_size > 100 { 5 } else { 40 },
                eos: 3,
            };
            let requests = continuations(&config);
            let expected = generate(&model, &requests, &options, &threads()).unwrap();
            for gpu in gpus() {
                let found = gpu.generate(&model, &requests, &options).unwrap();
                for (found, expected) in found.iter().zip(&expected) {
                    assert_eq!(found.tokens, expected.tokens);
                    assert_eq!(found.finish, expected.finish);
                    assert_same(&found.hidden, &expected.hidden, "hidden");
                }
                assert_eq!(found.len(), expected.len());
            }
        }
    }
}

#[test]
fn long_contexts_and_large_vocabularies_equal_the_cpu() {
    let config = long();
    let model = model(&config);
    let requests = [1160, 20].map(|length| GenerationRequest {
        prompt: tokens(&config, length, 60),
        seed: [7; 32],
    });
    let options = GenerationOptions {
        sampling: Sampling::Gumbel { temperature: 1.0 },
        tokens_max: 4,
        eos: u32::MAX,
    };
    let batch = Batch::next_token(&tokens(&config, 2 * 11, 61), 10);
    let expected = generate(&model, &requests, &options, &threads()).unwrap();
    let mut gradients = Gradients::zeros(&model);
    let mut workspace = Workspace::new();
    let loss = cross_entropy(&model, &batch, &mut gradients, &mut workspace, &threads()).unwrap();
    for gpu in gpus() {
        let found = gpu.generate(&model, &requests, &options).unwrap();
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found.tokens, expected.tokens);
            assert_same(&found.hidden, &expected.hidden, "hidden");
        }
        let mut found = Gradients::zeros(&model);
        assert_eq!(gpu.cross_entropy(&model, &batch, &mut found).unwrap(), loss);
        assert_same(found.as_slice(), gradients.as_slice(), "gradients");
    }
}

#[test]
fn norms_of_all_lengths_equal_the_cpu() {
    for gpu in gpus() {
        for length in [0, 1, 15, 16, 17, 4095, 4096, 4097, 9000, 20_000] {
            for norm_max in [0.5, 1e9] {
                let mut expected = values(length, 4);
                let mut found = expected.clone();
                let norm = clip_gradient_norm(&mut expected, norm_max, &threads());
                let own = gpu.clip_gradient_norm(&mut found, norm_max).unwrap();
                assert_eq!(own.to_bits(), norm.to_bits(), "norm of {length}");
                assert_same(&found, &expected, "clipped");
            }
        }
    }
}

#[test]
fn compressed_updates_equal_the_cpu() {
    for gpu in gpus() {
        for length in [0, 1, 255, 256, 257, 1000] {
            for scale in [1.98, 1.0, 1e-4, 1e-11, 3e-13, 1e-20, 1e-42, 0.0] {
                let update: Vec<f32> = values(length, 5).iter().map(|x| x * scale).collect();
                let expected = CompressedUpdate::compress(&update).unwrap();
                assert_eq!(gpu.compress(&update).unwrap(), expected, "{length} {scale}");
            }
        }
        for wrong in [f32::NAN, f32::INFINITY, -f32::INFINITY, 1.99, -2.5] {
            let mut update = values(600, 6);
            (update[300], update[599]) = (wrong, wrong);
            // A NaN is not equal to itself, so the messages are compared.
            let expected = CompressedUpdate::compress(&update).unwrap_err().to_string();
            assert_eq!(gpu.compress(&update).unwrap_err().to_string(), expected);
        }
    }
}

/// Sends three updates one after another on both sides, what was lost going along.
#[test]
fn sparse_updates_and_what_they_lose_equal_the_cpu() {
    for gpu in gpus() {
        for length in [0, 1, 63, 64, 65, 4095, 4096, 4097, 10_000] {
            for scale in [1.98, 1.0, 1e-4, 1e-9, 1e-20, 1e-42, 0.0] {
                let (mut lost, mut own) = (Feedback::new(length), Feedback::new(length));
                for round in 0..3 {
                    let update = values(length, 50 + round);
                    let update: Vec<f32> = update.iter().map(|x| x * scale * 0.3).collect();
                    let expected = lost.compress(&update, 0.95).unwrap();
                    let found = gpu.compress_sparse(&mut own, &update, 0.95).unwrap();
                    assert_eq!(found, expected, "{length} {scale} {round}");
                    assert_same(own.lost(), lost.lost(), "what is lost");
                }
            }
        }
    }
}

/// Ties, zeros of both signs, one value alone, halves between levels, and the largest allowed.
#[test]
fn sparse_edges_equal_the_cpu() {
    let mut cases = vec![vec![0.5; 5000], vec![-0.0; 5000], vec![2.0; 4096]];
    let mut lone = vec![0.0; 9000];
    (lone[0], lone[4100], lone[8999]) = (f32::MIN_POSITIVE, 2.0, -2.0);
    cases.push(lone);
    let ties = (0..8192_u16).map(|i| f32::from(i % 5) * if i % 3 == 0 { 0.1 } else { -0.1 });
    cases.push(ties.collect());
    let few = (0..4096_u16).map(|i| if i % 1000 == 7 { 1.5 } else { 0.0 });
    cases.push(few.collect());
    for gpu in gpus() {
        for update in &cases {
            let mut lost = Feedback::new(update.len());
            let mut own = lost.clone();
            let expected = lost.compress(update, 1.0).unwrap();
            let found = gpu.compress_sparse(&mut own, update, 1.0).unwrap();
            assert_eq!(found, expected);
            assert_eq!(found.encode(), expected.encode());
            assert_same(own.lost(), lost.lost(), "what is lost");
        }
        for wrong in [f32::NAN, f32::INFINITY, -f32::INFINITY, 2.1, -2.5] {
            let mut update = values(9000, 6);
            (update[4300], update[8999]) = (wrong, wrong);
            let mut own = Feedback::of(values(9000, 7));
            let before = own.clone();
            let expected = own.compress(&update, 0.5).unwrap_err().to_string();
            let found = gpu.compress_sparse(&mut own, &update, 0.5);
            assert_eq!(found.unwrap_err().to_string(), expected);
            assert_eq!(own, before, "nothing changes");
        }
    }
}

#[test]
fn largest_activations_are_those_of_a_sort() {
    let mut hidden: Vec<f32> = values(4000, 7).iter().map(|x| x * 3.0).collect();
    // Ties, infinities and a NaN.
    for index in (0..4000).step_by(7) {
        hidden[index] = if index % 2 == 0 { 1.5 } else { -1.5 };
    }
    (hidden[5], hidden[1200], hidden[2999]) = (f32::NAN, f32::INFINITY, -f32::INFINITY);
    let ends = [0, 1, 100, 1500, 3999, 4000];
    for gpu in gpus() {
        for count in [1, 3, 128, 512] {
            let found = gpu.largest_activations(&hidden, &ends, count).unwrap();
            let mut first = 0;
            for (found, &end) in found.iter().zip(&ends) {
                let bits = hidden[first..end].iter().map(|&x| engine::bf16_bits(x));
                let mut points: Vec<(u32, u16)> = (0..).zip(bits).collect();
                points.sort_by_key(|&(index, bits)| (std::cmp::Reverse(bits & 0x7fff), index));
                points.truncate(count);
                points.sort_unstable();
                assert_eq!(found, &points, "{first}..{end}, {count}");
                first = end;
            }
        }
    }
}
