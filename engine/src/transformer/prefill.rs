//! Teacher-forced passes: hidden states, logits and log-probabilities of given tokens.

use super::forward::{Activations, Keep, check, linear};
use super::parameters::Parameters;
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
    let d = model.config().hidden_size;
    let v = model.config().vocab_size;
    visit(model, sequences, threads, |pass| {
        let (mut hidden, mut logits) = (pass.hidden, &*pass.logits);
        for tokens in pass.sequences {
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
    visit(model, sequences, threads, |pass| {
        let mut rows = pass.logits.chunks_exact_mut(v);
        for tokens in pass.sequences {
            let targets = tokens.iter().skip(1).map(Some).chain([None]);
            let rows = rows.by_ref().take(tokens.len());
            let scored = targets.zip(rows).filter_map(|(target, row)| {
                let scaled = row[*target? as usize] / temperature;
                let normaliser = exponentials(threads.kernels(), row, temperature);
                Some(normaliser.log_probability(scaled))
            });
            results.push(scored.collect());
        }
    })?;
    Ok(results)
}

/// One pass over a run of whole sequences.
struct Pass<'a> {
    sequences: &'a [&'a [u32]],
    hidden: &'a [f32],
    logits: &'a mut [f32],
}

fn visit(
    model: &Parameters,
    sequences: &[&[u32]],
    threads: &Threads,
    mut visitor: impl FnMut(Pass<'_>),
) -> Result<(), InputError> {
    for (index, tokens) in sequences.iter().enumerate() {
        check(model.config(), index, tokens)?;
    }
    let mut activations = Activations::default();
    let mut logits = Vec::new();
    activations.prepare(model, threads);
    for run in runs(sequences, ROWS_MAX, |tokens| tokens.len()) {
        activations.run(model, run, Keep::None, threads);
        let Activations {
            hidden, weights, ..
        } = &mut activations;
        linear(threads, hidden, &weights.head, &mut logits);
        visitor(Pass {
            sequences: run,
            hidden,
            logits: &mut logits,
        });
    }
    Ok(())
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
