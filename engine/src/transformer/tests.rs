//! The same bits in every execution, batch and order of feeding.

#![allow(clippy::unwrap_used, reason = "tests")]

mod reference;
mod sharing;

use crate::testing::{bits, config, every_execution, model, tokens};
use crate::{
    Finish, GenerationOptions, GenerationRequest, InputError, ModelConfig, Parameters, Sampling,
    Threads, generate, logprobs, prefill, sampler,
};

fn request(index: u8, length: usize) -> GenerationRequest {
    GenerationRequest {
        prompt: tokens(length, 37, index),
        seed: [index; 32],
    }
}

fn options(tokens_max: usize) -> GenerationOptions {
    GenerationOptions {
        sampling: Sampling::Gumbel { temperature: 0.9 },
        tokens_max,
        eos: 0,
    }
}

#[test]
fn prefill_has_the_same_bits_on_every_path_and_thread_count() {
    let model = model();
    let sequences: Vec<Vec<u32>> = [1, 2, 13, 31, 50, 96]
        .iter()
        .map(|&n| tokens(n, 37, 5))
        .collect();
    let views: Vec<&[u32]> = sequences.iter().map(Vec::as_slice).collect();
    let mut results = every_execution().into_iter().map(|threads| {
        let results = prefill(&model, &views, &threads).unwrap();
        results
            .iter()
            .map(|r| (bits(&r.hidden), bits(&r.logits)))
            .collect::<Vec<_>>()
    });
    let first = results.next().unwrap();
    for result in results {
        assert!(result == first);
    }
}

#[test]
fn a_sequence_has_the_same_bits_alone_and_in_a_batch() {
    let model = model();
    let sequences: Vec<Vec<u32>> = (0..40).map(|i| tokens(1 + i * 2, 37, 9)).collect();
    let views: Vec<&[u32]> = sequences.iter().map(Vec::as_slice).collect();
    let threads = Threads::new(1);
    let together = prefill(&model, &views, &threads).unwrap();
    for (view, together) in views.iter().zip(together) {
        let alone = prefill(&model, &[view], &threads).unwrap().remove(0);
        assert_eq!(bits(&alone.logits), bits(&together.logits));
        assert_eq!(bits(&alone.hidden), bits(&together.hidden));
    }
}

#[test]
fn a_prefix_has_the_same_bits_as_in_the_longer_sequence() {
    let model = model();
    let all = tokens(80, 37, 1);
    let threads = Threads::new(1);
    let long = prefill(&model, &[&all], &threads).unwrap().remove(0);
    for length in [1, 11, 12, 13, 24, 47, 79] {
        let short = prefill(&model, &[&all[..length]], &threads)
            .unwrap()
            .remove(0);
        assert_eq!(
            bits(&short.hidden),
            bits(&long.hidden[..short.hidden.len()])
        );
        assert_eq!(
            bits(&short.logits),
            bits(&long.logits[..short.logits.len()])
        );
    }
}

#[test]
fn decoding_has_the_bits_of_prefill_and_every_margin_is_exactly_zero() {
    let model = model();
    let requests: Vec<_> = (0..9).map(|i| request(i, 1 + usize::from(i) * 3)).collect();
    for threads in every_execution() {
        let generations = generate(&model, &requests, &options(40), &threads).unwrap();
        for (request, generation) in requests.iter().zip(&generations) {
            let mut all = request.prompt.clone();
            all.extend(&generation.tokens);
            let replay = prefill(&model, &[&all], &Threads::new(1))
                .unwrap()
                .remove(0);
            let fed = (all.len() - 1) * 24;
            assert_eq!(
                bits(&generation.hidden),
                bits(&replay.hidden[..fed]),
                "{threads:?}"
            );
            for (position, &token) in all.iter().enumerate().skip(request.prompt.len()) {
                let logits = &replay.logits[(position - 1) * 37..][..37];
                let margin = sampler::margin(logits, &request.seed, position as u64, 0.9, token);
                assert_eq!(margin.to_bits(), 0);
            }
        }
    }
}

#[test]
fn generation_is_the_same_in_a_batch_of_one_and_of_sixty_four() {
    let model = model();
    let requests: Vec<_> = (0..64)
        .map(|i| request(i, 1 + usize::from(i % 7)))
        .collect();
    let threads = Threads::new(1);
    let together = generate(&model, &requests, &options(24), &threads).unwrap();
    for (request, together) in requests.iter().zip(&together) {
        let alone = generate(
            &model,
            std::slice::from_ref(request),
            &options(24),
            &threads,
        );
        assert_eq!(&alone.unwrap()[0], together);
    }
}

