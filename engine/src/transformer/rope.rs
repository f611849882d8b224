//! Rotary position tables.
//!
//! Spec: arithmetic §4, "Rotary positions"

use super::config::ModelConfig;
use crate::arithmetic::cpu::Kernels;
use crate::arithmetic::elementwise::rotate;
use engine_trace::rope;

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

impl Table {
    /// Makes the table hold at least `positions` positions of `config`.
    pub(crate) fn cover(&mut self, config: &ModelConfig, positions: usize) {
        let half = config.head_dim / 2;
        let (base, scaling) = (rope::base(config.rope_theta), config.rope_scaling);
        let width = config.head_dim as u64;
        let frequencies = (0..half as u64).map(|pair| rope::frequency(base, scaling, width, pair));
        if !frequencies.clone().eq(self.frequencies.iter().copied()) {
            *self = Self {
                frequencies: frequencies.collect(),
                ..Self::default()
            };
        }
        for position in self.cosine.len() / half..positions {
            for &frequency in &self.frequencies {
                let (cosine, sine) = rope::turn(frequency, position as u64);
                self.cosine.push(cosine);
                self.sine.push(sine);
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
