//! Teacher-forced passes on the device.

use super::Error;
use super::model::Model;
use super::pass::{Pass, ROWS_MAX, Survive, logits};
use super::rows::Rows;
use super::scorer::{NO_TARGET, Scorer, logit_rows};
use crate::Prefill;
use crate::transformer::pass::check;
use crate::transformer::prefill::runs;

/// Calls `visitor(sequences, their rows, pass)` for runs of whole sequences.
fn visit(
    model: &mut Model,
    sequences: &[&[u32]],
    mut visitor: impl FnMut(&Model, &[&[u32]], &Pass) -> Result<(), Error>,
) -> Result<(), Error> {
    for (index, tokens) in sequences.iter().enumerate() {
        check(&model.config, index, tokens)?;
    }
    let mut pass = Pass::new(&model.device)?;
    for run in runs(sequences, ROWS_MAX, |tokens| tokens.len()) {
        let rows = Rows::new(&model.device, run)?;
        pass.run(model, &rows, Survive::None, &mut |_, _, _| Ok(()))?;
        visitor(model, run, &pass)?;
    }
    Ok(())
}

/// As [`prefill`](crate::prefill).
pub(crate) fn prefill(model: &mut Model, sequences: &[&[u32]]) -> Result<Vec<Prefill>, Error> {
    let (d, step) = (model.config.hidden_size, logit_rows(model));
    let vocabulary = model.config.vocab_size;
    let mut results = Vec::with_capacity(sequences.len());
    let mut scorer = Scorer::new(&model.device)?;
    visit(model, sequences, |model, run, pass| {
        let states = pass.hidden.read()?;
        let rows = states.len() / d;
        let mut scores = vec![0.0; rows * vocabulary];
        for first in (0..rows).step_by(step) {
            let last = rows.min(first + step);
            let hidden = pass.hidden.part(first * d..last * d);
            logits(model, hidden, &mut scorer.logits)?;
            let to = &mut scores[first * vocabulary..last * vocabulary];
            scorer.logits.read_into(to)?;
        }
        let (mut states, mut scores) = (&states[..], &scores[..]);
        for tokens in run {
            let (hidden, more_states) = states.split_at(tokens.len() * d);
            let (logits, more_scores) = scores.split_at(tokens.len() * vocabulary);
            results.push(Prefill {
                hidden: hidden.to_vec(),
                logits: logits.to_vec(),
            });
            (states, scores) = (more_states, more_scores);
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
    let (d, step) = (model.config.hidden_size, logit_rows(model));
    let mut results = Vec::with_capacity(sequences.len());
    let mut scorer = Scorer::new(&model.device)?;
    visit(model, sequences, |model, run, pass| {
        let next = |tokens: &&[u32]| {
            let targets = tokens.iter().skip(1).copied();
            targets.chain([NO_TARGET]).collect::<Vec<_>>()
        };
        let targets: Vec<u32> = run.iter().flat_map(next).collect();
        let mut found = Vec::with_capacity(targets.len());
        for (index, targets) in targets.chunks(step).enumerate() {
            let first = index * step;
            let hidden = pass.hidden.part(first * d..(first + targets.len()) * d);
            logits(model, hidden, &mut scorer.logits)?;
            found.extend(scorer.score(targets, temperature)?);
        }
        let mut rest = &found[..];
        for tokens in run {
            let (own, more) = rest.split_at(tokens.len());
            results.push(own[..tokens.len() - 1].to_vec());
            rest = more;
        }
        Ok(())
    })?;
    Ok(results)
}
