//! Vectors from `spec/vectors/toploc.json`, and properties.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::float_arithmetic,
    reason = "tests"
)]

use super::*;
use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, proptest};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    proofs: Vec<ProofVector>,
    selections: Vec<SelectionVector>,
    malformed: Vec<MalformedVector>,
}

#[derive(Deserialize)]
struct ProofVector {
    name: String,
    x: Vec<u32>,
    y: Vec<u16>,
    modulus: u16,
    hex: String,
    base64: String,
}

#[derive(Deserialize)]
struct SelectionVector {
    name: String,
    values: Vec<u16>,
    top_count: usize,
    indices: Vec<u32>,
}

#[derive(Deserialize)]
struct MalformedVector {
    name: String,
    hex: String,
    error: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../../../spec/vectors/toploc.json")).unwrap()
}

/// Pseudo-random bits without a source of entropy.
fn noise(seed: u64, count: usize) -> Vec<u64> {
    let mut reader = blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof();
    let mut bytes = vec![0; count * 8];
    reader.fill(&mut bytes);
    bytes
        .as_chunks::<8>()
        .0
        .iter()
        .map(|&word| u64::from_le_bytes(word))
        .collect()
}

/// Finite bf16 values whose magnitudes halve in frequency with every exponent, either sign.
fn activations(seed: u64, count: usize) -> Vec<u16> {
    let value = |bits: u64| {
        let exponent = 118 + bits.leading_zeros().min(20) as u16;
        ((bits & 0x8000) as u16) | (exponent << 7) | (bits & 0x7f) as u16
    };
    noise(seed, count).into_iter().map(value).collect()
}

const LAYOUT: Layout = Layout {
    hidden: 96,
    prefill_tokens: 9,
    chunk_tokens: 32,
    top_count: 128,
};

fn layout_of(values: &[u16], layout: Layout) -> Activations<'_> {
    Activations::new(values, layout).unwrap()
}

#[test]
fn published_points_give_the_published_bytes() {
    for vector in vectors().proofs {
        let points: Vec<_> = vector.x.into_iter().zip(vector.y.clone()).collect();
        let proof = Proof::from_points(&points).unwrap();
        assert_eq!(proof.modulus(), vector.modulus, "{}", vector.name);
        assert_eq!(hex::encode(proof.to_bytes()), vector.hex, "{}", vector.name);
        assert_eq!(proof.to_base64(), vector.base64, "{}", vector.name);
        assert_eq!(
            Proof::from_base64(&vector.base64).unwrap(),
            proof,
            "{}",
            vector.name
        );
        assert_eq!(
            proof.values_at(points.iter().map(|&(x, _)| x)),
            vector.y,
            "{}",
            vector.name
        );
    }
}

#[test]
fn selection_follows_the_table() {
    for vector in vectors().selections {
        let mut indices: Vec<u32> = select::Selector::new(vector.top_count)
            .largest(&vector.values)
            .iter()
            .map(|&(x, _)| x)
            .collect();
        indices.sort_unstable();
        assert_eq!(indices, vector.indices, "{}", vector.name);
    }
}

#[test]
fn malformed_bytes_are_named() {
    for vector in vectors().malformed {
        let error = Proof::from_bytes(&hex::decode(vector.hex).unwrap()).unwrap_err();
        let kind = match error {
            WireError::Length { .. } => "length",
            WireError::Base64 { .. } => "base64",
            WireError::Modulus { .. } => "modulus",
            WireError::Coefficient { .. } => "coefficient",
        };
        assert_eq!(kind, vector.error, "{}", vector.name);
    }
    assert!(Proof::from_bytes(&[1; 2 + 2 * TOP_COUNT_MAX]).is_ok());
    assert!(Proof::from_bytes(&[1; 4 + 2 * TOP_COUNT_MAX]).is_err());
    for text in [
        "/9kbQitnukt1bQ",
        "/9kbQitnukt1bQ= =",
        "_9kbQitnukt1bQ==",
        "/9kbQitnukt1bR==",
    ] {
        assert!(Proof::from_base64(text).is_err(), "{text}");
    }
}

