//! Rotary position tables.
//!
//! As Hugging Face does it: the inverse frequency `theta^(-2i / head_dim)` and the angle
//! `position * frequency` are f32; cosine and sine of that angle are computed in f64 and rounded.
//! Llama 3's scaling changes the inverse frequency in f64, before it is rounded to f32.
//!
//! Spec: arithmetic §4, "Rotary positions"

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "tables are rounded to f32 on purpose; positions are below 2^24"
)]

use super::config::{ModelConfig, RopeScaling};
use crate::arithmetic::cpu::Kernels;
use crate::arithmetic::elementary::wide;
use crate::arithmetic::elementwise::rotate;

/// Cosines and sines, `[positions, head_dim / 2]`, grown on demand.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    frequencies: Vec<f32>,
    cosine: Vec<f32>,
    sine: Vec<f32>,
}

/// Which way a head is turned: forward in the model, inverse for gradients.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Direction {
    Forward,
    Inverse,
}

/// The inverse frequency after scaling.
///
/// A wave is `2π / frequency` positions long. Llama 3 divides the frequency of waves longer than
/// `context / low` by the factor, keeps that of waves shorter than `context / high`, and mixes
/// the two in between.
fn scale(scaling: RopeScaling, frequency: f64) -> f64 {
    let RopeScaling::Llama3 {
        factor,
        low_freq_factor,
        high_freq_factor,
        original_max_position_embeddings,
    } = scaling
    else {
        return frequency;
    };
    let (factor, context) = (f64::from(factor), original_max_position_embeddings as f64);
    let (low, high) = (f64::from(low_freq_factor), f64::from(high_freq_factor));
    let wave = std::f64::consts::TAU / frequency;
    if wave > context / low {
        frequency / factor
    } else if wave < context / high {
        frequency
    } else {
        let kept = (context / wave - low) / (high - low);
        (1.0 - kept) * frequency / factor + kept * frequency
    }
}

impl Table {
    /// Makes the table hold at least `positions` positions of `config`.
    pub(crate) fn cover(&mut self, config: &ModelConfig, positions: usize) {
        let half = config.head_dim / 2;
        let base = wide::log(f64::from(config.rope_theta));
        let frequencies = (0..half).map(|i| {
            let exponent = (2 * i) as f64 / config.head_dim as f64;
            scale(config.rope_scaling, wide::exp(-exponent * base)) as f32
        });
        if !frequencies.clone().eq(self.frequencies.iter().copied()) {
            *self = Self {
                frequencies: frequencies.collect(),
                ..Self::default()
            };
        }
        for position in self.cosine.len() / half..positions {
            for &frequency in &self.frequencies {
                let angle = position as f32 * frequency;
                let (sine, cosine) = wide::sin_cos(f64::from(angle));
                self.cosine.push(cosine as f32);
                self.sine.push(sine as f32);
            }
        }
    }

    /// Cosines and sines of the positions covered, `[positions, head_dim / 2]`.
    pub(crate) fn values(&self) -> (&[f32], &[f32]) {
        (&self.cosine, &self.sine)
    }

    /// Rotates `heads` heads at the start of `row`, which stands at `position`.
    pub(crate) fn apply(
        &self,
        kernels: Kernels,
        heads: &mut [f32],
        position: usize,
        direction: Direction,
    ) {
        let half = self.frequencies.len();
        let cosine = &self.cosine[position * half..][..half];
        let sine = &self.sine[position * half..][..half];
        let sign = match direction {
            Direction::Forward => 1.0,
            Direction::Inverse => -1.0,
        };
        for head in heads.chunks_exact_mut(2 * half) {
            rotate(kernels, head, cosine, sine, sign);
        }
    }
}

#[cfg(test)]
mod tests;
