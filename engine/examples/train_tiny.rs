//! Trains a small model to sort letters: `cargo run --release -p engine --example train_tiny`.

use engine::trainer::{AdamW, Batch, Gradients, InnerOptions, InnerState, Workspace};
use engine::{Family, GenerationOptions, GenerationRequest, ModelConfig, Parameters};
use engine::{RopeScaling, Sampling, Threads, generate};

/// Four letters, `=`, the letters sorted, `.`: as bytes.
fn example(seed: u32) -> Vec<u8> {
    let hash = seed.wrapping_mul(2_654_435_761);
    let letter = |i: u32| b"abcdefghijklmnopqrstuvwxyz"[(hash >> (5 * i + 7)) as usize % 26];
    let letters = [letter(0), letter(1), letter(2), letter(3)];
    let mut sorted = letters;
    sorted.sort_unstable();
    [&letters[..], b"=", &sorted[..], b"."].concat()
}

#[expect(clippy::print_stdout, reason = "an example")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = ModelConfig {
        family: Family::Llama,
        vocab_size: 128,
        hidden_size: 64,
        intermediate_size: 192,
        num_hidden_layers: 3,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 16,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::Default,
        max_position_embeddings: 16,
        tie_word_embeddings: true,
    };
    let threads = Threads::new(2);
    let mut state = InnerState::new(Parameters::initialize(&config, [0; 32]));
    let mut gradients = Gradients::zeros(&state.parameters);
    let mut workspace = Workspace::new();
    let adamw = AdamW {
        lr: 3e-3,
        ..AdamW::default()
    };
    let options = InnerOptions {
        adamw,
        warmup_steps: 20,
        first_step: 0,
        clip_norm: 1.0,
    };
    for step in 0..=600 {
        let rows = (0..64)
            .flat_map(|row| example(step * 64 + row))
            .map(u32::from);
        let batch = Batch::next_token(&rows.collect::<Vec<_>>(), 9);
        let loss = state.step(
            &[batch],
            &options,
            (&mut gradients, &mut workspace),
            &threads,
        )?;
        if step % 100 == 0 {
            println!("step {step}: {:.3} nats a token", loss.mean());
        }
    }
    let prompt = b"mean=".map(u32::from).to_vec();
    let requests = [GenerationRequest {
        prompt,
        seed: [0; 32],
    }];
    let eos = u32::from(b'.');
    let options = GenerationOptions {
        sampling: Sampling::Greedy,
        tokens_max: 5,
        eos,
    };
    let answer = generate(&state.parameters, &requests, &options, &threads)?.remove(0);
    let text: String = answer
        .tokens
        .iter()
        .filter_map(|&token| char::from_u32(token))
        .collect();
    println!(
        "mean={text}  state {}",
        blake3::Hash::from_bytes(state.digest())
    );
    Ok(())
}