#[test]
fn chunks_are_the_prefill_and_then_thirty_two_tokens_each() {
    for (prefill_tokens, response_tokens, wanted) in [
        (9, 70, vec![9, 32, 32, 6]),
        (9, 0, vec![9]),
        (0, 33, vec![32, 1]),
        (0, 0, vec![]),
        (1, 32, vec![1, 32]),
    ] {
        let values = activations(1, 96 * (prefill_tokens + response_tokens));
        let activations = layout_of(
            &values,
            Layout {
                prefill_tokens,
                ..LAYOUT
            },
        );
        let rows: Vec<usize> = activations.chunks().map(|chunk| chunk.len() / 96).collect();
        assert_eq!(rows, wanted);
        let proofs = build(&activations).unwrap();
        assert_eq!(proofs.len(), wanted.len());
        assert!(verify(&proofs, &activations, Rule::Exact).is_ok());
    }
}

#[test]
fn impossible_layouts_are_refused() {
    let values = vec![0; 960];
    for layout in [
        Layout {
            hidden: 0,
            ..LAYOUT
        },
        Layout {
            hidden: usize::MAX,
            ..LAYOUT
        },
        Layout {
            hidden: 97,
            ..LAYOUT
        },
        Layout {
            prefill_tokens: 11,
            ..LAYOUT
        },
        Layout {
            prefill_tokens: usize::MAX,
            ..LAYOUT
        },
        Layout {
            chunk_tokens: 0,
            ..LAYOUT
        },
        Layout {
            chunk_tokens: usize::MAX,
            ..LAYOUT
        },
        Layout {
            top_count: 0,
            ..LAYOUT
        },
        Layout {
            top_count: TOP_COUNT_MAX + 1,
            ..LAYOUT
        },
    ] {
        assert!(Activations::new(&values, layout).is_err(), "{layout:?}");
    }
}

#[test]
fn honest_proofs_agree_without_any_distance() {
    for rule in [Rule::Exact, Rule::Tolerant(Thresholds::PAPER)] {
        for seed in 0..20 {
            let values = activations(seed, 96 * 79);
            let activations = layout_of(&values, LAYOUT);
            for agreement in verify(&build(&activations).unwrap(), &activations, rule).unwrap() {
                assert_eq!(agreement.compared_count, 128);
                assert_eq!(agreement.exponent_mismatches, 0);
                let distance = MantissaDistance {
                    mean_thousandths: 0,
                    median: 0,
                };
                assert_eq!(agreement.mantissa, Some(distance));
            }
        }
    }
}

