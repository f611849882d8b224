//! What compression costs: the same rounds of `DiLoCo` with uncompressed, 8-bit and sparse updates.
//!
//! Run with `cargo run --release -p miner --example compression -- SEEDS ROUNDS ROWS STEPS EPSILON
//! RATE`. Four workers take STEPS inner steps of ROWS × 64 bytes each round, on the shipped corpus,
//! with fresh moments, this ε, and a rate that falls from RATE to zero over the second half; the
//! table shows bits a value and the loss on the validation part in nats a byte, for each seed. All
//! see the same bytes in the same order.
#![expect(clippy::print_stdout, reason = "a table is what this program is for")]

use engine::trainer::{
    AdamW, Batch, CompressedUpdate, Gradients, InnerOptions, OuterOptimizer, OuterState, Workspace,
    cross_entropy, pseudo_gradient, sparse::Feedback,
};
use engine::{Family, ModelConfig, Parameters, RopeScaling, Threads};
use environment::{Corpus, Split};
use std::error::Error;

const WORKERS: usize = 4;
const ROW_TOKENS: usize = 64;
const VALIDATION_ROWS: usize = 256;

/// What all workers do.
#[derive(Clone, Copy)]
struct Work {
    rounds: u64,
    /// Of an inner batch.
    rows: u64,
    /// Inner steps a round.
    steps: u64,
    epsilon: f32,
    rate: f32,
}

/// How updates travel.
#[derive(Clone, Copy)]
enum Codec {
    Uncompressed,
    Dense,
    /// The decay of what was lost, and the outer optimiser's learning rate and momentum.
    Sparse(f32, f32, f32),
}

impl Codec {
    fn name(self) -> String {
        match self {
            Self::Uncompressed => "f32".into(),
            Self::Dense => "int8".into(),
            Self::Sparse(decay, lr, momentum) => {
                format!("sparse, decay {decay}, outer {lr} / {momentum}")
            }
        }
    }
    fn outer(self) -> OuterOptimizer {
        let (lr, momentum) = match self {
            Self::Uncompressed | Self::Dense => (1.0, 0.5),
            Self::Sparse(_, lr, momentum) => (lr, momentum),
        };
        OuterOptimizer::Nesterov { lr, momentum }
    }
    /// What arrives of an update, and its bytes.
    fn send(
        self,
        feedback: &mut Feedback,
        update: &[f32],
    ) -> Result<(Vec<f32>, usize), Box<dyn Error>> {
        Ok(match self {
            Self::Uncompressed => (update.to_vec(), 4 * update.len()),
            Self::Dense => {
                let sent = CompressedUpdate::compress(update)?;
                (sent.decompress(), sent.encode().len())
            }
            Self::Sparse(decay, ..) => {
                let sent = feedback.compress(update, decay)?;
                (sent.decompress(), sent.encode().len())
            }
        })
    }
}

fn config() -> ModelConfig {
    ModelConfig {
        family: Family::Llama,
        vocab_size: 256,
        hidden_size: 64,
        intermediate_size: 176,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        num_key_value_heads: 2,
        head_dim: 32,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::Default,
        max_position_embeddings: 128,
        tie_word_embeddings: true,
    }
}

fn batch([seed, round, worker, step]: [u64; 4], rows: u64) -> Batch {
    let rows = (0..rows).flat_map(|row| {
        let place = [seed, round, worker, step * rows + row];
        let mut slice = [0; 32];
        for (bytes, number) in slice.chunks_mut(8).zip(place) {
            bytes.copy_from_slice(&number.to_le_bytes());
        }
        Corpus::shakespeare().tokens(&slice, ROW_TOKENS + 1, Split::Train)
    });
    Batch::next_token(&rows.collect::<Vec<_>>(), ROW_TOKENS)
}

fn validation(model: &Parameters, threads: &Threads) -> Result<f64, Box<dyn Error>> {
    let rows = Corpus::shakespeare().validation_rows(ROW_TOKENS + 1);
    let tokens: Vec<u32> = rows.take(VALIDATION_ROWS).flatten().collect();
    let batch = Batch::next_token(&tokens, ROW_TOKENS);
    let (mut gradients, mut workspace) = (Gradients::zeros(model), Workspace::new());
    let loss = cross_entropy(model, &batch, &mut gradients, &mut workspace, threads)?;
    Ok(loss.mean())
}

/// Bits a value and round, and the validation loss after all rounds.
fn run(
    codec: Codec,
    seed: u64,
    work: Work,
    threads: &Threads,
) -> Result<(f64, f64), Box<dyn Error>> {
    let mut start = [0; 32];
    start[..8].copy_from_slice(&seed.to_le_bytes());
    let mut model = Parameters::initialize(&config(), start);
    let count = model.as_slice().len();
    let optimizer = codec.outer();
    let mut outer = OuterState::new(&optimizer, &config());
    let mut feedbacks = vec![Feedback::new(count); WORKERS];
    let mut bytes = 0;
    for round in 0..work.rounds {
        let options = InnerOptions {
            adamw: AdamW {
                lr: work.rate * left(round, work.rounds),
                eps: work.epsilon,
                ..AdamW::default()
            },
            warmup_steps: 40,
            first_step: round * work.steps,
            clip_norm: 1.0,
        };
        let mut mean = vec![0.0_f32; count];
        for (worker, feedback) in (0..).zip(&mut feedbacks) {
            let batches = (0..work.steps).map(|step| batch([seed, round, worker, step], work.rows));
            let update = pseudo_gradient(&model, batches, &options, threads)?.values;
            let (sent, length) = codec.send(feedback, &update)?;
            bytes += length;
            for (mean, sent) in mean.iter_mut().zip(sent) {
                *mean += sent / WORKERS as f32;
            }
        }
        outer.step(&optimizer, &mut model, &mean, threads)?;
    }
    let bits = 8.0 * bytes as f64 / (count as f64 * WORKERS as f64 * work.rounds as f64);
    Ok((bits, validation(&model, threads)?))
}

/// The share of the peak rate: all of it in the first half, then a line to zero.
fn left(round: u64, rounds: u64) -> f32 {
    let left = (rounds - round) as f32 / rounds as f32;
    (left / 0.5).min(1.0)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |or: &str| arguments.next().unwrap_or_else(|| or.to_owned());
    let seeds: u64 = next("3").parse()?;
    let work = Work {
        rounds: next("2000").parse()?,
        rows: next("8").parse()?,
        steps: next("1").parse()?,
        epsilon: next("0.01").parse()?,
        rate: next("0.01").parse()?,
    };
    let threads = Threads::new(1);
    println!("| updates | bits a value | validation loss of each seed | mean |\n|---|---|---|---|");
    let codecs = [
        Codec::Uncompressed,
        Codec::Dense,
        Codec::Sparse(1.0, 1.0, 0.5),
        Codec::Sparse(0.95, 1.0, 0.0),
    ];
    for codec in codecs {
        let runs = (1..=seeds).map(|seed| run(codec, seed, work, &threads));
        let runs = runs.collect::<Result<Vec<_>, _>>()?;
        let losses: Vec<String> = runs.iter().map(|(_, loss)| format!("{loss:.4}")).collect();
        let mean = runs.iter().map(|(_, loss)| loss).sum::<f64>() / runs.len() as f64;
        let bits = runs.first().map_or(0.0, |(bits, _)| *bits);
        let losses = losses.join(", ");
        println!("| {} | {bits:.3} | {losses} | {mean:.4} |", codec.name());
    }
    Ok(())
}
