//! The sampler's distribution, ties and margins.

use super::*;

#[test]
fn samples_follow_the_softmax() {
    let logits = [1.0_f32, 0.0, -1.0, 2.0];
    let sum: f32 = logits.iter().map(|x| x.exp()).sum();
    let mut counts = [0_u32; 4];
    for position in 0..40_000 {
        counts[sample(&logits, &[5; 32], position, 1.0) as usize] += 1;
    }
    for (count, logit) in counts.iter().zip(logits) {
        let expected = f64::from(logit.exp() / sum) * 40_000.0;
        assert!(
            (f64::from(*count) - expected).abs() < 5.0 * expected.sqrt(),
            "{counts:?}"
        );
    }
}

#[test]
fn margin_is_zero_for_the_honest_token_only() {
    let logits: Vec<f32> = (0_u8..50).map(|i| f32::from(i % 7)).collect();
    for position in 0..100 {
        let honest = sample(&logits, &[1; 32], position, 1.3);
        for token in 0..50 {
            let margin = margin(&logits, &[1; 32], position, 1.3, token);
            assert_eq!(margin == 0.0, token == honest);
            assert!(margin >= 0.0);
        }
    }
    assert_eq!(margin(&logits, &[1; 32], 0, 1.0, 50), f32::INFINITY);
}

#[test]
fn draws_at_consecutive_positions_are_those_of_each() {
    let logits: Vec<f32> = (0_u8..50).map(|i| f32::from(i % 7)).collect();
    let found = draws(&logits, 10, &[4; 32], 3, 0.8);
    let rows = (3..).zip(logits.chunks_exact(10));
    let each: Vec<u32> = rows
        .map(|(position, row)| sample(row, &[4; 32], position, 0.8))
        .collect();
    assert_eq!(found, each);
    assert!(
        draws(&logits, 0, &[4; 32], 3, 0.8).len() == 50,
        "a vocabulary of one at least"
    );
}

#[test]
fn ties_go_to_the_lower_id() {
    assert_eq!(greedy(&[0.0, 3.0, 3.0, 1.0]), 1);
    assert_eq!(greedy(&[-0.0, 0.0]), 0);
}

#[test]
fn words_are_the_keyed_stream_of_the_position() {
    let logits = [0.0; 3];
    let mut scratch = Scratch::default();
    scratch.perturb(&logits, &[8; 32], 258, 1.0);
    let mut message = b"gumbel/v1".to_vec();
    message.extend([2, 1, 0, 0, 0, 0, 0, 0]);
    let hash = blake3::keyed_hash(&[8; 32], &message);
    let words = hash
        .as_bytes()
        .as_chunks::<4>()
        .0
        .iter()
        .map(|w| u32::from_le_bytes(*w));
    assert_eq!(scratch.words, words.take(3).collect::<Vec<_>>());
}

#[test]
fn perturbed_scores_have_the_same_bits_on_every_path() {
    let words = crate::testing::tokens(1001, 1 << 30, 3);
    let words: Vec<u32> = words.iter().map(|word| word << 2 | word >> 28).collect();
    let logits: Vec<f32> = words
        .iter()
        .map(|&word| (word >> 20) as f32 * 0.01)
        .collect();
    let mut results = crate::KernelPath::supported().into_iter().map(|path| {
        let mut scores = vec![0.0; words.len()];
        let kernels = Kernels::new(path).unwrap_or_else(|| unreachable!("supported"));
        perturb(kernels, &logits, &words, 0.7, &mut scores);
        crate::testing::bits(&scores)
    });
    let first = results.next();
    assert!(results.all(|scores| Some(scores) == first));
}
