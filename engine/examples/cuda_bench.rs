//! Measures exact matrix products, training and generation on a GPU.
//!
//! `cargo run --release -p engine --features cuda --example cuda_bench`
//!
//! The share of the peak counts 128 fused multiply-adds a cycle and multiprocessor, which is what
//! GPUs have from compute capability 8.6 on (and 9.0, H100).

#![expect(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a measuring program"
)]

use engine::cuda::{self, Driver, DriverError, Gpu, Launch};
use engine::trainer::{AdamW, Batch, InnerOptions, InnerState};
use engine::{
    Family, GenerationOptions, GenerationRequest, ModelConfig, Parameters, RopeScaling, Sampling,
};
use std::time::Instant;

const LANES: f64 = 128.0;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let gpu = match cuda::open(0) {
        Ok(gpu) => gpu,
        Err(reason) => {
            println!("nothing to measure: {reason}");
            return Ok(());
        }
    };
    let driver = gpu.driver();
    let peak = driver.processor_count() as f64 * LANES * 2.0 * driver.clock_hertz() as f64;
    println!(
        "{}, {} processors, {:.1} GB, at most {:.1} TFLOP/s",
        gpu.name(),
        driver.processor_count(),
        gpu.memory_bytes() as f64 * 1e-9,
        peak * 1e-12
    );
    for kernel in [
        "product_nt_large_wide",
        "product_nn_large_wide",
        "product_tn_large_wide",
    ] {
        let rate = product(driver, kernel, 4096)?;
        println!(
            "{kernel} 4096^3  {:>6.2} TFLOP/s, {:.1} % of the peak",
            rate * 1e-12,
            100.0 * rate / peak
        );
    }
    for (name, config) in [("130 M", small()), ("600 M", large())] {
        train(&gpu, name, &config)?;
        generate(&gpu, name, &config)?;
    }
    Ok(())
}

/// Operations a second of a square product, the best of several.
fn product(driver: &dyn Driver, kernel: &'static str, side: usize) -> Result<f64, DriverError> {
    let bytes = side * side * 4;
    let arrays = [
        driver.allocate(bytes)?,
        driver.allocate(bytes)?,
        driver.allocate(bytes)?,
    ];
    let values: Vec<u8> = (0..side * side)
        .flat_map(|index| ((index % 977) as f32 * 1e-3 - 0.4).to_le_bytes())
        .collect();
    for array in arrays {
        driver.upload(array, &values)?;
    }
    let n = side as u64;
    let [a, b, c] = arrays;
    let arguments = [a, b, c, n, n, n, n, n, n, 0];
    let blocks = u32::try_from(side / 128).unwrap_or(1);
    let launch = Launch {
        kernel,
        grid: [blocks, blocks, 1],
        threads: 256,
        arguments: &arguments,
    };
    let mut best = f64::INFINITY;
    for _ in 0..10 {
        driver.synchronize()?;
        let start = Instant::now();
        driver.launch(launch)?;
        driver.synchronize()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    arrays.into_iter().for_each(|array| driver.free(array));
    Ok(2.0 * (side as f64).powi(3) / best)
}

fn small() -> ModelConfig {
    ModelConfig {
        family: Family::Llama,
        vocab_size: 32_768,
        hidden_size: 768,
        intermediate_size: 2048,
        num_hidden_layers: 14,
        num_attention_heads: 12,
        num_key_value_heads: 4,
        head_dim: 64,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::Default,
        max_position_embeddings: 2048,
        tie_word_embeddings: false,
    }
}

/// The shape of Qwen3-0.6B.
fn large() -> ModelConfig {
    ModelConfig {
        family: Family::Qwen3,
        vocab_size: 151_936,
        hidden_size: 1024,
        intermediate_size: 3072,
        num_hidden_layers: 28,
        num_attention_heads: 16,
        num_key_value_heads: 8,
        head_dim: 128,
        rms_norm_eps: 1e-6,
        rope_theta: 1e6,
        tie_word_embeddings: true,
        ..small()
    }
}

fn tokens(config: &ModelConfig, count: usize) -> Vec<u32> {
    let token = |index: usize| u32::try_from((index * 7919 + index / 13) % config.vocab_size);
    (0..count).filter_map(|index| token(index).ok()).collect()
}

fn train(gpu: &Gpu, name: &str, config: &ModelConfig) -> Result<(), cuda::Error> {
    let (rows, length) = (16, 512);
    let batch = [Batch::next_token(
        &tokens(config, rows * (length + 1)),
        length,
    )];
    let options = InnerOptions {
        adamw: AdamW::default(),
        warmup_steps: 1,
        first_step: 0,
        clip_norm: 1.0,
    };
    let state = InnerState::new(Parameters::initialize(config, [1; 32]));
    let count = state.parameters.as_slice().len();
    let mut run = gpu.inner(&state)?;
    let (mut step, mut digest) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..4 {
        let start = Instant::now();
        run.step(&batch, &options)?;
        gpu.driver().synchronize()?;
        step = step.min(start.elapsed().as_secs_f64());
        let start = Instant::now();
        run.digest()?;
        digest = digest.min(start.elapsed().as_secs_f64());
    }
    println!(
        "{name} ({count} parameters): train {:.0} tokens/s, digest of the state {:.0} ms",
        (rows * length) as f64 / step,
        digest * 1e3
    );
    Ok(())
}

fn generate(gpu: &Gpu, name: &str, config: &ModelConfig) -> Result<(), cuda::Error> {
    let mut resident = gpu.load(&Parameters::initialize(config, [1; 32]))?;
    let request = |index: u8| GenerationRequest {
        prompt: tokens(config, 64 + usize::from(index)),
        seed: [index; 32],
    };
    let requests: Vec<_> = (0..128).map(request).collect();
    let options = GenerationOptions {
        sampling: Sampling::Gumbel { temperature: 1.0 },
        tokens_max: 128,
        eos: u32::MAX,
    };
    let start = Instant::now();
    let generations = resident.generate(&requests, &options)?;
    let seconds = start.elapsed().as_secs_f64();
    let drawn: usize = generations.iter().map(|one| one.tokens.len()).sum();
    println!("{name}: generate {:.0} tokens/s", drawn as f64 / seconds);
    Ok(())
}
