//! What is measured: the workers, each run in a process of its own.
//!
//! The model has 2.56 million parameters: hidden size 192, 6 layers, 6 query and 2 key heads of
//! 32, intermediate size 512, vocabulary 512, its own head. Training takes 32 × 128 tokens a step,
//! forward, backward and `AdamW`; generation draws 96 tokens for each of 64 prompts of 8; prefill
//! reads 64 × 96 tokens and gives hidden states and logits.

#![expect(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a worker answers by printing; counts become rates"
)]

use crate::limits;
use anyhow::{Context, Result, bail};
use engine::trainer::{AdamW, Batch, Gradients, InnerOptions, InnerState, Workspace};
use engine::{
    Family, GenerationOptions, GenerationRequest, ModelConfig, Parameters, RopeScaling, Sampling,
    Threads, generate, prefill,
};
use serde::{Deserialize, Serialize};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Sequences and tokens of a training step.
pub(crate) const TRAIN: (usize, usize) = (32, 128);
/// Sequences and tokens of generation and prefill.
pub(crate) const ROLLOUT: (usize, usize) = (64, 96);
/// Tokens of a prompt.
const PROMPT: usize = 8;
/// Rows, columns and depth of the single matrix product.
pub(crate) const PRODUCT: usize = 1024;

/// What a worker reports: units of its work a second, and its memory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// By the clock.
    #[serde(alias = "wall_tokens_per_second")]
    pub(crate) per_wall_second: f64,
    /// By the processor time of the whole process.
    #[serde(alias = "cpu_tokens_per_second")]
    pub(crate) per_cpu_second: f64,
    /// Largest resident memory.
    pub(crate) memory_kib: u64,
    /// Resident memory before the model was made.
    pub(crate) memory_before_kib: u64,
}

/// The model all sides run.
pub(crate) fn config() -> ModelConfig {
    ModelConfig {
        family: Family::Llama,
        vocab_size: 512,
        hidden_size: 192,
        intermediate_size: 512,
        num_hidden_layers: 6,
        num_attention_heads: 6,
        num_key_value_heads: 2,
        head_dim: 32,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::Default,
        max_position_embeddings: 512,
        tie_word_embeddings: false,
    }
}

/// Runs a worker in a process of its own and reads what it measured.
pub(crate) fn in_own_process(kind: &str, threads: usize, seconds: f64) -> Result<Measured> {
    let program = std::env::current_exe().context("the path of this program")?;
    let mut command = Command::new(program);
    command.args(["worker", kind, &threads.to_string(), &seconds.to_string()]);
    answer(&mut command)
}

/// The last line that a worker prints.
pub(crate) fn answer(command: &mut Command) -> Result<Measured> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("starting {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} ended with {}", output.status);
    }
    let text = String::from_utf8(output.stdout)?;
    let line = text.lines().last().unwrap_or_default();
    serde_json::from_str(line).with_context(|| format!("{command:?} printed {line:?}"))
}

/// The worker: measures one thing for some seconds and prints it.
pub(crate) fn work(kind: &str, threads: usize, seconds: f64) -> Result<()> {
    let before = memory_kib();
    let threads = Threads::new(threads);
    let (per_wall_second, per_cpu_second) = match kind {
        "train" => train(&threads, seconds)?,
        "prefill" => replay(&threads, seconds)?,
        "generate" => decode(&threads, seconds)?,
        "product" => product(&threads, seconds)?,
        "matrixmultiply" => matrixmultiply(seconds)?,
        "fma" => limits::fma(seconds)?,
        "bandwidth" => limits::bandwidth(seconds)?,
        _ => bail!("no worker measures {kind}"),
    };
    let measured = Measured {
        per_wall_second,
        per_cpu_second,
        memory_kib: memory_kib(),
        memory_before_kib: before,
    };
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}

/// Repeats `step` for some seconds after two steps to warm up; units a second of its fastest
/// repetition, by the clock and by processor time.
pub(crate) fn rate(
    units: f64,
    seconds: f64,
    mut step: impl FnMut() -> Result<()>,
) -> Result<(f64, f64)> {
    step()?;
    step()?;
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let (mut wall, mut cpu, mut rounds) = (f64::INFINITY, f64::INFINITY, 0);
    while rounds < 3 || Instant::now() < end {
        let (wall_start, cpu_start) = (Instant::now(), thread_seconds());
        step()?;
        wall = wall.min(wall_start.elapsed().as_secs_f64());
        cpu = cpu.min(thread_seconds() - cpu_start);
        rounds += 1;
    }
    Ok((units / wall, units / cpu))
}

