//! Batched generation with key and value caches.
//!
//! A step feeds one token of every unfinished sequence. Each row's operations are the folds of a
//! teacher-forced pass, so hidden states and logits equal [`super::prefill`]'s bit for bit, in
//! any batch. Threads take whole sequences.

mod cache;

use super::attention::Heads;
use super::config::ModelConfig;
use super::forward::{check, embed, linear, norm};
use super::packed::{PackedBlock, PackedWeights, Product};
use super::parameters::Parameters;
use super::rope::{Direction, Table};
use crate::InputError;
use crate::arithmetic::cpu::Kernels;
use crate::arithmetic::elementwise::{add, swiglu};
use crate::arithmetic::threads::Threads;
use crate::sampler::{Sampling, Scratch};
use cache::Cache;

/// One sequence to continue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenerationRequest {
    /// The tokens to start from; at least one.
    pub prompt: Vec<u32>,
    /// Seeds every token of this sequence.
    pub seed: [u8; 32],
}

/// How sequences are continued.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GenerationOptions {
    /// How a token is chosen.
    pub sampling: Sampling,
    /// Most tokens generated for one sequence.
    pub tokens_max: usize,
    /// The token that ends a sequence.
    pub eos: u32,
}

/// Why a sequence ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The model drew the end-of-sequence token, which is the last of the tokens.
    EndOfSequence,
    /// `tokens_max` tokens were drawn, or the model's context is full.
    Cap,
}

/// One continued sequence.
#[derive(Clone, Debug, PartialEq)]
pub struct Generation {
    /// The tokens drawn, without the prompt.
    pub tokens: Vec<u32>,
    /// Why it ended.
    pub finish: Finish,
    /// After the final norm, `[prompt + tokens - 1, hidden_size]` f32 row-major: every position
    /// that was fed. The last token drawn is not fed.
    pub hidden: Vec<f32>,
}

/// Sequences decoded together by one thread.
const BATCH_MAX: usize = 96;

/// Continues every request.
///
/// # Errors
/// A prompt that is empty, too long, or names a token outside the vocabulary.
pub fn generate(
    model: &Parameters,
    requests: &[GenerationRequest],
    options: &GenerationOptions,
    threads: &Threads,
) -> Result<Vec<Generation>, InputError> {
    for (index, request) in requests.iter().enumerate() {
        check(model.config(), index, &request.prompt)?;
    }
    let decoder = Decoder::new(model, requests, options, threads);
    let share = requests.len().div_ceil(threads.count()).clamp(1, BATCH_MAX);
    let mut tasks: Vec<_> = requests
        .chunks(share)
        .map(|part| (part, Vec::new()))
        .collect();
    threads.for_tasks(&mut tasks, |(part, results)| {
        *results = decoder.run(part, options);
    });
    Ok(tasks.into_iter().flat_map(|(_, results)| results).collect())
}

struct Decoder<'a> {
    model: &'a Parameters,
    weights: PackedWeights,
    rope: Table,
    single: Threads,
    kernels: Kernels,
    heads: Heads,
}

/// One sequence on its way.
struct Sequence<'a> {
    request: &'a GenerationRequest,
    tokens: Vec<u32>,
    hidden: Vec<f32>,
    caches: Vec<Cache>,
    limit: usize,
    finish: Option<Finish>,
}

impl Sequence<'_> {
    /// Positions fed so far.
    fn position(&self, width: usize) -> usize {
        self.hidden.len() / width
    }

    fn token(&self, position: usize) -> u32 {
        let prompt = &self.request.prompt;
        match prompt.get(position) {
            Some(&token) => token,
            None => self.tokens[position - prompt.len()],
        }
    }

    fn take(&mut self, token: u32, eos: u32) {
        self.tokens.push(token);
        if token == eos {
            self.finish = Some(Finish::EndOfSequence);
        } else if self.tokens.len() >= self.limit {
            self.finish = Some(Finish::Cap);
        }
    }
}

/// Buffers of one batch, `[rows, …]`.
#[derive(Default)]
struct Buffers {
    residual: Vec<f32>,
    normed: Vec<f32>,
    reciprocal: Vec<f32>,
    qkv: Vec<f32>,
    attended: Vec<f32>,
    gate_up: Vec<f32>,
    gated: Vec<f32>,
    branch: Vec<f32>,
    logits: Vec<f32>,
    scores: Vec<f32>,
    sampler: Scratch,
}

impl<'a> Decoder<'a> {
    fn new(
        model: &'a Parameters,
        requests: &[GenerationRequest],
        options: &GenerationOptions,
        threads: &Threads,
    ) -> Self {
        let config = model.config();
        let kernels = threads.kernels();
        let mut weights = PackedWeights::default();
        weights.fill(model, Product::Forward, kernels);
        let longest = requests
            .iter()
            .map(|request| request.prompt.len())
            .max()
            .unwrap_or(0);
        let mut rope = Table::default();
        rope.cover(
            config,
            longest
                .saturating_add(options.tokens_max)
                .min(config.max_position_embeddings),
        );
        Self {
            model,
            weights,
            rope,
            single: threads.single(),
            kernels,
            heads: Heads::new(config),
        }
    }

