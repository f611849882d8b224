//! Gradients against finite differences, bit equality, compression and aggregation.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::testing::{bits, config, every_execution, families, model, tokens};
use crate::{ModelConfig, logprobs};

fn batch(rows: usize, length: usize) -> Batch {
    let mut batch = Batch::next_token(&tokens(rows * (length + 1), 37, 8), length);
    for (index, weight) in batch.weights.iter_mut().enumerate() {
        *weight = [1.0, 0.5, 0.0, 2.0, 1.0][index % 5];
    }
    batch
}

fn rollouts(model: &Parameters, drift: f32) -> Vec<GrpoSequence> {
    let items = [(9, 3, 1.2), (20, 5, -0.8), (14, 1, -2.0), (30, 12, 0.4)];
    let sequences = items
        .iter()
        .enumerate()
        .map(|(index, &(length, prompt_len, advantage))| {
            let tokens = tokens(length, 37, u8::try_from(index).unwrap());
            let scored = logprobs(model, &[&tokens], 0.9, &Threads::new(1))
                .unwrap()
                .remove(0);
            let behaviour = scored[prompt_len - 1..].iter().enumerate();
            let shifted = behaviour.map(|(i, p)| p + drift * [-1.0, 0.2, 0.7, -0.1][i % 4]);
            GrpoSequence {
                behaviour_logprobs: shifted.collect(),
                tokens,
                prompt_len,
                advantage,
            }
        });
    sequences.collect()
}

fn grpo_options() -> GrpoOptions {
    GrpoOptions {
        clip_low: 0.2,
        clip_high: 0.28,
        delta: 4.0,
        temperature: 0.9,
        normaliser: 50.0,
    }
}

type LossOf<'a> = dyn Fn(&Parameters, &mut Gradients) -> f64 + 'a;

/// Compares analytic gradients with central differences on several parameters of every tensor.
fn check_gradients(model: &Parameters, loss: &LossOf<'_>) {
    let mut gradients = Gradients::zeros(model);
    loss(model, &mut gradients);
    let analytic = gradients.as_slice().to_vec();
    for tensor in model.layout().tensors() {
        let largest = analytic[tensor.range()]
            .iter()
            .fold(0.0_f32, |a, g| a.max(g.abs()));
        for sample in 0..6 {
            let index = tensor.offset + (sample * 7919 + 13) % tensor.length;
            let at = |delta: f32| {
                let mut moved = model.clone();
                moved.as_mut_slice()[index] += delta;
                let moved_to = moved.as_slice()[index];
                (
                    f64::from(moved_to),
                    loss(&moved, &mut Gradients::zeros(model)),
                )
            };
            let ((x0, low), (x1, high)) = (at(-4e-3), at(4e-3));
            let numeric = (high - low) / (x1 - x0);
            let error = (numeric - f64::from(analytic[index])).abs();
            let scale = f64::from(largest).max(1e-3);
            assert!(
                error < 0.02 * scale,
                "{}[{}]: analytic {}, numeric {numeric}",
                tensor.name,
                index - tensor.offset,
                analytic[index]
            );
        }
    }
}

#[test]
fn cross_entropy_gradients_match_finite_differences() {
    let untied = ModelConfig {
        tie_word_embeddings: false,
        ..config()
    };
    for config in families().into_iter().chain([untied]) {
        let mut model = Parameters::initialize(&config, [4; 32]);
        // Biases and gains that differ from 0 and 1.
        for (index, value) in model.as_mut_slice().iter_mut().enumerate() {
            *value += ((index % 11) as f32 - 5.0) * 4e-3;
        }
        let batch = batch(3, 15);
        check_gradients(&model, &|model, gradients| {
            let workspace = &mut Workspace::new();
            cross_entropy(model, &batch, gradients, workspace, &Threads::new(1))
                .unwrap()
                .sum
        });
    }
}

#[test]
fn grpo_gradients_match_finite_differences() {
    let model = model();
    for drift in [0.0, 0.05, 1.0] {
        let rollouts = rollouts(&model, drift);
        let options = GrpoOptions {
            normaliser: 1.0,
            ..grpo_options()
        };
        check_gradients(&model, &|model, gradients| {
            let workspace = &mut Workspace::new();
            grpo(
                model,
                &rollouts,
                &options,
                gradients,
                workspace,
                &Threads::new(1),
            )
            .unwrap()
            .loss
        });
    }
}

#[test]
fn the_ratio_of_a_policy_to_itself_is_exactly_one() {
    let model = model();
    let rollouts = rollouts(&model, 0.0);
    let mut gradients = Gradients::zeros(&model);
    let workspace = &mut Workspace::new();
    let options = grpo_options();
    let threads = Threads::new(1);
    let loss = grpo(
        &model,
        &rollouts,
        &options,
        &mut gradients,
        workspace,
        &threads,
    )
    .unwrap();
    assert_eq!(loss.divergence_sum, 0.0);
    assert_eq!(
        (loss.token_count, loss.clipped_count),
        (6 + 15 + 13 + 18, 0)
    );
    let expected: f64 = rollouts
        .iter()
        .map(|r| -f64::from(r.advantage) * r.behaviour_logprobs.len() as f64 / 50.0)
        .sum();
    assert!((loss.loss - expected).abs() < 1e-6);
}

