//! The outer step: from an aggregated pseudo-gradient to the next checkpoint.
//!
//! ```text
//! Nesterov: b = μ b + g,  θ = θ - lr (g + μ b)
//! `AdamW`:    clip g to clip_norm, then one `AdamW` step
//! ```
//!
//! Pre-training aggregates pseudo-gradients `theta_0 - theta_H` and uses Nesterov;
//! reinforcement learning aggregates plain gradients and uses `AdamW`.

use super::adamw::{AdamW, AdamWState};
use super::compress::CompressedUpdate;
use super::{clip_gradient_norm, state_sources};
use crate::arithmetic::elementwise::nesterov;
use crate::arithmetic::threads::Threads;
use crate::transformer::config::ModelConfig;
use crate::transformer::parameters::{Layout, Parameters};
use crate::weights::{File, LoadError, config_metadata, write};
use serde::{Deserialize, Serialize};

/// The rule of the outer step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum OuterOptimizer {
    /// Stochastic gradient descent with Nesterov momentum.
    Nesterov {
        /// Step size.
        lr: f32,
        /// Decay of the momentum.
        momentum: f32,
    },
    /// One `AdamW` step a network step.
    AdamW {
        /// Step size.
        lr: f32,
        /// Decay of the first moment.
        beta1: f32,
        /// Decay of the second moment.
        beta2: f32,
        /// Added to the root of the second moment.
        eps: f32,
        /// Decoupled weight decay.
        weight_decay: f32,
        /// Largest norm of the gradient.
        clip_norm: f32,
    },
}

/// Momentum of the outer optimiser, part of a checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct OuterState {
    config: ModelConfig,
    pub(crate) buffers: Buffers,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Buffers {
    Nesterov { momentum: Vec<f32>, step_count: u64 },
    AdamW(AdamWState),
}

/// Largest magnitude of a centre's values.
const CENTRE_MAX: f32 = 1.984;
/// The metadata key of the kind of state.
const KIND: &str = "optimizer";
/// The metadata key of the step count.
const STEP_COUNT: &str = "step_count";

impl OuterState {
    /// The state before the first step.
    #[must_use]
    pub fn new(optimizer: &OuterOptimizer, config: &ModelConfig) -> Self {
        let length = Layout::new(config).length();
        let buffers = match optimizer {
            OuterOptimizer::Nesterov { .. } => Buffers::Nesterov {
                momentum: vec![0.0; length],
                step_count: 0,
            },
            OuterOptimizer::AdamW { .. } => Buffers::AdamW(AdamWState::new(length)),
        };
        Self {
            config: config.clone(),
            buffers,
        }
    }

    /// Steps taken.
    #[must_use]
    pub fn step_count(&self) -> u64 {
        match &self.buffers {
            Buffers::Nesterov { step_count, .. } => *step_count,
            Buffers::AdamW(state) => state.step_count,
        }
    }

    /// What the network did lately, around which the next updates are aggregated: the mean of past
    /// aggregates, `(1 - μ) b`, or the first moment. Zero where the state is of the other
    /// optimiser.
    ///
    /// Values beyond what an update can say are the largest that it can.
    ///
    /// # Panics
    /// Never: states have finite values.
    #[must_use]
    pub fn centre(&self, optimizer: &OuterOptimizer) -> CompressedUpdate {
        let (values, factor) = match (optimizer, &self.buffers) {
            (OuterOptimizer::Nesterov { momentum, .. }, Buffers::Nesterov { momentum: b, .. }) => {
                (b, 1.0 - momentum)
            }
            (OuterOptimizer::AdamW { .. }, Buffers::AdamW(state)) => (&state.m, 1.0),
            (
                OuterOptimizer::AdamW { .. },
                Buffers::Nesterov {
                    momentum: values, ..
                },
            ) => (values, 0.0),
            (OuterOptimizer::Nesterov { .. }, Buffers::AdamW(state)) => (&state.m, 0.0),
        };
        let limited = values
            .iter()
            .map(|value| (value * factor).clamp(-CENTRE_MAX, CENTRE_MAX));
        CompressedUpdate::compress(&limited.collect::<Vec<_>>())
            .expect("invariant: states have finite values, and these are within the limit")
    }

    /// Applies one aggregated pseudo-gradient (or gradient) to `model`.
    ///
    /// # Errors
    /// A pseudo-gradient of another length, or a state of the other optimiser.
    pub fn step(
        &mut self,
        optimizer: &OuterOptimizer,
        model: &mut Parameters,
        pseudo_gradient: &[f32],
        threads: &Threads,
    ) -> Result<(), OuterError> {
        self.check(model, pseudo_gradient)?;
        match (optimizer, &mut self.buffers) {
            (
                &OuterOptimizer::Nesterov { lr, momentum },
                Buffers::Nesterov {
                    momentum: buffer,
                    step_count,
                },
            ) => {
                *step_count += 1;
                let theta = model.as_mut_slice();
                nesterov(
                    threads.kernels(),
                    theta,
                    pseudo_gradient,
                    buffer,
                    lr,
                    momentum,
                );
            }
            (
                &OuterOptimizer::AdamW {
                    lr,
                    beta1,
                    beta2,
                    eps,
                    weight_decay,
                    clip_norm,
                },
                Buffers::AdamW(state),
            ) => {
                let options = AdamW {
                    lr,
                    beta1,
                    beta2,
                    eps,
                    weight_decay,
                };
                let mut gradient = pseudo_gradient.to_vec();
                clip_gradient_norm(&mut gradient, clip_norm, threads);
                state.step(&options, 1.0, model.as_mut_slice(), &gradient, threads);
            }
            _ => return Err(OuterError::Optimizer { state: self.kind() }),
        }
        Ok(())
    }

