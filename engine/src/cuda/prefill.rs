//! Teacher-forced passes on the device.
//!
//! Logits are as wide as the vocabulary, so they are computed only for the rows that are asked
//! for, and log-probabilities come back instead of them where those are enough.

use super::Error;
use super::driver::DriverError;
use super::layers::gather;
use super::memory::{Array, Device, word};
use super::model::Model;
use super::pass::{Pass, ROWS_MAX, Survive, logits, passes};
use super::rows::Rows;
use super::scorer::{NO_TARGET, Scorer, logit_rows};
use crate::transformer::pass::check;
use crate::{Continuation, Prefill, Replay};
use std::ops::Range;

/// Calls `visitor(sequences of the run, hidden states of its rows)` for runs of checked sequences.
fn visit(
    model: &mut Model,
    sequences: &[&[u32]],
    mut visitor: impl FnMut(&Model, Range<usize>, &Array<f32>) -> Result<(), DriverError>,
) -> Result<(), DriverError> {
    let mut pass = Pass::new(&model.device)?;
    let mut first = 0;
    for run in passes(model, sequences, ROWS_MAX) {
        let rows = Rows::new(&model.device, run)?;
        pass.run(model, &rows, Survive::None, &mut |_, _, _| Ok(()))?;
        visitor(model, first..first + run.len(), &pass.hidden)?;
        first += run.len();
    }
    Ok(())
}

/// Calls `visitor(scorer with logits, its rows)` for all rows of `hidden`, some at a time.
fn visit_logits(
    model: &Model,
    hidden: &Array<f32>,
    scorer: &mut Scorer,
    mut visitor: impl FnMut(&mut Scorer, Range<usize>) -> Result<(), DriverError>,
) -> Result<(), DriverError> {
    let (d, step) = (model.config.hidden_size, logit_rows(model));
    let rows = hidden.len() / d;
    for first in (0..rows).step_by(step) {
        let last = rows.min(first + step);
        let part = hidden.part(first * d..last * d);
        logits(model, part, &mut scorer.logits)?;
        visitor(scorer, first..last)?;
    }
    Ok(())
}

/// The logits of all rows of `hidden`, on the host.
fn read_logits(
    model: &Model,
    hidden: &Array<f32>,
    scorer: &mut Scorer,
) -> Result<Vec<f32>, DriverError> {
    let v = model.config.vocab_size;
    let mut values = vec![0.0; hidden.len() / model.config.hidden_size * v];
    visit_logits(model, hidden, scorer, |scorer, rows| {
        let to = &mut values[rows.start * v..rows.end * v];
        scorer.logits.read_into(to)
    })?;
    Ok(values)
}

/// The log-probability of a target of every row of `hidden`.
fn score(
    model: &Model,
    hidden: &Array<f32>,
    (targets, temperature): (&[u32], f32),
    scorer: &mut Scorer,
) -> Result<Vec<f32>, DriverError> {
    let mut found = Vec::with_capacity(targets.len());
    visit_logits(model, hidden, scorer, |scorer, rows| {
        found.extend(scorer.score(&targets[rows], temperature)?);
        Ok(())
    })?;
    Ok(found)
}

/// As [`prefill`](crate::prefill).
pub(crate) fn prefill(model: &mut Model, sequences: &[&[u32]]) -> Result<Vec<Prefill>, Error> {
    check_all(model, sequences)?;
    let (d, v) = (model.config.hidden_size, model.config.vocab_size);
    let mut results = Vec::with_capacity(sequences.len());
    let mut scorer = Scorer::new(&model.device)?;
    visit(model, sequences, |model, run, hidden| {
        let (states, scores) = (hidden.read()?, read_logits(model, hidden, &mut scorer)?);
        let (mut states, mut scores) = (&states[..], &scores[..]);
        for tokens in &sequences[run] {
            results.push(Prefill {
                hidden: take(&mut states, tokens.len() * d),
                logits: take(&mut scores, tokens.len() * v),
            });
        }
        Ok(())
    })?;
    Ok(results)
}

