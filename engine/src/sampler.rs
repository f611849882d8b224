//! Seeded Gumbel-max sampling: a token is a function of logits, seed and position.
//!
//! ```text
//! word(t, v) = little-endian u32 at bytes 4v..4v+4 of
//!              BLAKE3-XOF keyed with seed over "gumbel/v1" || t as u64 little-endian
//! u = (word + 1/2) / 2^32,  g = -ln(-ln u)
//! token = argmax_v (logit[v] / T + g[v]), ties to the lower id
//! ```
//!
//! The miner has no free variable, and an auditor that recomputes the logits exactly finds a
//! margin of exactly 0 for every honest token.
//!
//! Spec: arithmetic §5

use crate::arithmetic::cpu::Kernels;
use crate::arithmetic::elementwise::perturb;

/// How the next token is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sampling {
    /// The token with the largest logit, ties to the lower id.
    Greedy,
    /// Seeded Gumbel-max at a temperature above 0.
    Gumbel {
        /// Divides the logits.
        temperature: f32,
    },
}

/// Buffers that sampling reuses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    bytes: Vec<u8>,
    words: Vec<u32>,
    scores: Vec<f32>,
}

impl Scratch {
    fn perturb(&mut self, logits: &[f32], seed: &[u8; 32], position: u64, temperature: f32) {
        self.bytes.resize(logits.len() * 4, 0);
        self.scores.resize(logits.len(), 0.0);
        let mut hasher = blake3::Hasher::new_keyed(seed);
        hasher.update(b"gumbel/v1");
        hasher.update(&position.to_le_bytes());
        hasher.finalize_xof().fill(&mut self.bytes);
        self.words.clear();
        let words = self
            .bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|word| u32::from_le_bytes(*word));
        self.words.extend(words);
        perturb(
            Kernels::detect(),
            logits,
            &self.words,
            temperature,
            &mut self.scores,
        );
    }

    pub(crate) fn sample(
        &mut self,
        logits: &[f32],
        seed: &[u8; 32],
        position: u64,
        sampling: Sampling,
    ) -> u32 {
        match sampling {
            Sampling::Greedy => argmax(logits),
            Sampling::Gumbel { temperature } => {
                self.perturb(logits, seed, position, temperature);
                argmax(&self.scores)
            }
        }
    }
}

/// The token that `seed` draws at `position` from these logits.
///
/// `position` is the index of the token to be drawn in its sequence: the first token after a
/// prompt of `n` tokens stands at position `n`.
#[must_use]
pub fn sample(logits: &[f32], seed: &[u8; 32], position: u64, temperature: f32) -> u32 {
    let sampling = Sampling::Gumbel { temperature };
    Scratch::default().sample(logits, seed, position, sampling)
}

/// The tokens that `seed` draws at consecutive positions, the first of them at `position`, from
/// logits `[positions, vocabulary]` f32 row-major.
#[must_use]
pub fn draws(
    logits: &[f32],
    vocabulary: usize,
    seed: &[u8; 32],
    position: u64,
    temperature: f32,
) -> Vec<u32> {
    let sampling = Sampling::Gumbel { temperature };
    let mut scratch = Scratch::default();
    let rows = (position..).zip(logits.chunks_exact(vocabulary.max(1)));
    rows.map(|(position, row)| scratch.sample(row, seed, position, sampling))
        .collect()
}

/// The token with the largest logit, ties to the lower id.
#[must_use]
pub fn greedy(logits: &[f32]) -> u32 {
    argmax(logits)
}

/// What the draw compares: `logit[v] / T + g[v]` for every token `v`; the largest wins.
#[must_use]
pub fn scores(logits: &[f32], seed: &[u8; 32], position: u64, temperature: f32) -> Vec<f32> {
    let mut scratch = Scratch::default();
    scratch.perturb(logits, seed, position, temperature);
    scratch.scores
}

/// By how much `token` loses against the best score: exactly 0 for the honest token, infinite for
/// a token outside the vocabulary.
#[must_use]
pub fn margin(logits: &[f32], seed: &[u8; 32], position: u64, temperature: f32, token: u32) -> f32 {
    let mut scratch = Scratch::default();
    scratch.perturb(logits, seed, position, temperature);
    let best = scratch.scores[argmax(&scratch.scores) as usize];
    scratch
        .scores
        .get(token as usize)
        .map_or(f32::INFINITY, |score| best - score)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "vocabularies are below 2^24"
)]
fn argmax(scores: &[f32]) -> u32 {
    let mut best = 0;
    for (index, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = index;
        }
    }
    best as u32
}

#[cfg(test)]
mod tests;