/// Every rejection has a row: what was done to honest proofs or values, the rule, the code.
#[test]
#[expect(clippy::too_many_lines, reason = "one table of rows")]
fn every_rejection_has_its_code() {
    let values = activations(3, 96 * 41);
    let activations = layout_of(&values, LAYOUT);
    let honest: Vec<Vec<u8>> = build(&activations)
        .unwrap()
        .iter()
        .map(Proof::to_bytes)
        .collect();
    let tolerant = Rule::Tolerant(Thresholds::PAPER);
    let changed = |change: fn(&mut Vec<Vec<u8>>)| {
        let mut proofs = honest.clone();
        change(&mut proofs);
        proofs
    };
    let narrow = |exponent_mismatches_max, mantissa_mean_thousandths_max, mantissa_median_max| {
        Rule::Tolerant(Thresholds {
            exponent_mismatches_max,
            mantissa_mean_thousandths_max,
            mantissa_median_max,
        })
    };
    // The polynomial plus a constant: every mantissa is off by that much, carries aside.
    let shifted = changed(|proofs| {
        let mut word = u16::from_be_bytes([proofs[1][2], proofs[1][3]]);
        word = (word + 5) % MODULUS_MAX;
        proofs[1][2..4].copy_from_slice(&word.to_be_bytes());
    });
    let flipped = changed(|proofs| {
        let word = u16::from_be_bytes([proofs[1][2], proofs[1][3]]);
        let word = (u32::from(word) + 0x8000) % u32::from(PRIME);
        proofs[1][2..4].copy_from_slice(&(word as u16).to_be_bytes());
    });
    let rows: Vec<(&str, Vec<Vec<u8>>, Rule, u16)> = vec![
        ("null proof", changed(|p| p[0].fill(0)), tolerant, 1),
        ("empty proof", changed(|p| p[0].clear()), tolerant, 1),
        ("missing proof", changed(|p| drop(p.pop())), tolerant, 2),
        ("no proofs", changed(Vec::clear), tolerant, 2),
        (
            "extra proof",
            changed(|p| p.push(p[0].clone())),
            tolerant,
            2,
        ),
        (
            "short proof",
            changed(|p| p[1].truncate(2 + 2 * 127)),
            tolerant,
            3,
        ),
        ("long proof", changed(|p| p[1].extend([0, 0])), tolerant, 3),
        (
            "modulus too small",
            changed(|p| p[1][..2].copy_from_slice(&[0, 127])),
            tolerant,
            4,
        ),
        (
            "all coefficients zero",
            changed(|p| p[1][2..].fill(0)),
            tolerant,
            11,
        ),
        (
            "degree 119",
            changed(|p| p[1][2 + 2 * 120..].fill(0)),
            tolerant,
            11,
        ),
        (
            "degree 120",
            changed(|p| p[1][2 + 2 * 121..].fill(0)),
            narrow(128, 0, 0),
            10,
        ),
        ("shifted, exact", shifted.clone(), Rule::Exact, 6),
        ("flipped, exact", flipped.clone(), Rule::Exact, 6),
        ("shifted, mean", shifted.clone(), narrow(128, 4_000, 127), 8),
        ("shifted, median", shifted, narrow(128, 127_000, 4), 9),
        ("copied chunk", changed(|p| p.swap(0, 1)), tolerant, 7),
    ];
    for (name, proofs, rule, code) in rows {
        let rejection = verify_bytes(&proofs, &activations, rule).unwrap_err();
        assert_eq!(rejection.code(), code, "{name}: {rejection}");
    }
    let rejection = verify_bytes(&flipped, &activations, narrow(128, 127_000, 127)).unwrap_err();
    assert_eq!(rejection.code(), 10, "{rejection}");
    assert!(verify_bytes(&honest, &activations, narrow(0, 0, 0)).is_ok());
}

#[test]
fn negated_activations_are_rejected_under_any_thresholds() {
    let values = activations(4, 96 * 32);
    let negated: Vec<u16> = values.iter().map(|value| value ^ 0x8000).collect();
    let layout = Layout {
        prefill_tokens: 0,
        ..LAYOUT
    };
    let proofs = build(&layout_of(&negated, layout)).unwrap();
    let lax = Thresholds {
        exponent_mismatches_max: u32::MAX,
        mantissa_mean_thousandths_max: u32::MAX,
        mantissa_median_max: u32::MAX,
    };
    let rejection = verify(&proofs, &layout_of(&values, layout), Rule::Tolerant(lax)).unwrap_err();
    assert_eq!(
        rejection,
        Rejection::NothingAgrees {
            chunk_index: 0,
            compared_count: 128
        }
    );
}