/// Processor time of this thread, to the nanosecond: what `schedstat` says of it advances in ticks
/// of milliseconds, as long as a product. With one thread of ours it is that of the process.
fn thread_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Largest resident memory so far, where the system tells (Linux), else 0.
fn memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn token(index: usize) -> u32 {
    u32::try_from((index * 7919 + index / 13) % 512).unwrap_or(0)
}

fn model() -> Parameters {
    Parameters::initialize(&config(), [1; 32])
}

fn train(threads: &Threads, seconds: f64) -> Result<(f64, f64)> {
    let (rows, length) = TRAIN;
    let tokens: Vec<u32> = (0..rows * (length + 1)).map(token).collect();
    let batch = Batch::next_token(&tokens, length);
    let options = InnerOptions {
        adamw: AdamW::default(),
        warmup_steps: 1,
        first_step: 0,
        clip_norm: 1.0,
    };
    let model = model();
    let (mut gradients, mut workspace) = (Gradients::zeros(&model), Workspace::new());
    let mut state = InnerState::new(model);
    rate((rows * length) as f64, seconds, || {
        state.step(
            std::slice::from_ref(&batch),
            &options,
            (&mut gradients, &mut workspace),
            threads,
        )?;
        Ok(())
    })
}

fn replay(threads: &Threads, seconds: f64) -> Result<(f64, f64)> {
    let (rows, length) = ROLLOUT;
    let tokens: Vec<u32> = (0..rows * length).map(token).collect();
    let sequences: Vec<&[u32]> = tokens.chunks_exact(length).collect();
    let model = model();
    rate((rows * length) as f64, seconds, || {
        prefill(&model, &sequences, threads)?;
        Ok(())
    })
}

fn decode(threads: &Threads, seconds: f64) -> Result<(f64, f64)> {
    let (rows, length) = ROLLOUT;
    let requests: Vec<_> = (0..rows)
        .map(|row| GenerationRequest {
            prompt: (0..PROMPT).map(|i| token(row * PROMPT + i)).collect(),
            seed: [u8::try_from(row).unwrap_or(0); 32],
        })
        .collect();
    let options = GenerationOptions {
        sampling: Sampling::Gumbel { temperature: 1.0 },
        tokens_max: length,
        eos: u32::MAX,
    };
    let model = model();
    rate((rows * length) as f64, seconds, || {
        generate(&model, &requests, &options, threads)?;
        Ok(())
    })
}

/// Operands of the single product.
fn operands() -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let values = |seed: usize| {
        let index = 0..PRODUCT * PRODUCT;
        index
            .map(|i| (i * seed % 1013) as f32 / 1013.0 - 0.5)
            .collect()
    };
    (values(7919), values(104_729), vec![0.0; PRODUCT * PRODUCT])
}

fn product(threads: &Threads, seconds: f64) -> Result<(f64, f64)> {
    let (a, b, mut c) = operands();
    let mut space = engine::arithmetic::MatrixProduct::default();
    rate(2.0 * (PRODUCT as f64).powi(3), seconds, || {
        space.run(threads, (&a, &b, &mut c), (PRODUCT, PRODUCT, PRODUCT));
        Ok(())
    })
}

#[expect(unsafe_code, reason = "the crate's interface takes pointers")]
fn matrixmultiply(seconds: f64) -> Result<(f64, f64)> {
    let (a, b, mut c) = operands();
    let n = PRODUCT;
    rate(2.0 * (PRODUCT as f64).powi(3), seconds, || {
        // SAFETY: the three matrices have n × n values, n values a row.
        unsafe {
            matrixmultiply::sgemm(
                n,
                n,
                n,
                1.0,
                a.as_ptr(),
                n.cast_signed(),
                1,
                b.as_ptr(),
                n.cast_signed(),
                1,
                0.0,
                c.as_mut_ptr(),
                n.cast_signed(),
                1,
            );
        }
        Ok(())
    })
}
