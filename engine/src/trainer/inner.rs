//! The inner loop of a pre-training unit: H `AdamW` steps from a checkpoint.
//!
//! The state after every step has a digest, so a miner commits to the chain of states and an
//! auditor repeats any stretch of it from the state before.

use super::adamw::{AdamW, AdamWState};
use super::loss::{Batch, Loss, cross_entropy};
use super::{Gradients, Workspace};
use crate::InputError;
use crate::arithmetic::threads::Threads;
use crate::transformer::parameters::Parameters;
use serde::{Deserialize, Serialize};

/// Constants of the inner loop.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct InnerOptions {
    /// The optimiser.
    pub adamw: AdamW,
    /// Steps over which the step size grows linearly from `lr / warmup_steps` to `lr`.
    pub warmup_steps: u64,
    /// Steps already taken in earlier rounds, for the warm-up only.
    pub first_step: u64,
    /// Largest norm of the mean gradient.
    pub clip_norm: f32,
}

/// Begins the bytes that a state's digest is of.
pub(crate) const STATE_TAG: &[u8] = b"inner-state/v1";

/// Weights and moments between two inner steps.
#[derive(Clone, Debug, PartialEq)]
pub struct InnerState {
    /// The weights.
    pub parameters: Parameters,
    /// The moments.
    pub moments: AdamWState,
}

impl InnerState {
    /// The state at a checkpoint: fresh moments.
    #[must_use]
    pub fn new(parameters: Parameters) -> Self {
        let moments = AdamWState::new(parameters.as_slice().len());
        Self {
            parameters,
            moments,
        }
    }

    /// Takes one step on one batch, whose parts may differ in the length of their rows.
    ///
    /// # Errors
    /// A batch the model cannot take.
    pub fn step(
        &mut self,
        parts: &[Batch],
        options: &InnerOptions,
        (gradients, workspace): (&mut Gradients, &mut Workspace),
        threads: &Threads,
    ) -> Result<Loss, InputError> {
        gradients.clear();
        let mut loss = Loss::default();
        for part in parts {
            let part = cross_entropy(&self.parameters, part, gradients, workspace, threads)?;
            loss.sum += part.sum;
            loss.weight += part.weight;
        }
        if loss.weight > 0.0 {
            gradients.scale(reciprocal(loss.weight), threads);
        }
        gradients.clip_norm(options.clip_norm, threads);
        let factor = warmup(options, self.moments.step_count);
        let theta = self.parameters.as_mut_slice();
        self.moments
            .step(&options.adamw, factor, theta, gradients.as_slice(), threads);
        Ok(loss)
    }

    /// BLAKE3 over `"inner-state/v1"`, the step count, weights, first and second moments.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(STATE_TAG);
        hasher.update(&self.moments.step_count.to_le_bytes());
        for values in [self.parameters.as_slice(), &self.moments.m, &self.moments.v] {
            crate::weights::hash_values(&mut hasher, values);
        }
        hasher.finalize().into()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "rounded to f32 on purpose")]
pub(crate) fn reciprocal(weight: f64) -> f32 {
    (1.0 / weight) as f32
}

/// `min(1, (first_step + step + 1) / warmup_steps)`.
pub(crate) fn warmup(options: &InnerOptions, step: u64) -> f32 {
    let step = options.first_step.saturating_add(step);
    engine_trace::schedule::warmup(step, options.warmup_steps)
}

/// What a unit of inner steps produced.
#[derive(Clone, Debug, PartialEq)]
pub struct PseudoGradient {
    /// `theta_0 - theta_H`, flat.
    pub values: Vec<f32>,
    /// The loss of every step, before it was taken.
    pub losses: Vec<Loss>,
    /// The digest of the state after every step.
    pub digests: Vec<[u8; 32]>,
}

/// Runs one inner step on every batch, from `theta_0` with fresh moments.
///
/// # Errors
/// A batch the model cannot take.
pub fn pseudo_gradient(
    theta_0: &Parameters,
    batches: impl IntoIterator<Item = Batch>,
    options: &InnerOptions,
    threads: &Threads,
) -> Result<PseudoGradient, InputError> {
    let mut state = InnerState::new(theta_0.clone());
    let mut gradients = Gradients::zeros(theta_0);
    let mut workspace = Workspace::new();
    let (mut losses, mut digests) = (Vec::new(), Vec::new());
    for batch in batches {
        let buffers = (&mut gradients, &mut workspace);
        losses.push(state.step(&[batch], options, buffers, threads)?);
        digests.push(state.digest());
    }
    let pairs = theta_0.as_slice().iter().zip(state.parameters.as_slice());
    let values = pairs.map(|(before, after)| before - after).collect();
    Ok(PseudoGradient {
        values,
        losses,
        digests,
    })
}
