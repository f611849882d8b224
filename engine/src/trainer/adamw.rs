//! `AdamW` with decoupled weight decay.
//!
//! `1 - β^t` is computed in f64 by repeated squaring and rounded to f32 once.

use crate::arithmetic::elementwise::AdamStep;
use crate::arithmetic::parallel::adam;
use crate::arithmetic::threads::Threads;
use engine_trace::schedule::correction;
use serde::{Deserialize, Serialize};

/// Constants of `AdamW`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdamW {
    /// Step size.
    pub lr: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Fraction of the weights removed per unit of `lr`, applied to all parameters.
    pub weight_decay: f32,
}

impl Default for AdamW {
    fn default() -> Self {
        Self {
            lr: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
        }
    }
}

/// Moments and step count.
#[derive(Clone, Debug, PartialEq)]
pub struct AdamWState {
    /// First moments.
    pub m: Vec<f32>,
    /// Second moments.
    pub v: Vec<f32>,
    /// Steps taken.
    pub step_count: u64,
}

impl AdamWState {
    /// The state before the first step of a model of `length` parameters.
    #[must_use]
    pub fn new(length: usize) -> Self {
        Self {
            m: vec![0.0; length],
            v: vec![0.0; length],
            step_count: 0,
        }
    }

    /// Takes one step with `options.lr * lr_factor`.
    ///
    /// # Panics
    /// If `theta` or `gradient` has another length than the state.
    pub fn step(
        &mut self,
        options: &AdamW,
        lr_factor: f32,
        theta: &mut [f32],
        gradient: &[f32],
        threads: &Threads,
    ) {
        assert_eq!(theta.len(), self.m.len(), "parameters of another model");
        assert_eq!(gradient.len(), self.m.len(), "gradient of another model");
        self.step_count += 1;
        let step = AdamStep {
            lr: options.lr * lr_factor,
            beta1: options.beta1,
            beta2: options.beta2,
            eps: options.eps,
            decay: options.weight_decay,
            correction1: correction(options.beta1, self.step_count),
            correction2: correction(options.beta2, self.step_count),
        };
        adam(threads, step, (theta, gradient), (&mut self.m, &mut self.v));
    }
}
