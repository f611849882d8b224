//! Compression, aggregation and the outer step.

use super::super::*;
use crate::testing::{config, model};
use proptest::prelude::*;

fn values(length: usize, scale: f32, seed: u8) -> Vec<f32> {
    let words = crate::testing::tokens(length, 1 << 24, seed);
    words
        .iter()
        .map(|&word| (word as f32 / 8_388_608.0 - 1.0) * scale)
        .collect()
}

#[test]
fn compression_error_is_at_most_half_a_code() {
    for scale in [1.9, 0.5, 1e-3, 1e-7] {
        let values = values(1000, scale, 1);
        let update = CompressedUpdate::compress(&values).unwrap();
        for (block, back) in values.chunks(256).zip(update.decompress().chunks(256)) {
            let largest = block.iter().fold(0.0_f32, |a, x| a.max(x.abs()));
            for (x, y) in block.iter().zip(back) {
                assert!(
                    (x - y).abs() <= 0.505 * largest / 127.0 * 1.01,
                    "{x} became {y}"
                );
            }
        }
        let bytes = update.encode();
        assert_eq!(bytes.len(), compress::encoded_length(1000));
        assert_eq!(CompressedUpdate::decode(&bytes, 1000).unwrap(), update);
    }
}

#[test]
fn values_that_cannot_be_compressed_are_errors() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let error = CompressedUpdate::compress(&[0.0, bad]).unwrap_err();
        assert_eq!(error, CompressError::NonFinite { index: 1 });
    }
    let error = CompressedUpdate::compress(&[1.9, -2.0]).unwrap_err();
    assert!(
        matches!(error, CompressError::OutOfRange { index: 1, .. }),
        "{error}"
    );
}

#[test]
fn hostile_updates_are_refused() {
    let update = CompressedUpdate::compress(&values(300, 0.1, 2)).unwrap();
    let bytes = update.encode();
    let decode = |bytes: &[u8]| CompressedUpdate::decode(bytes, 300).unwrap_err();
    assert!(matches!(
        decode(&bytes[1..]),
        DecodeError::Length {
            length: 307,
            expected: 308,
            ..
        }
    ));
    assert!(CompressedUpdate::decode(&bytes, usize::MAX).is_err());
    assert!(CompressedUpdate::decode(&[], 0).is_ok());
    let with = |index: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[index] = value;
        bytes
    };
    assert_eq!(decode(&with(7, 0x80)), DecodeError::Code { index: 3 });
    // The scale's highest byte: codes no longer explain it only if they are not at 127.
    let mut zero_codes = bytes.clone();
    zero_codes[4..260].fill(0);
    assert!(matches!(
        decode(&zero_codes),
        DecodeError::Scale {
            block: 0,
            code: 0,
            ..
        }
    ));
    let mut zero_scale = bytes.clone();
    zero_scale[..4].fill(0);
    assert!(matches!(
        decode(&zero_scale),
        DecodeError::Scale {
            block: 0,
            scale: 0,
            ..
        }
    ));
    let mut small_codes = bytes;
    small_codes[4..260].fill(100);
    assert!(matches!(
        decode(&small_codes),
        DecodeError::Scale { code: 100, .. }
    ));
}

proptest! {
    #[test]
    fn compressed_bytes_are_canonical(
        values in prop::collection::vec(-1.9_f32..1.9, 0..600),
        power in 0_i32..60,
    ) {
        let values: Vec<f32> = values.iter().map(|x| x * 2.0_f32.powi(-power)).collect();
        let update = CompressedUpdate::compress(&values).unwrap();
        let bytes = update.encode();
        prop_assert_eq!(CompressedUpdate::decode(&bytes, values.len()).unwrap(), update);
    }

    #[test]
    fn decoded_bytes_encode_to_themselves(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        for count in 0..bytes.len() {
            if let Ok(update) = CompressedUpdate::decode(&bytes, count) {
                prop_assert_eq!(update.encode(), bytes.clone());
            }
        }
    }
}

#[test]
fn nesterov_follows_its_formula() {
    let optimizer = OuterOptimizer::Nesterov {
        lr: 0.5,
        momentum: 0.9,
    };
    let mut model = model();
    let mut state = OuterState::new(&optimizer, &config());
    let start = model.as_slice()[10];
    let gradient = vec![0.25; model.as_slice().len()];
    let threads = Threads::new(1);
    for _ in 0..2 {
        state
            .step(&optimizer, &mut model, &gradient, &threads)
            .unwrap();
    }
    // b1 = .25, d1 = .25 + .9*.25; b2 = .475, d2 = .25 + .9*.475
    let expected = start - 0.5 * (0.475 + 0.6775);
    assert!((model.as_slice()[10] - expected).abs() < 1e-6);
    assert_eq!(state.step_count(), 2);
}

#[test]
fn adamw_outer_step_moves_every_parameter_by_the_step_size() {
    let optimizer = OuterOptimizer::AdamW {
        lr: 0.01,
        beta1: 0.9,
        beta2: 0.99,
        eps: 1e-12,
        weight_decay: 0.0,
        clip_norm: 0.3,
    };
    let mut moved = model();
    let mut state = OuterState::new(&optimizer, &config());
    let gradient = vec![1e-3; moved.as_slice().len()];
    state
        .step(&optimizer, &mut moved, &gradient, &Threads::new(1))
        .unwrap();
    for (before, after) in model().as_slice().iter().zip(moved.as_slice()) {
        assert!((before - after - 0.01).abs() < 1e-5);
    }
}
