//! Trains a small model to count on: `cargo run --release -p engine --example train_tiny`.
#![expect(clippy::print_stdout, reason = "an example")]

use engine::trainer::{AdamW, Batch, InnerOptions};
use engine::{Device, ModelConfig, Parameters};

const CONFIG: &str = r#"{"model_type": "llama", "vocab_size": 64, "hidden_size": 64,
    "intermediate_size": 192, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 16, "tie_word_embeddings": true}"#;

/// Twelve tokens that go up by the same number, from 1 to 7, around 64.
fn count(seed: u32) -> impl Iterator<Item = u32> {
    (0..12).map(move |index| (seed / 7 + index * (1 + seed % 7)) % 64)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config: ModelConfig = serde_json::from_str(CONFIG)?;
    let model = Parameters::initialize(&config, [0; 32]);
    let device = Device::cpu(2);
    let mut training = device.train(&model);
    let options = InnerOptions {
        adamw: AdamW::default(),
        warmup_steps: 20,
        first_step: 0,
        clip_norm: 1.0,
    };
    for step in 0..=300 {
        let seeds = (0..32).map(|row: u32| (step * 32 + row).wrapping_mul(2_654_435_761) >> 9);
        let batch = Batch::next_token(&seeds.flat_map(count).collect::<Vec<_>>(), 11);
        let loss = training.step(vec![batch], &options)?;
        if step % 50 == 0 {
            println!("step {step}: {:.3} nats a token", loss.mean());
        }
    }
    let change = training.pseudo_gradient()?;
    let norm = change.iter().map(|d| d * d).sum::<f32>().sqrt();
    println!("the weights moved by {norm:.3}; every machine prints these numbers");
    Ok(())
}
