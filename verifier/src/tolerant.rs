//! The measures of a rollout that another engine drew, and what they say. Spec: tolerant.md.
//!
//! The auditor replays the tokens with the exact engine and knows the seeded draw, so for every
//! token it knows by how much the one that was sent loses against the one it would have drawn:
//!
//! ```text
//! Δ_t = max_v (ℓ_v / T + g_v) − (ℓ_y / T + g_y)      in millionths of a nat, rounded to nearest
//! ```
//!
//! If the miner's logits are within ε of the exact ones, honest work has `Δ_t ≤ 2ε / T`. Four
//! things follow, each against limits that were measured ([`calibrate`]) and stand on the chain
//! ([`protocol::class`]): no token above the hard limit; a small `Σ min(Δ, C)` over the unit; few
//! tokens with Δ > 0; and, over a miner's [`protocol::class::Lifetime`], evidence that grows with
//! every unit that differs more than honest ones do. The last sees what no single unit shows.
//!
//! Entropy of the drawn distributions chooses the limits, because sure tokens hardly ever differ
//! and unsure ones do. Everything here is deterministic, and every result an integer.

pub mod calibrate;
pub mod measure;

use engine::{
    Continuation, Device, InputError, Parameters, Replay, arithmetic::elementary::wide, sampler,
};
use protocol::{
    class::{Class, Level},
    proof::toploc::{Activations, Rejection, Rule, verify_bytes},
    rollout::PROJECTIONS_COUNT,
};

/// What the tokens of a unit differ by from the exact draw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Margins {
    /// Response tokens.
    pub tokens_count: u64,
    /// The largest Δ in millionths of a nat.
    pub largest_micro: u64,
    /// Σ min(Δ, C) in millionths of a nat.
    pub clipped_sum_micro: u64,
    /// Tokens with Δ > 0.
    pub mismatches_count: u64,
    /// Σ of the entropies that tokens were drawn from, in millionths of a nat.
    pub entropy_sum_micro: u64,
}

/// One response of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response<'a> {
    /// What it answers.
    pub prompt: &'a [u32],
    /// What was sent.
    pub tokens: &'a [u32],
    /// The seed of its draws.
    pub seed: [u8; 32],
}

impl Response<'_> {
    /// What goes into the model.
    #[must_use]
    pub const fn continuation(&self) -> Continuation<'_> {
        Continuation {
            prompt: self.prompt,
            response: self.tokens,
        }
    }
}

impl Margins {
    /// The mean entropy in millionths of a nat.
    #[must_use]
    pub fn entropy_micro(&self) -> u64 {
        self.entropy_sum_micro
            .checked_div(self.tokens_count)
            .unwrap_or(0)
    }

    /// Adds a token, drawn from `logits` at `position`.
    pub fn add_token(
        &mut self,
        (logits, temperature): (&[f32], f32),
        (seed, position): (&[u8; 32], u64),
        token: u32,
        clip_micro: u64,
    ) {
        let margin = sampler::margin(logits, seed, position, temperature, token);
        self.add(
            micro(margin.into()),
            micro(entropy(logits, temperature)),
            clip_micro,
        );
    }

    /// Adds a token with this Δ, drawn from a distribution of this entropy.
    pub fn add(&mut self, margin_micro: u64, entropy_micro: u64, clip_micro: u64) {
        self.tokens_count += 1;
        self.largest_micro = self.largest_micro.max(margin_micro);
        self.clipped_sum_micro += margin_micro.min(clip_micro);
        self.mismatches_count += u64::from(margin_micro > 0);
        self.entropy_sum_micro = self.entropy_sum_micro.saturating_add(entropy_micro);
    }

    /// Adds the tokens of another.
    pub fn merge(&mut self, other: &Self) {
        let Self {
            tokens_count,
            largest_micro,
            clipped_sum_micro,
            mismatches_count,
            entropy_sum_micro,
        } = other;
        self.tokens_count += tokens_count;
        self.largest_micro = self.largest_micro.max(*largest_micro);
        self.clipped_sum_micro = self.clipped_sum_micro.saturating_add(*clipped_sum_micro);
        self.mismatches_count += mismatches_count;
        self.entropy_sum_micro = self.entropy_sum_micro.saturating_add(*entropy_sum_micro);
    }