#[test]
fn gradients_and_steps_have_the_same_bits_on_every_path_and_thread_count() {
    let model = model();
    let (batch, rollouts) = (batch(5, 29), rollouts(&model, 0.1));
    let options = InnerOptions {
        adamw: AdamW {
            weight_decay: 0.1,
            ..AdamW::default()
        },
        warmup_steps: 4,
        first_step: 0,
        clip_norm: 1.0,
    };
    let mut results = every_execution().into_iter().map(|threads| {
        let mut gradients = Gradients::zeros(&model);
        let mut workspace = Workspace::new();
        let both = (&mut gradients, &mut workspace);
        let loss = cross_entropy(&model, &batch, both.0, both.1, &threads).unwrap();
        let reinforced = grpo(&model, &rollouts, &grpo_options(), both.0, both.1, &threads);
        let unit = pseudo_gradient(
            &model,
            vec![batch.clone(), batch.clone()],
            &options,
            &threads,
        );
        let unit = unit.unwrap();
        (
            loss,
            reinforced.unwrap(),
            bits(gradients.as_slice()),
            bits(&unit.values),
            unit.digests,
        )
    });
    let first = results.next().unwrap();
    for result in results {
        assert!(result == first);
    }
}

#[test]
fn a_long_batch_continues_the_folds_of_its_runs() {
    let model = model();
    let batch = batch(30, 90);
    let threads = Threads::new(1);
    let workspace = &mut Workspace::new();
    let mut whole = Gradients::zeros(&model);
    let loss = cross_entropy(&model, &batch, &mut whole, workspace, &threads).unwrap();
    assert!(batch.tokens.len() > 2 * RUN_ROWS_MAX);
    let mut parts = Gradients::zeros(&model);
    let mut sum = 0.0;
    for row in 0..30 {
        let part = |values: &[u32]| values[row * 90..][..90].to_vec();
        let row = Batch {
            tokens: part(&batch.tokens),
            targets: part(&batch.targets),
            weights: batch.weights[row * 90..][..90].to_vec(),
            length: 90,
        };
        sum += cross_entropy(&model, &row, &mut parts, workspace, &threads)
            .unwrap()
            .sum;
    }
    let embedding = model.layout().embedding();
    assert!((sum - loss.sum).abs() < 1e-6 * loss.sum);
    assert_eq!(
        bits(&whole.as_slice()[embedding.end..]),
        bits(&parts.as_slice()[embedding.end..])
    );
}

/// The digest of one inner step and of one policy gradient, as every machine must compute them.
#[test]
fn training_bits_are_pinned() {
    let model = model();
    let options = InnerOptions {
        adamw: AdamW {
            weight_decay: 0.1,
            ..AdamW::default()
        },
        warmup_steps: 4,
        first_step: 0,
        clip_norm: 1.0,
    };
    let threads = Threads::new(1);
    let unit = pseudo_gradient(&model, [batch(5, 29)], &options, &threads).unwrap();
    let digest = blake3::Hash::from(unit.digests[0]);
    assert_eq!(
        digest.to_hex().as_str(),
        "c6ed9b11f3f45cd8f643a61c56cb75af35d5ecf04905de5be6789eb070e8ff23"
    );
    let mut gradients = Gradients::zeros(&model);
    let workspace = &mut Workspace::new();
    let rollouts = rollouts(&model, 0.1);
    grpo(
        &model,
        &rollouts,
        &grpo_options(),
        &mut gradients,
        workspace,
        &threads,
    )
    .unwrap();
    let gradient = Parameters::from_values(&config(), gradients.into_values()).unwrap();
    let root = blake3::Hash::from(gradient.state_root());
    assert_eq!(
        root.to_hex().as_str(),
        "cbc93569304bdbadd4bba797fa8b00cdb7cfa26c9c4b44a9398cf81c04a6dcaa"
    );
}

#[test]
fn a_model_learns_a_repeating_text() {
    let text: Vec<u32> = (0..8 * 33).map(|i| (i * i + 3) % 11).collect();
    let batch = Batch::next_token(&text, 32);
    let options = InnerOptions {
        adamw: AdamW {
            lr: 5e-3,
            ..AdamW::default()
        },
        warmup_steps: 5,
        first_step: 0,
        clip_norm: 1.0,
    };
    let batches = std::iter::repeat_n(batch, 60);
    let unit = pseudo_gradient(&model(), batches, &options, &Threads::new(1)).unwrap();
    let (first, last) = (unit.losses[0].mean(), unit.losses[59].mean());
    assert!(
        first > 3.0 && last < 0.3,
        "loss went from {first} to {last}"
    );
}

#[test]
fn uneven_inputs_are_errors() {
    let model = model();
    let threads = Threads::new(1);
    let (mut gradients, mut workspace) = (Gradients::zeros(&model), Workspace::new());
    let good = batch(2, 8);
    let uneven = [
        Batch {
            length: 0,
            ..good.clone()
        },
        Batch {
            length: 7,
            ..good.clone()
        },
        Batch {
            weights: vec![],
            ..good.clone()
        },
        Batch {
            targets: vec![37; 16],
            ..good.clone()
        },
        Batch {
            tokens: vec![37; 16],
            ..good
        },
    ];
    for batch in uneven {
        let result = cross_entropy(&model, &batch, &mut gradients, &mut workspace, &threads);
        assert!(result.is_err());
    }
    for (prompt_len, logprobs) in [(0, 4), (5, 0), (2, 1), (1, 4)] {
        let sequence = GrpoSequence {
            tokens: vec![1, 2, 3, 4],
            prompt_len,
            advantage: 1.0,
            behaviour_logprobs: vec![0.0; logprobs],
        };
        let options = grpo_options();
        let both = (&mut gradients, &mut workspace);
        assert!(grpo(&model, &[sequence], &options, both.0, both.1, &threads).is_err());
    }
}

mod exchange;
