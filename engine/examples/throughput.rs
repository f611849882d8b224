//! Measures training and generation throughput of one small model on one thread.
//!
//! `cargo run --release -p engine --example throughput [small|medium] [threads]`

#![expect(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a measuring program"
)]

use engine::trainer::{AdamW, Batch, Gradients, InnerOptions, InnerState, Workspace};
use engine::{
    Family, GenerationOptions, GenerationRequest, ModelConfig, Parameters, RopeScaling, Sampling,
    Threads, generate, prefill,
};
use std::time::Instant;

/// Seconds this thread has run, where the system tells (Linux), else seconds passed: so that a busy
/// machine does not look like a slow engine.
fn seconds(start: &Instant) -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text
        .split(' ')
        .next()
        .and_then(|field| field.parse::<f64>().ok());
    nanoseconds.map_or_else(|| start.elapsed().as_secs_f64(), |value| value * 1e-9)
}

fn config(name: &str) -> ModelConfig {
    let small = ModelConfig {
        family: Family::Llama,
        vocab_size: 256,
        hidden_size: 128,
        intermediate_size: 384,
        num_hidden_layers: 4,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 32,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::Default,
        max_position_embeddings: 512,
        tie_word_embeddings: true,
    };
    match name {
        "medium" => ModelConfig {
            vocab_size: 512,
            hidden_size: 192,
            intermediate_size: 512,
            num_hidden_layers: 6,
            num_attention_heads: 6,
            ..small
        },
        _ => small,
    }
}

fn token(index: usize, vocab: usize) -> u32 {
    u32::try_from((index * 7919 + index / 13) % vocab).unwrap_or(0)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = std::env::args().nth(1).unwrap_or_default();
    let count = std::env::args()
        .nth(2)
        .and_then(|text| text.parse().ok())
        .unwrap_or(1);
    let config = config(&name);
    let threads = Threads::new(count);
    let clock = Instant::now();
    let model = Parameters::initialize(&config, [1; 32]);
    let length = 128;
    let vocab = config.vocab_size;
    println!(
        "{} parameters, {:?}, {} thread(s)",
        model.as_slice().len(),
        threads.kernel_path(),
        threads.count()
    );
    train(&model, length, vocab, (&threads, &clock))?;
    replay(&model, length, vocab, (&threads, &clock))?;
    decode(&model, vocab, (&threads, &clock))?;
    Ok(())
}

fn train(
    model: &Parameters,
    length: usize,
    vocab: usize,
    (threads, clock): (&Threads, &Instant),
) -> Result<(), Box<dyn std::error::Error>> {
    let tokens: Vec<u32> = (0..32 * (length + 1))
        .map(|index| token(index, vocab))
        .collect();
    let batch = Batch::next_token(&tokens, length);
    let options = InnerOptions {
        adamw: AdamW::default(),
        warmup_steps: 1,
        first_step: 0,
        clip_norm: 1.0,
    };
    let mut state = InnerState::new(model.clone());
    let (mut gradients, mut workspace) = (Gradients::zeros(model), Workspace::new());
    let mut best = f64::INFINITY;
    for _ in 0..8 {
        let start = seconds(clock);
        state.step(&batch, &options, (&mut gradients, &mut workspace), threads)?;
        best = best.min(seconds(clock) - start);
    }
    println!("train    {:>9.0} tokens/s", (32 * length) as f64 / best);
    Ok(())
}

fn replay(
    model: &Parameters,
    length: usize,
    vocab: usize,
    (threads, clock): (&Threads, &Instant),
) -> Result<(), Box<dyn std::error::Error>> {
    let tokens: Vec<u32> = (0..32 * length).map(|index| token(index, vocab)).collect();
    let sequences: Vec<&[u32]> = tokens.chunks_exact(length).collect();
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = seconds(clock);
        prefill(model, &sequences, threads)?;
        best = best.min(seconds(clock) - start);
    }
    println!("prefill  {:>9.0} tokens/s", (32 * length) as f64 / best);
    Ok(())
}

fn decode(
    model: &Parameters,
    vocab: usize,
    (threads, clock): (&Threads, &Instant),
) -> Result<(), Box<dyn std::error::Error>> {
    let requests: Vec<_> = (0_u8..64)
        .map(|index| GenerationRequest {
            prompt: (0..8)
                .map(|i| token(i + usize::from(index), vocab))
                .collect(),
            seed: [index; 32],
        })
        .collect();
    let options = GenerationOptions {
        sampling: Sampling::Gumbel { temperature: 1.0 },
        tokens_max: 96,
        eos: u32::MAX,
    };
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let start = seconds(clock);
        generate(model, &requests, &options, threads)?;
        best = best.min(seconds(clock) - start);
    }
    println!("generate {:>9.0} tokens/s", (64 * 96) as f64 / best);
    Ok(())
}
