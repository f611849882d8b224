//! Teacher-forced passes: hidden states, logits and log-probabilities of given tokens.
//!
//! [`prefill`] runs whole sequences. [`replay`] is what an auditor does: it runs the responses of
//! groups, computes each prompt once for all responses that follow it, and computes logits only
//! where a token was drawn. Row for row the bits are the same.

use super::block::Keep;
use super::config::ModelConfig;
use super::head;
use super::packed::PackedWeights;
use super::parameters::Parameters;
use super::pass::{Activations, check, check_length, check_tokens};
use crate::InputError;
use crate::arithmetic::elementwise::exponentials;
use crate::arithmetic::threads::Threads;

/// What one sequence gives in one pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Prefill {
    /// After the final norm, `[tokens, hidden_size]` f32 row-major.
    pub hidden: Vec<f32>,
    /// `[tokens, vocab_size]` f32 row-major.
    pub logits: Vec<f32>,
}

/// A response to be replayed. Neighbours in a list that have equal prompts share its computation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Continuation<'a> {
    /// The tokens it started from; at least one.
    pub prompt: &'a [u32],
    /// The tokens that were drawn; the last is not fed, because nothing was drawn after it.
    pub response: &'a [u32],
}

/// What replaying one response gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// After the final norm, `[prompt + response - 1, hidden_size]` f32 row-major (`[prompt, …]`
    /// for an empty response): every position that was fed.
    pub hidden: Vec<f32>,
    /// `[response, vocab_size]` f32 row-major: row `i` is what response token `i` was drawn from.
    pub logits: Vec<f32>,
}

/// Rows in one pass over several sequences; more would only grow the buffers.
const ROWS_MAX: usize = 1024;

/// Hidden states and logits of every token of every sequence.
///
/// # Errors
/// A sequence that is empty, too long, or names a token outside the vocabulary.
pub fn prefill(
    model: &Parameters,
    sequences: &[&[u32]],
    threads: &Threads,
) -> Result<Vec<Prefill>, InputError> {
    let mut results = Vec::with_capacity(sequences.len());
    let (d, v) = (model.config().hidden_size, model.config().vocab_size);
    visit(model, sequences, threads, |run, hidden, logits| {
        let (mut hidden, mut logits) = (hidden, &*logits);
        for tokens in run {
            let (own, rest) = hidden.split_at(tokens.len() * d);
            let (own_logits, rest_logits) = logits.split_at(tokens.len() * v);
            results.push(Prefill {
                hidden: own.to_vec(),
                logits: own_logits.to_vec(),
            });
            (hidden, logits) = (rest, rest_logits);
        }
    })?;
    Ok(results)
}

/// `log p(tokens[i + 1] | tokens[..=i])` at `temperature`, for every position but the last.
///
/// The logarithm of the softmax of `logit / temperature`; the same numbers, bit for bit, that
/// the trainer computes, so a policy's ratio to itself is exactly 1.
///
/// # Errors
/// A sequence that is empty, too long, or names a token outside the vocabulary.
pub fn logprobs(
    model: &Parameters,
    sequences: &[&[u32]],
    temperature: f32,
    threads: &Threads,
) -> Result<Vec<Vec<f32>>, InputError> {
    let v = model.config().vocab_size;
    let mut results = Vec::with_capacity(sequences.len());
    visit(model, sequences, threads, |run, _, logits| {
        let mut rows = logits.chunks_exact_mut(v);
        for tokens in run {
            let rows = rows.by_ref().take(tokens.len());
            let scored = tokens.iter().skip(1).map(Some).chain([None]).zip(rows);
            let scored = scored.filter_map(|(target, row)| {
                Some(log_probability(threads, row, *target?, temperature))
            });
            results.push(scored.collect());
        }
    })?;
    Ok(results)
}

/// The log-probability of `token`; uses up the row of logits.
fn log_probability(threads: &Threads, row: &mut [f32], token: u32, temperature: f32) -> f32 {
    let scaled = row[token as usize] / temperature;
    exponentials(threads.kernels(), row, temperature).log_probability(scaled)
}

/// Calls `visitor(sequences, hidden, logits)` for runs of whole sequences.
fn visit(
    model: &Parameters,
    sequences: &[&[u32]],
    threads: &Threads,
    mut visitor: impl FnMut(&[&[u32]], &[f32], &mut [f32]),
) -> Result<(), InputError> {
    for (index, tokens) in sequences.iter().enumerate() {
        check(model.config(), index, tokens)?;
    }
    let weights = PackedWeights::forward(model, threads);
    let mut activations = Activations::default();
    let mut logits = Vec::new();
    for run in runs(sequences, ROWS_MAX, |tokens| tokens.len()) {
        activations.sequences(run);
        let tokens = run.iter().flat_map(|tokens| tokens.iter().copied());
        activations.run((model, &weights), tokens, Keep::None, threads, |_, _, _| {});
        head::logits(threads, &weights, &activations.hidden, &mut logits);
        visitor(run, &activations.hidden, &mut logits);
    }
    Ok(())
}