    /// Replays responses with the exact engine, and measures each.
    ///
    /// # Errors
    /// A response that the model cannot take.
    pub fn of(
        model: &Parameters,
        responses: &[Response<'_>],
        temperature: f32,
        clip_micro: u64,
        device: &Device,
    ) -> Result<Vec<Self>, InputError> {
        let continuations: Vec<_> = responses.iter().map(Response::continuation).collect();
        let passes = device.replay(model, &continuations)?;
        Ok(Self::of_passes(responses, &passes, temperature, clip_micro))
    }

    /// Measures each response by its replay.
    #[must_use]
    pub fn of_passes(
        responses: &[Response<'_>],
        passes: &[Replay],
        temperature: f32,
        clip_micro: u64,
    ) -> Vec<Self> {
        let mut all = Vec::with_capacity(responses.len());
        for (response, pass) in responses.iter().zip(passes) {
            let width = pass.logits.len() / response.tokens.len().max(1);
            let mut margins = Self::default();
            let rows = pass.logits.chunks_exact(width.max(1)).zip(response.tokens);
            for (position, (row, token)) in (response.prompt.len() as u64..).zip(rows) {
                let place = (&response.seed, position);
                margins.add_token((row, temperature), place, *token, clip_micro);
            }
            all.push(margins);
        }
        all
    }

    /// The worst that the limits of a class say about them; the lifetime's evidence is not among
    /// them.
    #[must_use]
    pub fn level(&self, class: &Class) -> Level {
        self.findings(class)
            .iter()
            .map(Finding::level)
            .max()
            .unwrap_or(Level::Holds)
    }

    /// Every measure beside its limits.
    #[must_use]
    pub fn findings(&self, class: &Class) -> [Finding; 3] {
        let cell = class.cell(self.tokens_count, self.entropy_micro());
        let finding = |rule, measured, limits| Finding {
            rule,
            measured,
            limits,
        };
        [
            finding("margin", self.largest_micro, class.margin_micro),
            finding("sum", self.clipped_sum_micro, cell.clipped_sum_micro),
            finding("mismatches", self.mismatches_count, cell.mismatches_count),
        ]
    }

    /// What the unit adds to the evidence against its miner, in millionths of a nat.
    #[must_use]
    pub fn evidence_micro(&self, class: &Class) -> i64 {
        class.evidence_micro(self.clipped_sum_micro, self.tokens_count)
    }
}

/// One measure beside its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was measured.
    pub rule: &'static str,
    /// What was found.
    pub measured: u64,
    /// What is allowed.
    pub limits: protocol::class::Limits,
}

impl Finding {
    /// What it says.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.limits.level(self.measured)
    }
}

/// Judges the proofs of one response under the tolerances of a class. Distance voids and never
/// slashes: the margins carry soundness.
///
/// # Errors
/// The first proof beyond them.
pub fn check_proofs<B: AsRef<[u8]>>(
    class: &Class,
    proofs: &[B],
    activations: &Activations<'_>,
) -> Result<(), Rejection> {
    verify_bytes(proofs, activations, Rule::Tolerant(class.toploc)).map(|_| ())
}

/// How far projections are from the exact ones, for every token: Σ (p − p̂)² over its eight bytes.
/// A token that only one side has is as far as can be.
#[must_use]
pub fn distances(theirs: &[u8], ours: &[u8]) -> Vec<u64> {
    let rows = |bytes: &[u8]| bytes.len().div_ceil(PROJECTIONS_COUNT);
    let row = |bytes: &[u8], index: usize| -> Option<[u8; PROJECTIONS_COUNT]> {
        let from = index * PROJECTIONS_COUNT;
        bytes.get(from..from + PROJECTIONS_COUNT)?.try_into().ok()
    };
    let distance = |index: usize| match (row(theirs, index), row(ours, index)) {
        (Some(theirs), Some(ours)) => theirs
            .iter()
            .zip(ours)
            .map(|(a, b)| {
                let apart = a.cast_signed().abs_diff(b.cast_signed());
                u64::from(apart).pow(2)
            })
            .sum(),
        _ => DISTANCE_MAX,
    };
    (0..rows(theirs).max(rows(ours))).map(distance).collect()
}

/// Eight bytes cannot be farther apart.
const DISTANCE_MAX: u64 = 255 * 255 * PROJECTIONS_COUNT as u64;

/// What all but a twentieth of the distances keep, rounded so that a small number of them keeps
/// all.
#[must_use]
pub fn bulk(distances: &[u64]) -> u64 {
    let mut sorted = distances.to_vec();
    sorted.sort_unstable();
    let beyond = sorted.len() / 20;
    sorted.into_iter().rev().nth(beyond).unwrap_or(0)
}

/// The entropy of softmax(ℓ / T) in nats: ln Σ e − Σ e·x / Σ e with x = ℓ/T − max, left folds in
/// ascending order, in f64.
fn entropy(logits: &[f32], temperature: f32) -> f64 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let scaled = |logit: f32| (f64::from(logit - largest) / f64::from(temperature)).max(-700.0);
    let (mut sum, mut weighted) = (0.0, 0.0);
    for &logit in logits {
        let x = scaled(logit);
        let e = wide::exp(x);
        sum += e;
        weighted += e * x;
    }
    wide::log(sum) - weighted / sum
}

/// Millionths, to nearest; what is no number or beyond the range counts as the most.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast saturates, and no number was sorted out"
)]
fn micro(nats: f64) -> u64 {
    if nats.is_nan() {
        return u64::MAX;
    }
    (nats * 1e6).round_ties_even() as u64
}

#[cfg(test)]
mod tests;