/// The forgery that passes the reference library's checks on bell-shaped activations. Hiding the
/// constant in a polynomial of full degree takes knowing where the largest activations are.
#[test]
fn constants_fitted_on_other_activations_are_rejected() {
    let layout = Layout {
        hidden: 1024,
        prefill_tokens: 0,
        ..LAYOUT
    };
    for seed in 0..20 {
        let points = select::Selector::new(128).largest(&activations(seed + 1000, 32 * 1024));
        let mut magnitudes: Vec<u16> = points.iter().map(|&(_, y)| y & 0x7fff).collect();
        magnitudes.sort_unstable();
        let mut bytes = vec![0; 258];
        bytes[..2].copy_from_slice(&MODULUS_MAX.to_be_bytes());
        bytes[2..4].copy_from_slice(&magnitudes[64].to_be_bytes());
        let values = activations(seed, 32 * 1024);
        let own = layout_of(&values, layout);
        let tolerant = Rule::Tolerant(Thresholds::PAPER);
        assert_eq!(
            verify_bytes(&[&bytes], &own, tolerant).unwrap_err().code(),
            11
        );
        // The same constant as the value of a full-degree polynomial at guessed places.
        let guess = |index: u32| (index, magnitudes[64] ^ ((index % 2) as u16) << 15);
        let guessed: Vec<(u32, u16)> = (0..128).map(|step| guess(step * 251)).collect();
        let proof = Proof::from_points(&guessed).unwrap();
        assert_eq!(verify(&[proof], &own, tolerant).unwrap_err().code(), 7);
    }
}

#[test]
fn a_not_a_number_beyond_the_field_admits_no_proof() {
    let mut values = activations(5, 96 * 32);
    let layout = Layout {
        prefill_tokens: 0,
        ..LAYOUT
    };
    let honest = build(&layout_of(&values, layout)).unwrap();
    values[7] = 0xffd9;
    let activations = layout_of(&values, layout);
    let error = BuildError::Unrepresentable {
        index: 7,
        bits: 0xffd9,
    };
    assert_eq!(build(&activations), Err(error.clone()));
    assert_eq!(
        verify(&honest, &activations, Rule::Exact),
        Err(Rejection::Unprovable {
            chunk_index: 0,
            error
        })
    );
}

#[test]
fn points_without_a_modulus_or_of_impossible_count_are_refused() {
    let count = |error| matches!(error, Err(BuildError::PointCount { .. }));
    assert!(count(Proof::from_points(&[])));
    assert!(count(Proof::from_points(&vec![(0, 0); TOP_COUNT_MAX + 1])));
    assert_eq!(
        Proof::from_points(&[(5, 1), (5, 2)]),
        Err(BuildError::Modulus { point_count: 2 })
    );
}

/// The definition, by a full sort.
fn largest_by_sorting(values: &[u16], top_count: usize) -> Vec<(u32, u16)> {
    let mut points: Vec<(u32, u16)> = (0..).zip(values.iter().copied()).collect();
    points.sort_by_key(|&(index, value)| (std::cmp::Reverse(value & 0x7fff), index));
    points.truncate(top_count);
    points.sort_unstable();
    points
}

/// Bell-shaped bf16 bits times a power of two.
fn bell_shaped(seed: u64, count: usize, exponent: u16) -> Vec<u16> {
    let value = |word: &u64| {
        let sum: u32 = word.to_le_bytes().iter().map(|&byte| u32::from(byte)).sum();
        let magnitude = sum.abs_diff(1020);
        let bits = (magnitude as f32 / 256.0).to_bits() >> 16;
        let sign = if sum < 1020 { 0x8000 } else { 0 };
        (bits as u16).saturating_add(exponent << 7) | sign
    };
    noise(seed, count).iter().map(value).collect()
}

#[test]
fn guessing_from_a_sample_and_from_the_chunk_before_changes_nothing() {
    // Smaller, larger, equal and short chunks follow each other, so that guesses are too high,
    // too low, right, and absent.
    let spikes = |mut values: Vec<u16>| {
        values.iter_mut().step_by(4096).for_each(|v| *v = 0x4700);
        values
    };
    let chunks = [
        bell_shaped(1, 40_000, 0),
        bell_shaped(2, 40_000, 0),
        bell_shaped(3, 40_000, 9),
        bell_shaped(4, 40_000, 1),
        vec![0; 10_000],
        bell_shaped(5, 100, 0),
        spikes(bell_shaped(6, 40_001, 0)),
        vec![0x3f80; 20_000],
        bell_shaped(7, 163_840, 0),
    ];
    for top_count in [1, 31, 128, 512] {
        let mut selector = select::Selector::new(top_count);
        for (number, chunk) in chunks.iter().enumerate() {
            let mut selected = selector.largest(chunk);
            selected.sort_unstable();
            let expected = largest_by_sorting(chunk, top_count);
            assert_eq!(selected, expected, "chunk {number}, k = {top_count}");
        }
    }
}