/// Hidden states of every token fed, and the logits every response token was drawn from.
///
/// # Errors
/// A prompt that is empty, a sequence that is too long or names a token outside the vocabulary.
pub fn replay(
    model: &Parameters,
    continuations: &[Continuation<'_>],
    threads: &Threads,
) -> Result<Vec<Replay>, InputError> {
    let v = model.config().vocab_size;
    let mut results = Vec::with_capacity(continuations.len());
    let d = model.config().hidden_size;
    visit_continuations(model, continuations, threads, |run, pass, logits| {
        let mut rows = &*logits;
        for (item, place) in run.iter().zip(&pass.places) {
            let (own, rest) = rows.split_at(item.response.len() * v);
            results.push(Replay {
                hidden: pass.hidden(*place, d),
                logits: own.to_vec(),
            });
            rows = rest;
        }
    })?;
    Ok(results)
}

/// The log-probability of every token of every response, as [`logprobs`].
///
/// # Errors
/// A prompt that is empty, a sequence that is too long or names a token outside the vocabulary.
pub fn response_logprobs(
    model: &Parameters,
    continuations: &[Continuation<'_>],
    temperature: f32,
    threads: &Threads,
) -> Result<Vec<Vec<f32>>, InputError> {
    let v = model.config().vocab_size;
    let mut results = Vec::with_capacity(continuations.len());
    visit_continuations(model, continuations, threads, |run, _, logits| {
        let mut rows = logits.chunks_exact_mut(v);
        for item in run {
            let tokens = item.response.iter().zip(rows.by_ref());
            let scored =
                tokens.map(|(&token, row)| log_probability(threads, row, token, temperature));
            results.push(scored.collect());
        }
    })?;
    Ok(results)
}

impl Continuation<'_> {
    /// Response tokens that are fed.
    pub(crate) fn fed(&self) -> &[u32] {
        self.response.split_last().map_or(&[], |(_, fed)| fed)
    }

    pub(crate) fn check(&self, config: &ModelConfig, index: usize) -> Result<(), InputError> {
        check(config, index, self.prompt)?;
        check_length(config, index, self.prompt.len() + self.fed().len())?;
        check_tokens(config, index, self.response)
    }
}

/// Calls `visitor(continuations, pass, logits)` for runs of whole continuations.
fn visit_continuations(
    model: &Parameters,
    continuations: &[Continuation<'_>],
    threads: &Threads,
    mut visitor: impl FnMut(&[Continuation<'_>], &SharedPass, &mut [f32]),
) -> Result<(), InputError> {
    for (index, item) in continuations.iter().enumerate() {
        item.check(model.config(), index)?;
    }
    let weights = PackedWeights::forward(model, threads);
    let mut pass = SharedPass::default();
    let mut logits = Vec::new();
    let mut rest = continuations;
    while !rest.is_empty() {
        let mut rows = 0;
        let fitting = (0..rest.len()).take_while(|&index| {
            let item = &rest[index];
            let shared = index > 0 && rest[index - 1].prompt == item.prompt;
            rows += item.fed().len() + if shared { 0 } else { item.prompt.len() };
            rows <= ROWS_MAX
        });
        let count = fitting.count().max(1);
        let (run, after) = rest.split_at(count);
        pass.run((model, &weights), run, threads);
        head::logits(threads, &weights, &pass.drawn, &mut logits);
        visitor(run, &pass, &mut logits);
        rest = after;
    }
    Ok(())
}

/// A pass whose segments share prompts.
#[derive(Default)]
struct SharedPass {
    activations: Activations,
    tokens: Vec<u32>,
    /// The segments of each continuation's prompt and response.
    places: Vec<(usize, usize)>,
    /// Hidden states that tokens were drawn from, `[drawn tokens, hidden_size]`.
    drawn: Vec<f32>,
}

impl SharedPass {
    /// Runs `items`.
    fn run(
        &mut self,
        (model, weights): (&Parameters, &PackedWeights),
        items: &[Continuation<'_>],
        threads: &Threads,
    ) {
        let Self {
            activations,
            tokens,
            places,
            drawn,
        } = self;
        activations.rows.clear();
        tokens.clear();
        places.clear();
        let mut shared: Option<(usize, &[u32])> = None;
        for item in items {
            let prompt = match shared {
                Some((segment, prompt)) if prompt == item.prompt => segment,
                _ => {
                    tokens.extend(item.prompt);
                    activations.rows.push(item.prompt.len(), None)
                }
            };
            shared = Some((prompt, item.prompt));
            tokens.extend(item.fed());
            places.push((
                prompt,
                activations.rows.push(item.fed().len(), Some(prompt)),
            ));
        }
        let fed = tokens.iter().copied();
        activations.run((model, weights), fed, Keep::None, threads, |_, _, _| {});
        let d = model.config().hidden_size;
        let segments = activations.rows.segments();
        drawn.clear();
        for (item, (prompt, own)) in items.iter().zip(&*places) {
            if item.response.is_empty() {
                continue;
            }
            let (prompt, own) = (segments[*prompt].own, segments[*own].own);
            let last = prompt.first + prompt.length - 1;
            drawn.extend_from_slice(&activations.hidden[last * d..][..d]);
            drawn.extend_from_slice(&activations.hidden[own.first * d..][..own.length * d]);
        }
    }

    /// Hidden states of a prompt and a response.
    fn hidden(&self, (prompt, own): (usize, usize), d: usize) -> Vec<f32> {
        let segments = self.activations.rows.segments();
        let rows = [segments[prompt].own, segments[own].own];
        let rows = rows.map(|span| &self.activations.hidden[span.first * d..][..span.length * d]);
        rows.concat()
    }
}

/// Cuts `items` into runs of at most `limit` rows, or of one item that is longer.
pub(crate) fn runs<T>(
    items: &[T],
    limit: usize,
    rows: impl Fn(&T) -> usize,
) -> impl Iterator<Item = &[T]> {
    let mut rest = items;
    std::iter::from_fn(move || {
        let mut total = 0;
        let fitting = rest.iter().take_while(|item| {
            total += rows(item);
            total <= limit
        });
        let count = fitting.count().max(1).min(rest.len());
        let (run, after) = rest.split_at(count);
        rest = after;
        (!run.is_empty()).then_some(run)
    })
}
