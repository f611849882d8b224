//! Compares the exact engine with candle on one GGUF file.
//!
//! Candle reads the file itself and keeps it quantised; the engine reads the directory that
//! `cairn model import` made of it. The two share no code: candle turns neighbouring values where
//! Hugging Face's layout turns values half a head apart, so the order of rows is tested too.
//!
//! ```text
//! cargo run --release -- FILE.gguf DIRECTORY
//! CANDLE_DEQUANTIZE_ALL=1 cargo run --release -- FILE.gguf DIRECTORY
//! ```
//!
//! Plain, candle rounds activations to 8 bits in every product, and logits agree as far as that
//! allows; with the variable it widens the weights as the import does, and they agree to f32
//! rounding. Standard output is one line a text and one for all. For SmolLM2-135M-Instruct, Q4_1,
//! candle 0.11.1:
//!
//! | candle's products | rows | relative L2 of the logits | same likeliest token |
//! |---|---|---|---|
//! | 8-bit activations | 226 | 3.7e-2 | 212 |
//! | widened weights | 195 | 4.3e-6 | 195 |

use anyhow::{Context as _, Result};
use candle_core::quantized::gguf_file::Content;
use candle_core::{Device, Tensor};
use candle_transformers::models::quantized_llama::ModelWeights;
use engine::tokenizer::Tokenizer;
use engine::{Parameters, Threads, prefill};
use std::path::Path;

const TEXTS: [&str; 3] = [
    "What is the capital of France?",
    "Write a haiku about a pile of stones.",
    "A train leaves at 9:40 and arrives at 12:05. How long does it take? Think step by step.",
];

/// Sums over all logits, and the worst of each.
#[derive(Default)]
struct Difference {
    squares: f64,
    reference: f64,
    largest: f64,
    largest_reference: f64,
    rows: usize,
    agreeing: usize,
}

impl Difference {
    fn add(&mut self, ours: &[f32], theirs: &[f32]) {
        for (&a, &b) in ours.iter().zip(theirs) {
            let (a, b) = (f64::from(a), f64::from(b));
            self.squares += (a - b) * (a - b);
            self.reference += b * b;
            self.largest = self.largest.max((a - b).abs());
            self.largest_reference = self.largest_reference.max(b.abs());
        }
        self.rows += 1;
        self.agreeing += usize::from(argmax(ours) == argmax(theirs));
    }

    fn line(&self) -> String {
        format!(
            "{} rows: relative L2 {:.2e}, largest {:.2e} of {:.1}, same likeliest token in {}",
            self.rows,
            (self.squares / self.reference).sqrt(),
            self.largest,
            self.largest_reference,
            self.agreeing
        )
    }
}

fn argmax(values: &[f32]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}

/// Candle's logits of every token, fed one at a time.
fn candle(model: &mut ModelWeights, tokens: &[u32]) -> Result<Vec<Vec<f32>>> {
    model.clear_kv_cache();
    let step = |(position, token): (usize, &u32)| {
        let input = Tensor::new(&[*token], &Device::Cpu)?.unsqueeze(0)?;
        Ok(model.forward(&input, position)?.squeeze(0)?.to_vec1()?)
    };
    tokens.iter().enumerate().map(step).collect()
}

/// A text with candle's own greedy answer.
fn with_answer(model: &mut ModelWeights, mut tokens: Vec<u32>, eos: u32) -> Result<Vec<u32>> {
    let mut logits = candle(model, &tokens)?.pop().context("no tokens")?;
    for _ in 0..32 {
        let token = u32::try_from(argmax(&logits))?;
        if token == eos {
            break;
        }
        let input = Tensor::new(&[token], &Device::Cpu)?.unsqueeze(0)?;
        logits = model.forward(&input, tokens.len())?.squeeze(0)?.to_vec1()?;
        tokens.push(token);
    }
    Ok(tokens)
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().context("which GGUF file?")?;
    let directory = arguments.next().context("which directory?")?;
    let mut file = std::fs::File::open(&path)?;
    let content = Content::read(&mut file)?;
    let mut theirs = ModelWeights::from_gguf(content, &mut file, &Device::Cpu)?;
    let ours = Parameters::from_directory(Path::new(&directory))?;
    let tokenizer = Tokenizer::from_directory(Path::new(&directory))?;
    let eos = tokenizer.eos().unwrap_or(u32::MAX);
    let mut all = Difference::default();
    for text in TEXTS {
        let prompt = tokenizer.chat(text).unwrap_or_else(|| text.to_owned());
        let tokens = with_answer(&mut theirs, tokenizer.encode(&prompt)?, eos)?;
        let reference = candle(&mut theirs, &tokens)?;
        let own = prefill(&ours, &[&tokens], &Threads::new(2))?.remove(0);
        let mut part = Difference::default();
        for (ours, theirs) in own.logits.chunks(ours.config().vocab_size).zip(&reference) {
            part.add(ours, theirs);
            all.add(ours, theirs);
        }
        println!("{:?}", tokenizer.decode(&tokens)?);
        println!("  {}", part.line());
    }
    println!("all {}", all.line());
    Ok(())
}
