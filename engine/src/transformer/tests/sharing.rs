//! Prompts computed once for all their responses, and blocks computed twice: the same bits.

#![allow(clippy::unwrap_used, reason = "tests")]

use crate::testing::{bits, config, every_execution, families, model, tokens};
use crate::trainer::{Batch, Checkpointing, Gradients, Workspace, cross_entropy};
use crate::{
    Continuation, GenerationOptions, GenerationRequest, InputError, Parameters, Sampling, Threads,
    generate, logprobs, prefill, replay, response_logprobs,
};

/// Prompts with several responses each, of uneven lengths, one of them empty.
fn groups() -> Vec<(Vec<u32>, Vec<Vec<u32>>)> {
    let response = |length, seed| tokens(length, 37, seed);
    vec![
        (
            tokens(11, 37, 1),
            (0..9)
                .map(|i| response(1 + usize::from(i) * 5, i))
                .collect(),
        ),
        (tokens(1, 37, 2), vec![response(0, 9), response(30, 8)]),
        (tokens(40, 37, 3), (0..7).map(|i| response(56, i)).collect()),
    ]
}

#[test]
fn a_response_has_the_same_bits_whether_or_not_its_prompt_is_shared() {
    let groups = groups();
    for config in families() {
        let model = Parameters::initialize(&config, [7; 32]);
        for threads in every_execution() {
            let items = groups.iter().flat_map(|(prompt, responses)| {
                responses
                    .iter()
                    .map(|response| Continuation { prompt, response })
            });
            let items: Vec<_> = items.collect();
            let shared = replay(&model, &items, &threads).unwrap();
            let scored = response_logprobs(&model, &items, 0.8, &threads).unwrap();
            for ((item, shared), scored) in items.iter().zip(shared).zip(scored) {
                let mut all = item.prompt.to_vec();
                all.extend(item.response);
                let alone = prefill(&model, &[&all], &threads).unwrap().remove(0);
                let fed = (all.len() - item.response.len().min(1)) * 24;
                assert_eq!(bits(&shared.hidden), bits(&alone.hidden[..fed]));
                let drawn = (item.prompt.len() - 1) * 37..(all.len() - 1) * 37;
                assert_eq!(bits(&shared.logits), bits(&alone.logits[drawn]));
                let alone = logprobs(&model, &[&all], 0.8, &threads).unwrap().remove(0);
                assert_eq!(bits(&scored), bits(&alone[item.prompt.len() - 1..]));
            }
        }
    }
}

#[test]
fn generation_is_the_same_whether_or_not_prompts_are_shared() {
    let model = model();
    let request = |index: u8| GenerationRequest {
        prompt: tokens(3 + usize::from(index / 16) * 9, 37, index / 16),
        seed: [index; 32],
    };
    let requests: Vec<_> = (0..160).map(request).collect();
    let options = GenerationOptions {
        sampling: Sampling::Gumbel { temperature: 1.0 },
        tokens_max: 20,
        eos: 1,
    };
    let threads = Threads::new(1);
    let together = generate(&model, &requests, &options, &threads).unwrap();
    for (request, together) in requests.iter().zip(together) {
        let alone = generate(&model, std::slice::from_ref(request), &options, &threads);
        assert_eq!(alone.unwrap(), [together]);
    }
}

#[test]
fn every_family_decodes_as_it_prefills() {
    for config in families() {
        let model = Parameters::initialize(&config, [5; 32]);
        let request = GenerationRequest {
            prompt: tokens(7, 37, 4),
            seed: [3; 32],
        };
        let options = GenerationOptions {
            sampling: Sampling::Gumbel { temperature: 1.0 },
            tokens_max: 50,
            eos: u32::MAX,
        };
        for threads in every_execution() {
            let requests = std::slice::from_ref(&request);
            let generation = generate(&model, requests, &options, &threads)
                .unwrap()
                .remove(0);
            let all = [&request.prompt[..], &generation.tokens].concat();
            let whole = prefill(&model, &[&all[..all.len() - 1]], &threads)
                .unwrap()
                .remove(0);
            assert_eq!(bits(&generation.hidden), bits(&whole.hidden), "{threads:?}");
        }
    }
}

#[test]
fn computing_blocks_twice_gives_the_same_gradients() {
    for config in families() {
        let model = Parameters::initialize(&config, [6; 32]);
        let batch = Batch::next_token(&tokens(5 * 61, 37, 8), 60);
        let gradients = [Checkpointing::Off, Checkpointing::Blocks].map(|checkpointing| {
            let mut gradients = Gradients::zeros(&model);
            let mut workspace = Workspace::new().with_checkpointing(checkpointing);
            let threads = Threads::new(1);
            for _ in 0..2 {
                cross_entropy(&model, &batch, &mut gradients, &mut workspace, &threads).unwrap();
            }
            bits(gradients.as_slice())
        });
        assert!(gradients[0] == gradients[1]);
    }
}

#[test]
fn hostile_continuations_are_errors() {
    let model = model();
    let check = |prompt: &[u32], response: &[u32]| {
        let threads = Threads::new(1);
        replay(&model, &[Continuation { prompt, response }], &threads).unwrap_err()
    };
    assert_eq!(check(&[], &[1]), InputError::Empty { sequence: 0 });
    let token = InputError::Token {
        sequence: 0,
        token: 37,
        limit: 37,
    };
    assert_eq!(check(&[1], &[2, 37]), token);
    let length = InputError::Length {
        sequence: 0,
        length: 97,
        limit: config().max_position_embeddings,
    };
    assert_eq!(check(&tokens(90, 37, 1), &tokens(8, 37, 1)), length);
}