/// As [`logprobs`](crate::logprobs).
pub(crate) fn logprobs(
    model: &mut Model,
    sequences: &[&[u32]],
    temperature: f32,
) -> Result<Vec<Vec<f32>>, Error> {
    check_all(model, sequences)?;
    let mut results = Vec::with_capacity(sequences.len());
    let mut scorer = Scorer::new(&model.device)?;
    visit(model, sequences, |model, run, hidden| {
        let next = |tokens: &&[u32]| [&tokens[1..], &[NO_TARGET]].concat();
        let targets: Vec<u32> = sequences[run.clone()].iter().flat_map(next).collect();
        let found = score(model, hidden, (&targets, temperature), &mut scorer)?;
        let mut rest = &found[..];
        for tokens in &sequences[run] {
            let mut own = take(&mut rest, tokens.len());
            own.pop();
            results.push(own);
        }
        Ok(())
    })?;
    Ok(results)
}

/// As [`replay`](crate::replay()).
pub(crate) fn replay(
    model: &mut Model,
    continuations: &[Continuation<'_>],
) -> Result<Vec<Replay>, Error> {
    let (d, v) = (model.config.hidden_size, model.config.vocab_size);
    let mut results = Vec::with_capacity(continuations.len());
    let mut scorer = Scorer::new(&model.device)?;
    visit_drawn(model, continuations, |model, items, hidden, drawn| {
        let (states, scores) = (hidden.read()?, read_logits(model, drawn, &mut scorer)?);
        let (mut states, mut scores) = (&states[..], &scores[..]);
        for item in items {
            results.push(Replay {
                hidden: take(&mut states, fed(item).len() * d),
                logits: take(&mut scores, item.response.len() * v),
            });
        }
        Ok(())
    })?;
    Ok(results)
}

/// As [`response_logprobs`](crate::response_logprobs).
pub(crate) fn response_logprobs(
    model: &mut Model,
    continuations: &[Continuation<'_>],
    temperature: f32,
) -> Result<Vec<Vec<f32>>, Error> {
    let mut results = Vec::with_capacity(continuations.len());
    let mut scorer = Scorer::new(&model.device)?;
    visit_drawn(model, continuations, |model, items, _, drawn| {
        let targets: Vec<u32> = items
            .iter()
            .flat_map(|item| item.response.to_vec())
            .collect();
        let found = score(model, drawn, (&targets, temperature), &mut scorer)?;
        let mut rest = &found[..];
        for item in items {
            results.push(take(&mut rest, item.response.len()));
        }
        Ok(())
    })?;
    Ok(results)
}

/// Calls `visitor(items of the run, hidden states of all rows, and of those that tokens were drawn
/// from)`.
fn visit_drawn<'a>(
    model: &mut Model,
    continuations: &[Continuation<'a>],
    mut visitor: impl FnMut(
        &Model,
        &[Continuation<'a>],
        &Array<f32>,
        &Array<f32>,
    ) -> Result<(), DriverError>,
) -> Result<(), Error> {
    for (index, item) in continuations.iter().enumerate() {
        item.check(&model.config, index)?;
    }
    let fed: Vec<Vec<u32>> = continuations.iter().map(fed).collect();
    let sequences: Vec<&[u32]> = fed.iter().map(Vec::as_slice).collect();
    let device: Device = model.device.clone();
    let mut drawn = device.array(0)?;
    visit(model, &sequences, |model, run, hidden| {
        let items = &continuations[run];
        let (mut first, mut rows) = (0, Vec::new());
        for item in items {
            let last = first + item.prompt.len() - 1;
            rows.extend(word(last)..word(last + item.response.len()));
            first += self::fed(item).len();
        }
        let d = model.config.hidden_size;
        gather(
            &device,
            (hidden.all(), d),
            &device.upload(&rows)?,
            &mut drawn,
        )?;
        visitor(model, items, hidden, &drawn)
    })?;
    Ok(())
}

/// The tokens that are fed: all but the last of the response, after which nothing was drawn.
fn fed(item: &Continuation<'_>) -> Vec<u32> {
    [item.prompt, item.fed()].concat()
}

fn check_all(model: &Model, sequences: &[&[u32]]) -> Result<(), Error> {
    for (index, tokens) in sequences.iter().enumerate() {
        check(&model.config, index, tokens)?;
    }
    Ok(())
}

/// Takes the first `count` values off.
fn take(rest: &mut &[f32], count: usize) -> Vec<f32> {
    let (own, after) = rest.split_at(count);
    *rest = after;
    own.to_vec()
}
