//! Rotary frequencies: the cosine and sine by which a head's pair is turned at a position.
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

use crate::elementary::wide;
use crate::model::RopeScaling;

/// `ln theta`, which all frequencies share.
#[must_use]
pub fn base(theta: f32) -> f64 {
    wide::log(f64::from(theta))
}

/// The frequency of pair `pair` of a head of width `head_dim`, in radians a position.
#[must_use]
pub fn frequency(base: f64, scaling: RopeScaling, head_dim: u64, pair: u64) -> f32 {
    let exponent = (2 * pair) as f64 / head_dim as f64;
    scale(scaling, wide::exp(-exponent * base)) as f32
}

/// Cosine and sine of the angle at a position.
#[must_use]
pub fn turn(frequency: f32, position: u64) -> (f32, f32) {
    let angle = position as f32 * frequency;
    let (sine, cosine) = wide::sin_cos(f64::from(angle));
    (cosine as f32, sine as f32)
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