#[test]
fn generation_ends_at_the_end_token_or_at_a_limit() {
    let model = model();
    let requests: Vec<_> = (0..32).map(|i| request(i, 4)).collect();
    let threads = Threads::new(1);
    let generations = generate(&model, &requests, &options(30), &threads).unwrap();
    for generation in &generations {
        let ended = generation.tokens.last() == Some(&0);
        assert_eq!(generation.finish == Finish::EndOfSequence, ended);
        assert!(ended || generation.tokens.len() == 30);
        assert_eq!(
            generation.tokens.iter().filter(|&&t| t == 0).count(),
            usize::from(ended)
        );
    }
    assert!(
        generations
            .iter()
            .any(|g| g.finish == Finish::EndOfSequence)
    );

    let no_end = GenerationOptions {
        eos: u32::MAX,
        ..options(1000)
    };
    let full = generate(&model, &[request(1, 90)], &no_end, &threads)
        .unwrap()
        .remove(0);
    assert_eq!(
        (full.finish, full.tokens.len()),
        (Finish::Cap, 7),
        "the context is full"
    );
    let none = generate(&model, &[request(1, 9)], &options(0), &threads)
        .unwrap()
        .remove(0);
    assert!(none.tokens.is_empty() && none.hidden.is_empty());
}

#[test]
fn greedy_generation_takes_the_largest_logit() {
    let model = model();
    let greedy = GenerationOptions {
        sampling: Sampling::Greedy,
        tokens_max: 10,
        eos: u32::MAX,
    };
    let request = request(2, 5);
    let threads = Threads::new(1);
    let tokens = generate(&model, std::slice::from_ref(&request), &greedy, &threads).unwrap();
    let mut all = request.prompt;
    for &token in &tokens[0].tokens {
        let logits = prefill(&model, &[&all], &threads).unwrap().remove(0).logits;
        assert_eq!(token, sampler::greedy(&logits[logits.len() - 37..]));
        all.push(token);
    }
}

#[test]
fn logprobs_are_the_logarithm_of_softmax() {
    let model = model();
    let sequence = tokens(20, 37, 3);
    let threads = Threads::new(1);
    let scored = logprobs(&model, &[&sequence], 0.7, &threads)
        .unwrap()
        .remove(0);
    let logits = prefill(&model, &[&sequence], &threads)
        .unwrap()
        .remove(0)
        .logits;
    assert_eq!(scored.len(), 19);
    for (index, got) in scored.iter().enumerate() {
        let row: Vec<f64> = logits[index * 37..][..37]
            .iter()
            .map(|&x| f64::from(x) / f64::from(0.7_f32))
            .collect();
        let sum: f64 = row.iter().map(|x| x.exp()).sum();
        let expected = row[sequence[index + 1] as usize] - sum.ln();
        assert!((f64::from(*got) - expected).abs() < 2e-6);
    }
}

#[test]
fn hostile_tokens_are_errors() {
    let model = model();
    let threads = Threads::new(1);
    let long = tokens(97, 37, 1);
    assert_eq!(
        prefill(&model, &[&[1, 37]], &threads).unwrap_err(),
        InputError::Token {
            sequence: 0,
            token: 37,
            limit: 37
        }
    );
    assert_eq!(
        prefill(&model, &[&[1], &[]], &threads).unwrap_err(),
        InputError::Empty { sequence: 1 }
    );
    assert_eq!(
        prefill(&model, &[&long], &threads).unwrap_err(),
        InputError::Length {
            sequence: 0,
            length: 97,
            limit: 96
        }
    );
    let request = GenerationRequest {
        prompt: vec![u32::MAX],
        seed: [0; 32],
    };
    assert!(generate(&model, &[request], &options(4), &threads).is_err());
}

/// Attention with wide heads, many queries a key head, and an untied output matrix.
#[test]
fn other_shapes_decode_as_they_prefill() {
    let shapes = [(64, 6, 1), (32, 14, 2), (4, 1, 1), (34, 3, 3)];
    for (head_dim, heads, keys) in shapes {
        let config = ModelConfig {
            head_dim,
            num_attention_heads: heads,
            num_key_value_heads: keys,
            tie_word_embeddings: false,
            ..config()
        };
        let model = Parameters::initialize(&config, [1; 32]);
        let request = request(4, 6);
        for threads in every_execution() {
            let requests = std::slice::from_ref(&request);
            let generation = generate(&model, requests, &options(40), &threads)
                .unwrap()
                .remove(0);
            let mut all = request.prompt.clone();
            all.extend(&generation.tokens);
            let replay = prefill(&model, &[&all], &threads).unwrap().remove(0);
            let fed = generation.hidden.len();
            assert_eq!(
                bits(&generation.hidden),
                bits(&replay.hidden[..fed]),
                "{threads:?}"
            );
        }
    }
}
