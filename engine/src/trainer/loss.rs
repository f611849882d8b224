//! Next-token cross-entropy.
//!
//! ```text
//! loss = Σ_i w_i (ln Σ_v exp(l_iv) - l_i,target)
//! dl_iv = w_i (p_iv - [v = target])
//! ```
//!
//! The sum over rows is an f64 fold over ascending rows. Gradients are of the sum; the caller
//! divides by the weight.

use super::{Gradients, Workspace, accumulate};
use crate::InputError;
use crate::arithmetic::cpu::kernel;
use crate::arithmetic::elementwise::{Normaliser, exponentials};
use crate::arithmetic::threads::Threads;
use crate::transformer::parameters::Parameters;

/// Rows of tokens of equal length, with a target and a weight at every position.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// `[rows, length]`; padding may be any valid token.
    pub tokens: Vec<u32>,
    /// `[rows, length]`: the token to be predicted at each position.
    pub targets: Vec<u32>,
    /// `[rows, length]`: 0 leaves a position out.
    pub weights: Vec<f32>,
    /// Tokens in a row.
    pub length: usize,
}

impl Batch {
    /// A batch that predicts each next token of runs of `length + 1` tokens, all of weight 1.
    ///
    /// # Panics
    /// If `runs` is not a whole number of runs.
    #[must_use]
    pub fn next_token(runs: &[u32], length: usize) -> Self {
        assert_eq!(runs.len() % (length + 1), 0, "tokens are not whole runs");
        let rows = runs.chunks_exact(length + 1);
        let tokens: Vec<u32> = rows
            .clone()
            .flat_map(|run| run[..length].to_vec())
            .collect();
        let targets: Vec<u32> = rows.flat_map(|run| run[1..].to_vec()).collect();
        Self {
            weights: vec![1.0; tokens.len()],
            tokens,
            targets,
            length,
        }
    }

    pub(crate) fn check(&self, vocab: usize) -> Result<(), InputError> {
        let Self {
            tokens,
            targets,
            weights,
            length,
        } = self;
        let whole = *length > 0 && tokens.len().is_multiple_of(*length);
        if !whole || targets.len() != tokens.len() || weights.len() != tokens.len() {
            return Err(InputError::Batch {
                tokens: tokens.len(),
                targets: targets.len(),
                weights: weights.len(),
                length: *length,
            });
        }
        match targets.iter().position(|&target| target as usize >= vocab) {
            Some(index) => Err(InputError::Token {
                sequence: index / length,
                token: targets[index],
                limit: vocab,
            }),
            None => Ok(()),
        }
    }
}

/// A weighted sum of losses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Loss {
    /// `Σ w loss`, in nats.
    pub sum: f64,
    /// `Σ w`.
    pub weight: f64,
}

impl Loss {
    /// The mean loss, in nats; NaN for no weight.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.sum / self.weight
    }
}

kernel! {
    /// Turns exponentials into `factor * (p - [v = target])`.
    pub(crate) fn softmax_slope(
        row: &mut [f32],
        normaliser: Normaliser,
        target: usize,
        factor: f32,
    ) {
        let reciprocal = 1.0 / normaliser.sum;
        let own = row[target] * reciprocal;
        for x in row.iter_mut() {
            *x = (*x * reciprocal) * factor;
        }
        row[target] = (own - 1.0) * factor;
    }
}

/// Adds the gradient of the summed cross-entropy of `batch` to `gradients`.
///
/// # Errors
/// A batch of uneven parts, or a token or target outside the vocabulary.
pub fn cross_entropy(
    model: &Parameters,
    batch: &Batch,
    gradients: &mut Gradients,
    workspace: &mut Workspace,
    threads: &Threads,
) -> Result<Loss, InputError> {
    let vocab = model.config().vocab_size;
    batch.check(vocab)?;
    let sequences: Vec<&[u32]> = batch.tokens.chunks_exact(batch.length).collect();
    let mut loss = Loss::default();
    let kernels = threads.kernels();
    let mut score = |first: usize, logits: &mut [f32]| {
        for (offset, row) in logits.chunks_exact_mut(vocab).enumerate() {
            let weight = batch.weights[first + offset];
            if weight == 0.0 {
                row.fill(0.0);
                continue;
            }
            let target = batch.targets[first + offset] as usize;
            let logit = row[target];
            let normaliser = exponentials(kernels, row, 1.0);
            let log_probability = normaliser.log_probability(logit);
            loss.sum -= f64::from(weight) * f64::from(log_probability);
            loss.weight += f64::from(weight);
            softmax_slope(kernels, row, normaliser, target, weight);
        }
    };
    accumulate(model, &sequences, gradients, workspace, threads, &mut score)?;
    Ok(loss)
}
