//! What others would see on the same traces.
//!
//! *TOPLOC alone* compares proofs of activations under the thresholds of the paper's validator.
//! *Loss alone* asks whether the tokens are as likely under the right model as honest ones are: the
//! mean negative log-likelihood of a unit's tokens within the range of honest units.

use crate::subject::Subject;
use anyhow::Result;
use engine::{Continuation, bf16_bits};
use miner::rollout::Work;
use protocol::{
    proof::toploc::{Activations, Layout, Rule, Thresholds, verify_bytes},
    rollout::{PROOF_CHUNK_TOKENS, PROOF_TOP_COUNT},
    task::RolloutTask,
};

/// How a unit looks to those who look at one thing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trace {
    /// Whether every proof passes.
    pub(crate) toploc: bool,
    /// Mean negative log-likelihood of the tokens, in nats.
    pub(crate) loss: f64,
}

pub(crate) fn trace(subject: &Subject, task: &RolloutTask, work: &Work) -> Result<Trace> {
    let width = subject.model.config().hidden_size;
    let vocabulary = subject.recipe.model.vocab_size;
    let (mut toploc, mut loss, mut tokens_count) = (true, 0.0, 0_usize);
    let groups = (0..).zip(work.payload.groups.as_slice());
    for ((group, samples), sections) in groups.zip(work.sections.groups.as_slice()) {
        let prompt = subject.world.prompt(task, group);
        let samples = samples.samples.as_slice();
        let continuations: Vec<_> = samples
            .iter()
            .map(|sample| Continuation {
                prompt: &prompt,
                response: sample.tokens.as_slice(),
            })
            .collect();
        let known = |token: &u32| *token < vocabulary;
        if !continuations
            .iter()
            .all(|one| one.response.iter().all(known))
        {
            return Ok(Trace {
                toploc: false,
                loss: f64::INFINITY,
            });
        }
        let passes = subject.device.replay(&subject.model, &continuations)?;
        for ((sample, section), pass) in samples.iter().zip(sections.as_slice()).zip(&passes) {
            let layout = Layout {
                hidden: width,
                prefill_tokens: prompt.len(),
                chunk_tokens: PROOF_CHUNK_TOKENS,
                top_count: PROOF_TOP_COUNT,
            };
            let states: Vec<u16> = pass.hidden.iter().map(|value| bf16_bits(*value)).collect();
            let activations = Activations::new(&states, layout)?;
            let proofs: Vec<&[u8]> = section
                .proofs
                .as_slice()
                .iter()
                .map(|p| p.as_slice())
                .collect();
            let rule = Rule::Tolerant(Thresholds::PAPER);
            toploc &= verify_bytes(&proofs, &activations, rule).is_ok();
            let rows = pass.logits.chunks_exact(vocabulary as usize);
            for (row, token) in rows.zip(sample.tokens.as_slice()) {
                loss += surprise(row, *token as usize);
                tokens_count += 1;
            }
        }
    }
    Ok(Trace {
        toploc,
        loss: loss / tokens_count.max(1) as f64,
    })
}

/// −ln softmax(row)[token].
fn surprise(row: &[f32], token: usize) -> f64 {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = row
        .iter()
        .map(|logit| f64::from(logit - largest).exp())
        .sum();
    sum.ln() - f64::from(row.get(token).copied().unwrap_or(f32::NEG_INFINITY) - largest)
}
