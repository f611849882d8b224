//! Scaled frequencies.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::RopeScaling;
use crate::testing::config;

/// Llama 3.2's settings, against the formula in f32.
#[test]
fn llama3_keeps_short_waves_stretches_long_ones_and_mixes_between() {
    let scaled = ModelConfig {
        head_dim: 64,
        rope_theta: 500_000.0,
        rope_scaling: RopeScaling::Llama3 {
            factor: 32.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 8192,
        },
        ..config()
    };
    let plain = ModelConfig {
        rope_scaling: RopeScaling::Default,
        ..scaled
    };
    let frequencies = |config| {
        let mut table = Table::default();
        table.cover(config, 1);
        table.frequencies
    };
    let (scaled, plain) = (frequencies(&scaled), frequencies(&plain));
    let mut kinds = [0; 3];
    for (&got, &f) in scaled.iter().zip(&plain) {
        let wave = std::f32::consts::TAU / f;
        if wave < 2048.0 {
            assert_eq!(got, f);
            kinds[0] += 1;
        } else if wave > 8192.0 {
            assert_eq!(got, f / 32.0);
            kinds[2] += 1;
        } else {
            let kept = (8192.0 / wave - 1.0) / 3.0;
            let expected = (1.0 - kept) * f / 32.0 + kept * f;
            assert!((got - expected).abs() < 1e-5 * f, "{got} {expected}");
            kinds[1] += 1;
        }
    }
    assert_eq!(kinds, [15, 3, 14]);
}
