//! Batched generation with key and value caches.
//!
//! Prompts run through the model at once, equal ones only once; then a step feeds one token of
//! every unfinished sequence. Each row's operations are the folds of a teacher-forced pass, so
//! hidden states and logits equal [`super::prefill`]'s bit for bit, in any batch. A sequence that
//! ends makes room for the next. Threads take whole sequences.

mod sequence;

use super::attention::cache::Cache;
use super::attention::heads::Heads;
use super::block::{self, Context, Keep};
use super::packed::PackedWeights;
use super::parameters::Parameters;
use super::pass::{Activations, check};
use super::rope::Table;
use super::rows::Rows;
use super::{attention, embedding, head, mlp};
use crate::InputError;
use crate::arithmetic::threads::Threads;
use crate::sampler::{Sampling, Scratch};
use sequence::Sequence;

pub use sequence::{Finish, Generation};

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

/// Sequences decoded together by one thread.
const BATCH_MAX: usize = 96;
/// Rows of prompts that run through the model together.
pub(crate) const PROMPT_ROWS_MAX: usize = 1024;

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
    let decoder = Decoder::new(model, requests, *options, threads);
    let share = requests.len().div_ceil(threads.count()).max(1);
    let mut tasks: Vec<_> = requests
        .chunks(share)
        .map(|part| (part, Vec::new()))
        .collect();
    threads.for_tasks(&mut tasks, |(part, results)| *results = decoder.run(part));
    Ok(tasks.into_iter().flat_map(|(_, results)| results).collect())
}

/// What all sequences read.
struct Decoder<'a> {
    model: &'a Parameters,
    weights: PackedWeights,
    rope: Table,
    threads: Threads,
    options: GenerationOptions,
}

/// Buffers of one thread.
#[derive(Default)]
struct Buffers {
    prompts: Activations,
    rows: Rows,
    residual: Vec<f32>,
    block: block::Activations,
    hidden: Vec<f32>,
    reciprocal: Vec<f32>,
    logits: Vec<f32>,
    scores: Vec<f32>,
    sampler: Scratch,
}

impl<'a> Decoder<'a> {
    fn new(
        model: &'a Parameters,
        requests: &[GenerationRequest],
        options: GenerationOptions,
        threads: &Threads,
    ) -> Self {
        let config = model.config();
        let longest = requests.iter().map(|request| request.prompt.len()).max();
        let positions = longest.unwrap_or(0).saturating_add(options.tokens_max);
        let mut rope = Table::default();
        rope.cover(config, positions.min(config.max_position_embeddings));
        Self {
            model,
            weights: PackedWeights::forward(model, threads),
            rope,
            threads: threads.single(),
            options,
        }
    }