fn values_with_ties() -> impl Strategy<Value = Vec<u16>> {
    let palette = prop::collection::vec(any::<u16>(), 1..40);
    palette.prop_flat_map(|palette| {
        let count = palette.len();
        prop::collection::vec((0..count, Just(palette)), 0..3000).prop_map(|picks| {
            picks
                .into_iter()
                .map(|(pick, palette)| palette[pick])
                .collect()
        })
    })
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn selection_equals_a_full_sort(values in values_with_ties(), top_count in 0_usize..200) {
        let mut selected = select::Selector::new(top_count).largest(&values);
        selected.sort_unstable();
        prop_assert_eq!(selected, largest_by_sorting(&values, top_count));
    }

    #[test]
    fn proofs_round_trip_and_evaluate_to_their_points(
        values in prop::collection::btree_map(any::<u32>(), 0_u16..65_497, 1..200),
    ) {
        let points: Vec<(u32, u16)> = values.iter().map(|(&x, &y)| (x, y)).collect();
        let proof = Proof::from_points(&points).unwrap();
        prop_assert_eq!(&Proof::from_bytes(&proof.to_bytes()).unwrap(), &proof);
        prop_assert_eq!(&Proof::from_base64(&proof.to_base64()).unwrap(), &proof);
        let committed = proof.values_at(points.iter().map(|&(x, _)| x));
        prop_assert_eq!(committed, points.iter().map(|&(_, y)| y).collect::<Vec<_>>());
        let reversed: Vec<_> = points.into_iter().rev().collect();
        prop_assert_eq!(Proof::from_points(&reversed).unwrap(), proof);
    }

    #[test]
    fn hostile_bytes_never_panic(
        proofs in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..4),
        seed in any::<u64>(),
        text in ".{0,400}",
    ) {
        let values = activations(seed, 96 * 41);
        let activations = layout_of(&values, LAYOUT);
        for rule in [Rule::Exact, Rule::Tolerant(Thresholds::PAPER)] {
            prop_assert!(verify_bytes(&proofs, &activations, rule).is_err());
        }
        drop(Proof::from_base64(&text));
    }

    #[test]
    fn hostile_coefficients_are_rejected(
        modulus in 1_u16..=MODULUS_MAX,
        coefficients in prop::collection::vec(0_u16..65_497, 128),
        seed in any::<u64>(),
    ) {
        let values = activations(seed, 96 * 32);
        let activations = layout_of(&values, Layout { prefill_tokens: 0, ..LAYOUT });
        let bytes: Vec<u8> = std::iter::once(modulus)
            .chain(coefficients)
            .flat_map(u16::to_be_bytes)
            .collect();
        for rule in [Rule::Exact, Rule::Tolerant(Thresholds::PAPER)] {
            prop_assert!(verify_bytes(&[&bytes], &activations, rule).is_err());
        }
    }

    #[test]
    fn one_changed_byte_is_not_the_same_proof(
        seed in any::<u64>(), position in 0_usize..258, flip in 1_u8..=255,
    ) {
        let values = activations(seed, 96 * 32);
        let activations = layout_of(&values, Layout { prefill_tokens: 0, ..LAYOUT });
        let mut bytes = build(&activations).unwrap()[0].to_bytes();
        bytes[position] ^= flip;
        prop_assert!(verify_bytes(&[&bytes], &activations, Rule::Exact).is_err());
    }
}
