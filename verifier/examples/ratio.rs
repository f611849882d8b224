//! What an audit costs beside the generation it checks, by how many responses are drawn together.
//!
//! ```text
//! cargo run --release -p verifier --example ratio
//! ```
//!
//! Arguments: response tokens, repetitions. A miner that draws one response at a time reads all
//! weights for every token; an auditor has the tokens, and reads them once for all. The larger the
//! miner's batch, the less there is to save: `rho` is what the formula of spec 06-sample multiplies
//! with. Times are of this thread's processor time.
#![expect(clippy::print_stdout, reason = "a table is what this program is for")]

use engine::{Continuation, Device, Generation, GenerationOptions, GenerationRequest, Parameters};
use engine::{Replay, Sampling, sampler};
use miner::rollout::{prompt_proof, section};
use protocol::recipe::Recipe;
use std::{error::Error, time::Duration};

/// Responses drawn together.
const BATCHES: [usize; 5] = [1, 4, 8, 16, 64];
/// Prompts of this many tokens.
const PROMPT_TOKENS: usize = 16;

/// About 2.6 million parameters: hidden size 192, 6 layers, vocabulary 512.
fn model(tokens: usize) -> Result<Parameters, Box<dyn Error>> {
    let mut recipe: Recipe = serde_json::from_str(include_str!("../../miner/recipes/tiny.json"))?;
    let model = &mut recipe.model;
    (model.hidden_size, model.intermediate_size) = (192, 512);
    (model.layers_count, model.head_dim, model.vocab_size) = (6, 32, 512);
    (model.heads_count, model.key_value_heads_count) = (6, 2);
    model.positions_max = u32::try_from((PROMPT_TOKENS + tokens).next_power_of_two())?;
    Ok(miner::initial_model(&recipe)?)
}

/// Time that this thread has spent on a processor. The system counts in ticks of milliseconds.
fn busy() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = text.split_whitespace().next();
    Duration::from_nanos(first.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// The least time of several tries, each repeated until ticks do not matter, and the last value.
fn least<T>(repetitions: usize, mut work: impl FnMut() -> T) -> (f64, T) {
    let mut timed = || {
        let (before, mut times) = (busy(), 0.0);
        loop {
            let value = work();
            times += 1.0;
            let spent = (busy() - before).as_secs_f64();
            if spent > 0.15 {
                return (spent / times, value);
            }
        }
    };
    let (mut best, mut value) = timed();
    for _ in 1..repetitions {
        let (time, again) = timed();
        (best, value) = (best.min(time), again);
    }
    (best, value)
}

fn seed(index: usize) -> [u8; 32] {
    let mut seed = [5; 32];
    seed[..8].copy_from_slice(&(index as u64).to_le_bytes());
    seed
}

/// What both sides make of hidden states.
fn sections(width: usize, hidden: &[&[f32]]) -> usize {
    let split = PROMPT_TOKENS * width;
    let proof = hidden
        .first()
        .and_then(|h| prompt_proof(&h[..split], width).ok());
    let proof = proof.unwrap_or_default();
    let all = hidden.iter().enumerate();
    all.filter(|(index, hidden)| section(&proof, hidden, split, &seed(*index), width).is_ok())
        .count()
}

/// How many tokens are the seeded draw.
fn drawn(passes: &[Replay], generations: &[Generation], vocabulary: usize) -> usize {
    let pairs = passes.iter().zip(generations).enumerate();
    let counts = pairs.map(|(index, (pass, generation))| {
        let first = PROMPT_TOKENS as u64;
        let drawn = sampler::draws(&pass.logits, vocabulary, &seed(index), first, 1.0);
        let pairs = drawn.iter().zip(&generation.tokens);
        let right = pairs.filter(|(drawn, token)| drawn == token);
        right.count()
    });
    counts.sum()
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default| {
        let text = arguments.next();
        text.map_or(Ok(default), |text| text.parse::<usize>())
    };
    let (tokens, repetitions) = (number(112)?, number(5)?);
    let (model, device) = (model(tokens)?, Device::cpu(1));
    let (width, vocabulary) = (model.config().hidden_size, model.config().vocab_size);
    println!(
        "{} parameters, prompts of {PROMPT_TOKENS} tokens, responses of {tokens}, {:?}; \
         microseconds of one thread a response token",
        model.as_slice().len(),
        device.threads().kernel_path()
    );
    println!("batch | decode | sections || prefill | draws | sections || prefill / decode | rho");
    let options = GenerationOptions {
        sampling: Sampling::Gumbel { temperature: 1.0 },
        tokens_max: tokens,
        eos: u32::MAX,
    };
    for batch in BATCHES {
        let prompt: Vec<u32> = (1..=u32::try_from(PROMPT_TOKENS)?).collect();
        let requests: Vec<_> = (0..batch)
            .map(|index| GenerationRequest {
                prompt: prompt.clone(),
                seed: seed(index),
            })
            .collect();
        let (decode, made) = least(repetitions, || device.generate(&model, &requests, &options));
        let made = made?;
        let states: Vec<&[f32]> = made.iter().map(|one| one.hidden.as_slice()).collect();
        let (proofs, _) = least(repetitions, || sections(width, &states));
        let continuations: Vec<_> = made
            .iter()
            .map(|one| Continuation {
                prompt: &prompt,
                response: &one.tokens,
            })
            .collect();
        let (prefill, passes) = least(repetitions, || device.replay(&model, &continuations));
        let passes = passes?;
        let (draws, right) = least(repetitions, || drawn(&passes, &made, vocabulary));
        assert_eq!(right, batch * tokens, "an honest token was not the draw");
        let per_token = |time: f64| time * 1e6 / (batch * tokens) as f64;
        let rho = (prefill + draws + proofs) / (decode + proofs);
        println!(
            "{batch:>5} | {:>6.1} | {:>8.2} || {:>7.1} | {:>5.2} | {:>8.2} || {:>16.2} | {rho:.2}",
            per_token(decode),
            per_token(proofs),
            per_token(prefill),
            per_token(draws),
            per_token(proofs),
            prefill / decode,
        );
    }
    Ok(())
}
