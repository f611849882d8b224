//! Activations: bell-shaped random ones, and real ones of a language model.

use crate::Result;
use engine::{
    Device, ModelConfig, Parameters, Threads, bf16_bits, prefill,
    tokenizer::Tokenizer,
    trainer::{AdamW, Batch, InnerOptions},
};
use environment::{Corpus, Split};
use protocol::proof::toploc::{Activations, Layout, build};
use std::path::Path;

/// Tokens in a chunk of real activations, as in a rollout.
const ROWS: usize = 32;

/// Chunks of equal shape, each `[rows, hidden]` bf16.
pub(crate) struct Chunks {
    name: &'static str,
    rows: usize,
    hidden: usize,
    values: Vec<u16>,
}

impl Chunks {
    /// Sums of twelve uniform bytes about their mean.
    pub(crate) fn bell_shaped(
        name: &'static str,
        count: usize,
        rows: usize,
        hidden: usize,
    ) -> Self {
        let mut reader = blake3::Hasher::new().update(name.as_bytes()).finalize_xof();
        let mut bytes = vec![0; count * rows * hidden * 12];
        reader.fill(&mut bytes);
        let value = |draw: &[u8; 12]| {
            let sum: i32 = draw.iter().map(|&byte| i32::from(byte)).sum();
            bf16_bits((sum - 1530) as f32 / 256.0)
        };
        let values = bytes.as_chunks::<12>().0.iter().map(value).collect();
        Self {
            name,
            rows,
            hidden,
            values,
        }
    }

    /// Last hidden states of a model on text: rows 32 to 63 of passages of 64 tokens.
    pub(crate) fn real(name: &'static str, count: usize, directory: Option<&Path>) -> Result<Self> {
        let (model, text) = match directory {
            Some(directory) => {
                let tokenizer = Tokenizer::from_directory(directory)?;
                let corpus = Corpus::shakespeare().part(Split::Train);
                let text = tokenizer.encode(&String::from_utf8_lossy(corpus))?;
                (Parameters::from_directory(directory)?, text)
            }
            None => (trained()?, bytes()),
        };
        let threads = Threads::new(2);
        let hidden = model.config().hidden_size;
        let mut values = Vec::with_capacity(count * ROWS * hidden);
        let passages: Vec<_> = text.chunks_exact(2 * ROWS).take(count).collect();
        if passages.len() < count {
            return Err(format!("text has {} passages; {count} are needed", passages.len()).into());
        }
        for passages in passages.chunks(16) {
            for pass in prefill(&model, passages, &threads)? {
                values.extend(
                    pass.hidden
                        .iter()
                        .skip(ROWS * hidden)
                        .map(|v| bf16_bits(*v)),
                );
            }
        }
        Ok(Self {
            name,
            rows: ROWS,
            hidden,
            values,
        })
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn hidden(&self) -> usize {
        self.hidden
    }

    pub(crate) fn values(&self) -> &[u16] {
        &self.values
    }

    pub(crate) fn count(&self) -> usize {
        self.values.len() / (self.rows * self.hidden)
    }

    pub(crate) fn chunk(&self, index: usize) -> &[u16] {
        let length = self.rows * self.hidden;
        &self.values[index * length..][..length]
    }

    pub(crate) fn activations(&self, index: usize) -> Result<Activations<'_>> {
        let layout = Layout {
            hidden: self.hidden,
            prefill_tokens: 0,
            chunk_tokens: 32,
            top_count: 128,
        };
        Ok(Activations::new(self.chunk(index), layout)?)
    }

    /// The honest proof of every chunk.
    pub(crate) fn proofs(&self) -> Result<Vec<Vec<u8>>> {
        let proof = |index| Ok(build(&self.activations(index)?)?.swap_remove(0).to_bytes());
        (0..self.count()).map(proof).collect()
    }
}

fn bytes() -> Vec<u32> {
    let corpus = Corpus::shakespeare().part(Split::Train);
    corpus.iter().map(|&byte| u32::from(byte)).collect()
}

/// A model of the devnet's size, trained on the corpus byte by byte.
fn trained() -> Result<Parameters> {
    let config: ModelConfig = serde_json::from_str(
        r#"{"model_type": "llama", "vocab_size": 256, "hidden_size": 128,
            "intermediate_size": 256, "num_hidden_layers": 3, "num_attention_heads": 8,
            "num_key_value_heads": 8, "max_position_embeddings": 128,
            "tie_word_embeddings": true}"#,
    )?;
    let mut model = Parameters::initialize(&config, [0; 32]);
    let options = InnerOptions {
        adamw: AdamW::default(),
        warmup_steps: 20,
        first_step: 0,
        clip_norm: 1.0,
    };
    let device = Device::cpu(2);
    let mut training = device.train(&model);
    let text = bytes();
    let mut loss = 0.0;
    for rows in text.chunks_exact(65 * 32).take(300) {
        loss = training
            .step(vec![Batch::next_token(rows, 64)], &options)?
            .mean();
    }
    eprintln!("trained a model on the corpus: {loss:.2} nats a byte");
    let change = training.pseudo_gradient()?;
    let weights = model.as_mut_slice().iter_mut();
    weights
        .zip(change)
        .for_each(|(weight, change)| *weight -= change);
    Ok(model)
}