    fn run(&self, requests: &[GenerationRequest], options: &GenerationOptions) -> Vec<Generation> {
        let mut sequences: Vec<_> = requests
            .iter()
            .map(|request| self.open(request, options))
            .collect();
        let mut buffers = Buffers::default();
        loop {
            let mut active: Vec<_> = sequences
                .iter_mut()
                .filter(|sequence| sequence.finish.is_none())
                .collect();
            if active.is_empty() {
                break;
            }
            self.step(&mut active, options, &mut buffers);
        }
        let close = |sequence: Sequence<'_>| Generation {
            tokens: sequence.tokens,
            finish: sequence.finish.unwrap_or(Finish::Cap),
            hidden: sequence.hidden,
        };
        sequences.into_iter().map(close).collect()
    }

    fn open<'r>(
        &self,
        request: &'r GenerationRequest,
        options: &GenerationOptions,
    ) -> Sequence<'r> {
        let config = self.model.config();
        // A full context still predicts one token beyond its last position.
        let room = config.max_position_embeddings - request.prompt.len() + 1;
        let limit = options.tokens_max.min(room);
        let capacity = request.prompt.len() + limit.max(1) - 1;
        let caches = (0..config.num_hidden_layers)
            .map(|_| Cache::new(self.kernels, self.heads, capacity))
            .collect();
        Sequence {
            request,
            tokens: Vec::new(),
            hidden: Vec::with_capacity(capacity * config.hidden_size),
            caches,
            limit,
            finish: (limit == 0).then_some(Finish::Cap),
        }
    }

    /// Feeds one token of every sequence, and draws the next where the prompt has ended.
    fn step(
        &self,
        active: &mut [&mut Sequence<'_>],
        options: &GenerationOptions,
        buffers: &mut Buffers,
    ) {
        let config = self.model.config();
        let d = config.hidden_size;
        let fed = active
            .iter()
            .map(|sequence| sequence.token(sequence.position(d)));
        embed(self.model, fed, &mut buffers.residual);
        for (index, block) in self.weights.blocks.iter().enumerate() {
            self.attend(active, index, block, buffers);
            self.gate(index, block, buffers);
        }
        let gain = (
            self.model.get(&self.model.layout().norm()),
            config.rms_norm_eps,
        );
        let Buffers {
            residual,
            normed,
            reciprocal,
            ..
        } = buffers;
        norm(self.kernels, residual, gain, normed, reciprocal);
        let prompt_ended =
            |sequence: &Sequence<'_>| sequence.position(d) + 1 >= sequence.request.prompt.len();
        if active.iter().any(|sequence| prompt_ended(sequence)) {
            linear(
                &self.single,
                &buffers.normed,
                &self.weights.head,
                &mut buffers.logits,
            );
        }
        let v = config.vocab_size;
        for (row, sequence) in active.iter_mut().enumerate() {
            let draws = prompt_ended(sequence);
            sequence
                .hidden
                .extend_from_slice(&buffers.normed[row * d..][..d]);
            if draws {
                let logits = &buffers.logits[row * v..][..v];
                let position = sequence.position(d) as u64;
                let seed = &sequence.request.seed;
                let token = buffers
                    .sampler
                    .sample(logits, seed, position, options.sampling);
                sequence.take(token, options.eos);
            }
        }
    }

    fn attend(
        &self,
        active: &mut [&mut Sequence<'_>],
        index: usize,
        block: &PackedBlock,
        buffers: &mut Buffers,
    ) {
        let config = self.model.config();
        let gain = (
            self.model.get(&self.model.layout().block(index).norm1),
            config.rms_norm_eps,
        );
        let Buffers {
            residual,
            normed,
            reciprocal,
            qkv,
            attended,
            branch,
            scores,
            ..
        } = buffers;
        norm(self.kernels, residual, gain, normed, reciprocal);
        linear(&self.single, normed, &block.qkv, qkv);
        attended.resize(active.len() * self.heads.out_row(), 0.0);
        let rows = qkv.chunks_exact_mut(self.heads.row());
        let outputs = attended.chunks_exact_mut(self.heads.out_row());
        for ((sequence, row), out) in active.iter_mut().zip(rows).zip(outputs) {
            let position = sequence.position(config.hidden_size);
            let rotated = config.query_width() + config.key_width();
            self.rope.apply(
                self.kernels,
                &mut row[..rotated],
                position,
                Direction::Forward,
            );
            let cache = &mut sequence.caches[index];
            cache.append(self.kernels, self.heads, position, row);
            cache.attend(self.kernels, self.heads, (position, row), out, scores);
        }
        linear(&self.single, attended, &block.out, branch);
        add(self.kernels, residual, branch);
    }

    fn gate(&self, index: usize, block: &PackedBlock, buffers: &mut Buffers) {
        let config: &ModelConfig = self.model.config();
        let gain = (
            self.model.get(&self.model.layout().block(index).norm2),
            config.rms_norm_eps,
        );
        let Buffers {
            residual,
            normed,
            reciprocal,
            gate_up,
            gated,
            branch,
            ..
        } = buffers;
        norm(self.kernels, residual, gain, normed, reciprocal);
        linear(&self.single, normed, &block.gate_up, gate_up);
        gated.resize(gate_up.len() / 2, 0.0);
        swiglu(self.kernels, gate_up, gated, config.intermediate_size);
        linear(&self.single, gated, &block.down, branch);
        add(self.kernels, residual, branch);
    }
}
