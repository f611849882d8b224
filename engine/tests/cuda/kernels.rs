//! Single kernels where a model would hardly take them: ties, infinities, wide rows.

use crate::gpus;
use crate::values::{Memory, assert_same, launch, values};
use engine::arithmetic::elementary::{bf16_bits, exp, log, sigmoid};
use engine::sampler::{greedy, sample};

/// Runs the `draw` kernel on rows of logits.
fn draw(
    device: &dyn engine::cuda::Driver,
    logits: &[f32],
    (seeds, positions): (&[[u8; 32]], &[u64]),
    temperature: Option<f32>,
) -> Vec<u32> {
    let rows = seeds.len();
    let position_bytes: Vec<u8> = positions.iter().flat_map(|p| p.to_le_bytes()).collect();
    let logits_memory = Memory::floats(device, logits);
    let seeds_memory = Memory::bytes(device, &seeds.concat());
    let positions_memory = Memory::bytes(device, &position_bytes);
    let tokens = Memory::words(device, &vec![0; rows]);
    let arguments = [
        logits_memory.address,
        seeds_memory.address,
        positions_memory.address,
        u64::from(temperature.unwrap_or(1.0).to_bits()),
        u64::from(temperature.is_none()),
        (logits.len() / rows) as u64,
        tokens.address,
    ];
    let blocks = u32::try_from(rows).unwrap();
    launch(device, "draw", [blocks, 1, 1], 256, &arguments);
    tokens.to_words()
}

#[test]
fn draws_equal_the_sampler_with_ties_and_numbers_that_are_none() {
    for vocabulary in [1, 15, 16, 17, 300, 5000] {
        let mut rows: Vec<Vec<f32>> = (0..4).map(|seed| values(vocabulary, seed)).collect();
        rows.push(vec![0.25; vocabulary]);
        rows.push(vec![f32::NEG_INFINITY; vocabulary]);
        rows.push(vec![f32::NAN; vocabulary]);
        // Ties far apart, a NaN at the start and elsewhere, an infinity twice.
        for (first, second, value) in [(0, 9, 3.0), (7, 4000, 3.0), (2, 250, f32::INFINITY)] {
            let mut row = values(vocabulary, 5);
            row[first % vocabulary] = value;
            row[second % vocabulary] = value;
            let mut other = row.clone();
            other[0] = f32::NAN;
            row[vocabulary / 2] = f32::NAN;
            rows.extend([row, other]);
        }
        let seeds: Vec<[u8; 32]> = (0..rows.len())
            .map(|row| std::array::from_fn(|i| u8::try_from((row * 37 + i * 11) % 256).unwrap()))
            .collect();
        let positions: Vec<u64> = (0..rows.len() as u64)
            .map(|row| row * row * row * 0x0123_4567_89ab)
            .collect();
        for gpu in gpus() {
            let places = (&seeds[..], &positions[..]);
            let drawn = draw(gpu.driver(), &rows.concat(), places, Some(0.8));
            let best = draw(gpu.driver(), &rows.concat(), places, None);
            for (index, row) in rows.iter().enumerate() {
                let expected = sample(row, &seeds[index], positions[index], 0.8);
                assert_eq!(drawn[index], expected, "row {index} of {vocabulary}");
                assert_eq!(best[index], greedy(row), "row {index} of {vocabulary}");
            }
        }
    }
}

/// `sum` as the specification says it.
fn sum(values: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 16];
    for (index, value) in values.iter().enumerate() {
        lanes[index % 16] += value;
    }
    for width in [8, 4, 2, 1] {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
    }
    lanes[0]
}

#[test]
fn rows_of_logits_of_all_widths_follow_the_formulas() {
    for vocabulary in [1, 17, 2047, 2048, 2049, 6000] {
        let logits: Vec<f32> = values(3 * vocabulary, 8).iter().map(|x| x * 30.0).collect();
        let targets = [0, u32::MAX, u32::try_from(vocabulary).unwrap() - 1];
        let (temperature, factors) = (0.7, [1.5, 9.0, -0.25]);
        for gpu in gpus() {
            let device = gpu.driver();
            let memory = Memory::floats(device, &logits);
            let targets_memory = Memory::words(device, &targets);
            let [sums, logprobs] = [(); 2].map(|()| Memory::floats(device, &[0.0; 3]));
            let factors_memory = Memory::floats(device, &factors);
            let arguments = [
                memory.address,
                targets_memory.address,
                u64::from(f32::to_bits(temperature)),
                sums.address,
                logprobs.address,
                vocabulary as u64,
            ];
            launch(device, "exponentials", [3, 1, 1], 256, &arguments);
            let arguments = [
                memory.address,
                targets_memory.address,
                sums.address,
                factors_memory.address,
                vocabulary as u64,
            ];
            launch(device, "slopes", [3, 1, 1], 256, &arguments);
            let (found, found_logprobs) = (memory.to_floats(), logprobs.to_floats());
            for row in 0..3 {
                let range = row * vocabulary..(row + 1) * vocabulary;
                if targets[row] == u32::MAX {
                    assert_same(
                        &found[range],
                        &vec![0.0; vocabulary],
                        "row without a target",
                    );
                    continue;
                }
                let target = targets[row] as usize;
                let scaled: Vec<f32> = logits[range.clone()]
                    .iter()
                    .map(|x| x / temperature)
                    .collect();
                let largest = scaled.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let mut row_values: Vec<f32> = scaled.iter().map(|x| exp(x - largest)).collect();
                let total = sum(&row_values);
                let reciprocal = 1.0 / total;
                let own = row_values[target] * reciprocal;
                for value in &mut row_values {
                    *value = (*value * reciprocal) * factors[row];
                }
                row_values[target] = (own - 1.0) * factors[row];
                assert_same(&found[range], &row_values, "slopes");
                let logprob = (scaled[target] - largest) - log(total);
                assert_same(&[found_logprobs[row]], &[logprob], "log-probability");
            }
        }
    }
}

#[test]
fn gated_units_of_all_numbers_follow_the_formula() {
    // Every exponent, both signs, some mantissas: subnormals, infinities and NaN among them.
    let numbers: Vec<f32> = (0..=0xffff_u32)
        .step_by(37)
        .map(|high| f32::from_bits(high << 16 | 0x5a5a))
        .collect();
    let ups = values(numbers.len(), 3);
    let width = numbers.len();
    for gpu in gpus() {
        let device = gpu.driver();
        let gate_up = Memory::floats(device, &[&numbers[..], &ups].concat());
        let out = Memory::floats(device, &vec![0.0; width]);
        let halves = Memory::bytes(device, &vec![0; 2 * width]);
        let arguments = [gate_up.address, out.address, width as u64, width as u64];
        let blocks = u32::try_from(width.div_ceil(256)).unwrap();
        launch(device, "swiglu", [blocks, 1, 1], 256, &arguments);
        let arguments = [gate_up.address, halves.address, width as u64];
        launch(device, "round_bfloat16", [blocks, 1, 1], 256, &arguments);
        let (found, halves) = (out.to_floats(), halves.to_bytes());
        for (index, (&g, &u)) in numbers.iter().zip(&ups).enumerate() {
            let expected = (g * sigmoid(g)) * u;
            let same = found[index].to_bits() == expected.to_bits();
            assert!(
                same || (found[index].is_nan() && expected.is_nan()),
                "swiglu of {g:e}"
            );
            let half = u16::from_le_bytes([halves[2 * index], halves[2 * index + 1]]);
            assert_eq!(half, bf16_bits(g), "bfloat16 of {g:e}");
        }
    }
}