    /// A sequence before its prompt.
    fn open<'r>(&self, request: &'r GenerationRequest) -> Sequence<'r> {
        let config = self.model.config();
        // A full context still predicts one token beyond its last position.
        let room = config.max_position_embeddings - request.prompt.len() + 1;
        Sequence::new(
            request,
            self.options.tokens_max.min(room),
            config.hidden_size,
        )
    }

    /// Continues a share of the requests.
    fn run(&self, requests: &[GenerationRequest]) -> Vec<Generation> {
        let mut sequences: Vec<_> = requests.iter().map(|request| self.open(request)).collect();
        let mut buffers = Buffers::default();
        let mut waiting = &mut sequences[..];
        let mut active: Vec<&mut Sequence<'_>> = Vec::with_capacity(BATCH_MAX);
        loop {
            active.retain(|sequence| sequence.finish.is_none());
            // A new prompt costs a pass of its own, so newcomers wait until several fit.
            if active.len() <= BATCH_MAX / 2 && !waiting.is_empty() {
                let count = (BATCH_MAX - active.len()).min(waiting.len());
                let (entering, rest) = std::mem::take(&mut waiting).split_at_mut(count);
                let entering = entering
                    .iter_mut()
                    .filter(|sequence| sequence.finish.is_none());
                let first = active.len();
                active.extend(entering);
                self.enter(&mut active[first..], &mut buffers);
                waiting = rest;
                continue;
            }
            if active.is_empty() {
                break;
            }
            self.step(&mut active, &mut buffers);
        }
        sequences.into_iter().map(Sequence::close).collect()
    }

    /// Runs the prompts of new sequences and draws their first tokens.
    fn enter(&self, entering: &mut [&mut Sequence<'_>], buffers: &mut Buffers) {
        let mut rest = entering;
        while !rest.is_empty() {
            let mut rows = 0;
            let fitting = (0..rest.len()).take_while(|&index| {
                let shared = index > 0 && rest[index - 1].prompt() == rest[index].prompt();
                rows += if shared {
                    0
                } else {
                    rest[index].prompt().len()
                };
                rows <= PROMPT_ROWS_MAX
            });
            let count = fitting.count().max(1);
            let (now, later) = rest.split_at_mut(count);
            self.prompts(now, buffers);
            rest = later;
        }
    }

    /// One pass over the prompts of `sequences`; neighbours with equal prompts share a segment.
    fn prompts(&self, sequences: &mut [&mut Sequence<'_>], buffers: &mut Buffers) {
        let Buffers {
            prompts,
            hidden,
            logits,
            sampler,
            ..
        } = buffers;
        prompts.rows.clear();
        let mut tokens: Vec<u32> = Vec::new();
        let mut segments = Vec::with_capacity(sequences.len());
        for (index, sequence) in sequences.iter().enumerate() {
            let prompt = sequence.prompt();
            let shared = index > 0 && sequences[index - 1].prompt() == prompt;
            let segment = match segments.last() {
                Some(&last) if shared => last,
                _ => {
                    tokens.extend(prompt);
                    prompts.rows.push(prompt.len(), None)
                }
            };
            segments.push(segment);
        }
        let heads = Heads::new(self.model.config());
        let kernels = self.threads.kernels();
        let layers = self.model.config().num_hidden_layers;
        for sequence in sequences.iter_mut() {
            let cache = || Cache::new(kernels, heads, sequence.capacity());
            let caches = std::iter::repeat_with(cache).take(layers).collect();
            sequence.open(caches);
        }
        let store = |index: usize, rows: &Rows, block: &block::Activations| {
            for (sequence, segment) in sequences.iter_mut().zip(&segments) {
                let span = rows.segments()[*segment].own;
                let qkv = &block.attention.qkv[span.first * heads.row()..];
                let rows = qkv.chunks_exact(heads.row()).take(span.length);
                for (position, row) in rows.enumerate() {
                    sequence.caches[index].append(kernels, heads, position, row);
                }
            }
        };
        let tokens = tokens.into_iter();
        let model = (self.model, &self.weights);
        prompts.run(model, tokens, Keep::None, &self.threads, store);
        let d = self.model.config().hidden_size;
        hidden.clear();
        for segment in prompts.rows.segments() {
            let last = segment.own.first + segment.own.length - 1;
            hidden.extend_from_slice(&prompts.hidden[last * d..][..d]);
        }
        head::logits(&self.threads, &self.weights, hidden, logits);
        let v = self.model.config().vocab_size;
        for (sequence, segment) in sequences.iter_mut().zip(segments) {
            let span = prompts.rows.segments()[segment].own;
            let states = &prompts.hidden[span.first * d..][..span.length * d];
            sequence.feed(states, &logits[segment * v..][..v], &self.options, sampler);
        }
    }

    /// Feeds one token of every sequence and draws the next.
    fn step(&self, active: &mut [&mut Sequence<'_>], buffers: &mut Buffers) {
        let Buffers {
            rows,
            residual,
            block,
            hidden,
            reciprocal,
            logits,
            scores,
            sampler,
            ..
        } = buffers;
        rows.clear();
        for sequence in active.iter() {
            rows.push_cached(sequence.position());
        }
        let context = Context {
            model: self.model,
            weights: &self.weights,
            rope: &self.rope,
            rows,
            threads: &self.threads,
        };
        let tokens = active.iter().map(|sequence| sequence.last_token());
        embedding::forward(self.model, tokens, residual);
        for index in 0..self.model.config().num_hidden_layers {
            let block::Activations { attention, mlp } = &mut *block;
            std::mem::swap(residual, &mut attention.input);
            attention::project(&context, index, attention);
            self.attend(index, active, attention, scores);
            attention::output(&context, index, attention, &mut mlp.input);
            mlp::forward(&context, index, mlp, residual);
        }
        head::hidden(&context, residual, hidden, reciprocal);
        head::logits(&self.threads, &self.weights, hidden, logits);
        let (d, v) = (
            self.model.config().hidden_size,
            self.model.config().vocab_size,
        );
        let states = hidden.chunks_exact(d).zip(logits.chunks_exact(v));
        for (sequence, (state, logits)) in active.iter_mut().zip(states) {
            sequence.feed(state, logits, &self.options, sampler);
        }
    }

    /// Stores every row's key and value and mixes over those of its sequence.
    fn attend(
        &self,
        index: usize,
        active: &mut [&mut Sequence<'_>],
        kept: &mut attention::Activations,
        scores: &mut Vec<f32>,
    ) {
        let heads = Heads::new(self.model.config());
        let kernels = self.threads.kernels();
        kept.attended.resize(active.len() * heads.out_row(), 0.0);
        let rows = kept.qkv.chunks_exact(heads.row());
        let outputs = kept.attended.chunks_exact_mut(heads.out_row());
        for ((sequence, row), out) in active.iter_mut().zip(rows).zip(outputs) {
            let position = sequence.position();
            let cache = &mut sequence.caches[index];
            cache.append(kernels, heads, position, row);
            cache.attend(kernels, heads, (position, row), out, scores);
        }
    }
}
