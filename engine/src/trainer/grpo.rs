//! Group-relative policy optimisation with two-sided clipping.
//!
//! ```text
//! r = exp(log p_now(token) - log p_behaviour(token))
//! loss = - Σ_tokens min(min(r, δ) A, clip(r, 1 - low, 1 + high) A) / normaliser
//! ```
//!
//! Log-probabilities are of the softmax of `logit / temperature`. Where the unclipped branch is
//! the smaller one and `r < δ`, `dl_v = A r (p_v - [v = token]) / (T normaliser)`; elsewhere 0.
//! Paper: arXiv:2505.07291 §3.4 (two-sided clip).

use super::loss::softmax_slope;
use super::{Gradients, Workspace, accumulate};
use crate::InputError;
use crate::arithmetic::elementary;
use crate::arithmetic::elementwise::exponentials;
use crate::arithmetic::threads::Threads;
use crate::transformer::parameters::Parameters;

/// One rollout to learn from.
#[derive(Clone, Debug, PartialEq)]
pub struct GrpoSequence {
    /// Prompt and response.
    pub tokens: Vec<u32>,
    /// Tokens of the prompt; at least 1.
    pub prompt_len: usize,
    /// Advantage of the response, from consensus code.
    pub advantage: f32,
    /// One log-probability for each response token under the policy that drew it
    /// ([`logprobs`](crate::logprobs) of the checkpoint).
    pub behaviour_logprobs: Vec<f32>,
}

/// Constants of the objective.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GrpoOptions {
    /// Ratios below `1 - clip_low` no longer push a bad token down.
    pub clip_low: f32,
    /// Ratios above `1 + clip_high` no longer push a good token up.
    pub clip_high: f32,
    /// Ratios above this no longer push a bad token down (the second side of the clip).
    pub delta: f32,
    /// Divides the logits, as in sampling.
    pub temperature: f32,
    /// Divides the loss: the number of response tokens of the whole step.
    pub normaliser: f32,
}

/// What one pass over rollouts measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GrpoLoss {
    /// The objective, already divided by the normaliser.
    pub loss: f64,
    /// Response tokens seen.
    pub token_count: u64,
    /// Response tokens whose gradient the clip removed.
    pub clipped_count: u64,
    /// `Σ (log p_behaviour - log p_now)` over response tokens: an estimate of the divergence.
    pub divergence_sum: f64,
}

/// What one row of logits is for.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) token: usize,
    pub(crate) advantage: f32,
    pub(crate) behaviour: f32,
}

/// Adds the gradient of the objective over `sequences` to `gradients`.
///
/// # Errors
/// A sequence that is empty, too long, outside the vocabulary, without a prompt, or whose
/// log-probabilities do not match its response.
pub fn grpo(
    model: &Parameters,
    sequences: &[GrpoSequence],
    options: &GrpoOptions,
    gradients: &mut Gradients,
    workspace: &mut Workspace,
    threads: &Threads,
) -> Result<GrpoLoss, InputError> {
    let rows = rows(sequences)?;
    let tokens: Vec<&[u32]> = sequences.iter().map(|s| s.tokens.as_slice()).collect();
    let vocab = model.config().vocab_size;
    let kernels = threads.kernels();
    let mut total = GrpoLoss::default();
    let mut score = |first: usize, logits: &mut [f32]| {
        for (offset, logits) in logits.chunks_exact_mut(vocab).enumerate() {
            let Some(row) = rows[first + offset] else {
                logits.fill(0.0);
                continue;
            };
            let logit = logits[row.token] / options.temperature;
            let normaliser = exponentials(kernels, logits, options.temperature);
            let now = normaliser.log_probability(logit);
            let factor = total.add(row, now, options);
            softmax_slope(kernels, logits, normaliser, row.token, factor);
        }
    };
    accumulate(model, &tokens, gradients, workspace, threads, &mut score)?;
    Ok(total)
}

impl GrpoLoss {
    /// Takes one token in; returns the factor of `(p - onehot)` in the gradient of its logits.
    pub(crate) fn add(&mut self, row: Row, now: f32, options: &GrpoOptions) -> f32 {
        let GrpoOptions {
            clip_low,
            clip_high,
            delta,
            temperature,
            normaliser,
        } = *options;
        let ratio = elementary::exp(now - row.behaviour);
        let bounded = if ratio < delta { ratio } else { delta };
        let clipped = if ratio < 1.0 - clip_low {
            1.0 - clip_low
        } else {
            ratio
        };
        let clipped = if clipped > 1.0 + clip_high {
            1.0 + clip_high
        } else {
            clipped
        };
        let (free, held) = (bounded * row.advantage, clipped * row.advantage);
        let objective = if free <= held { free } else { held };
        self.loss -= f64::from(objective) / f64::from(normaliser);
        self.token_count += 1;
        self.divergence_sum += f64::from(row.behaviour) - f64::from(now);
        let inside = free <= held && ratio < delta;
        if inside {
            (ratio * row.advantage) / (temperature * normaliser)
        } else {
            self.clipped_count += 1;
            0.0
        }
    }
}

/// The row that predicts each response token; `None` for the others.
pub(crate) fn rows(sequences: &[GrpoSequence]) -> Result<Vec<Option<Row>>, InputError> {
    let mut rows = Vec::new();
    for (sequence, item) in sequences.iter().enumerate() {
        let GrpoSequence {
            tokens,
            prompt_len,
            advantage,
            behaviour_logprobs,
        } = item;
        let response = tokens.len().checked_sub(*prompt_len);
        if *prompt_len == 0 || response != Some(behaviour_logprobs.len()) {
            return Err(InputError::Response {
                sequence,
                tokens: tokens.len(),
                prompt: *prompt_len,
                logprobs: behaviour_logprobs.len(),
            });
        }
        rows.extend(std::iter::repeat_n(None, prompt_len - 1));
        for (&token, &behaviour) in tokens[*prompt_len..].iter().zip(behaviour_logprobs) {
            rows.push(Some(Row {
                token: token as usize,
                advantage: *advantage,
                behaviour,
            }));
        }
        rows.push(None);
    }
    Ok(rows)
}