    /// Checks that a step's parts belong together.
    pub(crate) fn check(
        &self,
        model: &Parameters,
        pseudo_gradient: &[f32],
    ) -> Result<(), OuterError> {
        let expected = model.as_slice().len();
        let length = pseudo_gradient.len();
        if length != expected || *model.config() != self.config {
            return Err(OuterError::Length { length, expected });
        }
        Ok(())
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self.buffers {
            Buffers::Nesterov { .. } => "nesterov",
            Buffers::AdamW(_) => "adamw",
        }
    }

    /// The canonical safetensors file: `momentum.*`, or `m.*` and `v.*`, with the configuration,
    /// the kind and the step count in the metadata.
    #[must_use]
    pub fn to_safetensors(&self) -> Vec<u8> {
        let layout = Layout::new(&self.config);
        let mut metadata = config_metadata(&self.config);
        metadata.insert(KIND.to_owned(), self.kind().to_owned());
        metadata.insert(STEP_COUNT.to_owned(), self.step_count().to_string());
        let tensors = match &self.buffers {
            Buffers::Nesterov { momentum, .. } => state_sources(&layout, "momentum", momentum),
            Buffers::AdamW(state) => {
                let mut tensors = state_sources(&layout, "m", &state.m);
                tensors.extend(state_sources(&layout, "v", &state.v));
                tensors
            }
        };
        write(&metadata, tensors)
    }

    /// Reads a state file.
    ///
    /// # Errors
    /// What is wrong with the bytes; hostile bytes never panic.
    pub fn from_safetensors(bytes: &[u8]) -> Result<Self, LoadError> {
        let file = File::parse(bytes)?;
        let config = file.config()?;
        let layout = Layout::new(&config);
        let text = file.metadata(STEP_COUNT)?;
        let step_count = text
            .parse::<u64>()
            .ok()
            .filter(|count| count.to_string() == text)
            .ok_or_else(|| metadata_error(STEP_COUNT, text))?;
        let prefixes: &[&str] = match file.metadata(KIND)? {
            "nesterov" => &["momentum"],
            "adamw" => &["m", "v"],
            other => return Err(metadata_error(KIND, other)),
        };
        for (prefix, tensor) in pairs(prefixes, &layout) {
            file.check(&format!("{prefix}.{}", tensor.name), &tensor.shape)?;
        }
        file.refuse_unknown(|name| {
            name.split_once('.').is_some_and(|(prefix, rest)| {
                prefixes.contains(&prefix) && layout.tensor(rest).is_some()
            })
        })?;
        let mut vectors = vec![vec![0.0; layout.length()]; prefixes.len()];
        for (prefix, vector) in prefixes.iter().zip(&mut vectors) {
            for tensor in layout.tensors() {
                let name = format!("{prefix}.{}", tensor.name);
                file.read(&name, &mut vector[tensor.range()])?;
            }
        }
        let second = if prefixes.len() == 2 {
            vectors.pop()
        } else {
            None
        };
        let first = vectors.pop().unwrap_or_default();
        let buffers = match second {
            Some(v) => Buffers::AdamW(AdamWState {
                m: first,
                v,
                step_count,
            }),
            None => Buffers::Nesterov {
                momentum: first,
                step_count,
            },
        };
        Ok(Self { config, buffers })
    }
}

fn pairs<'a>(
    prefixes: &'a [&'a str],
    layout: &'a Layout,
) -> impl Iterator<Item = (&'a str, &'a crate::transformer::parameters::Tensor)> {
    prefixes
        .iter()
        .flat_map(|prefix| layout.tensors().iter().map(move |tensor| (*prefix, tensor)))
}

fn metadata_error(key: &'static str, text: &str) -> LoadError {
    let reason = format!("\"{}\" is not one of its values", text.escape_default());
    LoadError::Metadata { key, reason }
}

/// Why an outer step cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OuterError {
    /// A pseudo-gradient of another model.
    #[error("pseudo-gradient has {length} values; the model has {expected} parameters")]
    Length {
        /// Its length.
        length: usize,
        /// The model's.
        expected: usize,
    },
    /// A state of another optimiser.
    #[error("state belongs to {state}, not to the optimizer of this step")]
    Optimizer {
        /// What the state belongs to.
        state: &'static str,
    },
}
