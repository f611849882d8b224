//! A trace against the training step itself.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::Parameters;
use crate::testing::{bits, config, every_execution, families, own_head, tokens};
use crate::trainer::{AdamW, Gradients, Workspace};

/// Corpus rows, and demonstrations of which only answers carry loss.
fn parts(vocab: usize, seed: u8) -> Vec<Batch> {
    let runs = tokens(3 * 12, vocab, seed);
    let mut answers = Batch::next_token(&tokens(4 * 8, vocab, seed + 1), 7);
    for (index, weight) in answers.weights.iter_mut().enumerate() {
        *weight = if index % 7 < 4 { 0.0 } else { 1.0 };
    }
    vec![Batch::next_token(&runs, 11), answers]
}

fn options(clip_norm: f32) -> InnerOptions {
    InnerOptions {
        adamw: AdamW {
            weight_decay: 0.01,
            ..AdamW::default()
        },
        warmup_steps: 4,
        first_step: 0,
        clip_norm,
    }
}

fn compare(config: &ModelConfig, clip_norm: f32, threads: &Threads) {
    let mut state = InnerState::new(Parameters::initialize(config, [5; 32]));
    let options = options(clip_norm);
    for seed in [1, 9] {
        let parts = parts(config.vocab_size, seed);
        let trace = trace(&state, &parts, &options, threads).unwrap();
        let mut gradients = Gradients::zeros(&state.parameters);
        let buffers = (&mut gradients, &mut Workspace::new());
        let loss = state.step(&parts, &options, buffers, threads).unwrap();
        let singles = |kind| {
            let tensor = Tensor {
                part: 0,
                layer: 0,
                kind,
            };
            match trace.numbers(tensor).unwrap() {
                Numbers::Single(numbers) => bits(numbers),
                other => panic!("{kind:?} is {other:?}"),
            }
        };
        let named = |kind| {
            trace
                .numbers(Tensor {
                    part: 0,
                    layer: 0,
                    kind,
                })
                .unwrap()
        };
        let micro = (loss.mean() * 1e6).round_ties_even();
        assert_eq!(named(Kind::LossMicro), &Numbers::Double(vec![micro]));
        assert_eq!(
            singles(Kind::NewFirstMoment),
            bits(&state.moments.m),
            "first moments"
        );
        assert_eq!(
            singles(Kind::NewSecondMoment),
            bits(&state.moments.v),
            "second moments"
        );
        assert_eq!(
            singles(Kind::NewWeights),
            bits(state.parameters.as_slice()),
            "weights"
        );
    }
}

#[test]
fn a_trace_ends_where_the_step_ends_in_every_family_clipped_or_not() {
    let threads = Threads::new(1);
    for config in families() {
        compare(&config, 1e9, &threads);
        compare(&config, 0.1, &threads);
        compare(&own_head(config), 0.1, &threads);
    }
}

#[test]
fn a_trace_is_the_same_on_every_kernel_path() {
    for threads in every_execution() {
        compare(&config(), 0.5, &threads);
    }
}

#[test]
fn products_by_kernels_are_those_by_definition() {
    let state = InnerState::new(Parameters::initialize(&config(), [5; 32]));
    let parts = parts(config().vocab_size, 3);
    let quick = trace(&state, &parts, &options(1.0), &Threads::new(1)).unwrap();
    let mut slow = quick.clone();
    slow.again_from(0);
    for (tensor, (quick, slow)) in quick
        .program()
        .tensors()
        .iter()
        .zip(quick.names().iter().zip(slow.names()))
    {
        assert_eq!(quick, slow, "{tensor:?}");
    }
}
