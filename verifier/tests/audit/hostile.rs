//! Bytes that a miner might send instead of a payload.

use crate::scene::{NO_ROOT, SCENE, beacon, device, judge_bare, reason, salts, unit};
use miner::{GradientInputs, RolloutInputs, gradient, rollout};
use proptest::prelude::*;
use protocol::{
    codec::encode,
    gradient::Payload as GradientPayload,
    rollout::{Payload, Totals},
    task::UnitKind,
    verdict::Check,
};
use verifier::rollout::Claimed;

/// `SplitMix64`: mutations that a seed gives.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % count.max(1) as u64).unwrap()
    }

    /// Flips, overwrites, inserts, removes or cuts; the result always differs from the input.
    fn mutate(&mut self, honest: &[u8]) -> Vec<u8> {
        let mut bytes = honest.to_vec();
        while bytes == honest {
            for _ in 0..=self.below(3) {
                let at = self.below(bytes.len());
                match self.below(6) {
                    0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                    1 if !bytes.is_empty() => bytes[at] = self.next().to_le_bytes()[0],
                    2 => bytes.insert(at, self.next().to_le_bytes()[0]),
                    3 if !bytes.is_empty() => drop(bytes.remove(at)),
                    4 => bytes.truncate(at),
                    _ => {
                        let end = bytes.len().min(at + 4);
                        bytes[at..end].fill(0xff);
                    }
                }
            }
        }
        bytes
    }
}

#[test]
fn mutated_rollout_payloads_are_never_accepted() {
    let task = SCENE.task();
    let inputs = SCENE.rollout_inputs(&task);
    let work = rollout::execute(&inputs, &salts(&task), &device()).unwrap();
    let (honest, sound) = (encode(&work.payload), SCENE.claimed(&work.payload));
    let mut chance = Chance(42);
    for round in 0..300 {
        let bytes = chance.mutate(&honest);
        // A careful miner commits to what it sends, and opens what it sealed.
        let decoded = Payload::decode(&bytes);
        let claimed = decoded
            .as_ref()
            .map_or_else(|_| sound.clone(), |payload| SCENE.claimed(payload));
        let judged = verifier::rollout::judge(&inputs, &claimed, &bytes, &device());
        let accepted = judged.verdict.accepts();
        // A unit's own seals are for the opening to check; blobs that differ there only are right.
        let sealed_otherwise = decoded.is_ok_and(|payload| payload.groups == work.payload.groups);
        assert!(!accepted || sealed_otherwise, "round {round}");
        assert!(
            SCENE.admit(task.unit, sound.root, &bytes).is_err(),
            "round {round}"
        );
    }
}

#[test]
fn mutated_gradient_payloads_are_never_accepted() {
    let beacon = beacon(4);
    let inputs = SCENE.reinforce_inputs(&beacon);
    let honest_work = crate::scene::honest(&inputs);
    let payload = &honest_work.work.payload;
    let honest = encode(payload);
    let mut chance = Chance(43);
    for round in 0..100 {
        let bytes = chance.mutate(&honest);
        let lied = GradientPayload::decode(&bytes).unwrap_or(payload.clone());
        let claimed = verifier::gradient::Claimed {
            tokens_count: lied.tokens_count,
            loss_micro: lied.loss_micro(),
            ..honest_work.claimed(&inputs, 0)
        };
        let verdict = verifier::gradient::judge(&inputs, &claimed, &bytes, &device()).verdict;
        assert!(!verdict.accepts(), "round {round}");
        drop(SCENE.admit(inputs.unit, NO_ROOT, &bytes));
    }
}

#[test]
fn mutated_rollouts_that_were_accepted_do_not_stop_a_gradient() {
    let beacon = beacon(4);
    let mut chance = Chance(44);
    let mut learned = 0;
    for _ in 0..60 {
        let mut inputs = SCENE.reinforce_inputs(&beacon);
        for (_, payload) in &mut inputs.generation.as_mut().unwrap().rollouts {
            let bytes = chance.mutate(&encode(payload));
            if let Ok(hostile) = Payload::decode(&bytes) {
                *payload = hostile;
            }
        }
        learned += usize::from(gradient::payload(&inputs, &device()).is_ok());
    }
    assert!(learned > 30, "only {learned} of 60 units learned anything");
}

#[test]
fn a_model_that_left_the_numbers_is_judged_like_any_other() {
    let mut broken = SCENE.model.clone();
    broken.as_mut_slice().fill(1e30);
    let task = SCENE.task();
    let inputs = RolloutInputs {
        model: &broken,
        ..SCENE.rollout_inputs(&task)
    };
    let judge = |work: &rollout::Work| {
        let claimed = SCENE.claimed_of(work);
        let blob = encode(&work.payload);
        verifier::rollout::judge(&inputs, &claimed, &blob, &device()).verdict
    };
    let execute = |inputs| rollout::execute(inputs, &salts(&task), &device()).unwrap();
    // Its hidden states are no numbers, which bf16 writes in one way: rollouts stay exact.
    assert!(judge(&execute(&inputs)).accepts());
    let sound = execute(&SCENE.rollout_inputs(&task));
    assert_eq!(reason(&judge(&sound)), Some(Check::Sampling));
    // It has no loss, so nobody can have an honest gradient of it.
    // In reinforcement learning it is the sum that is no number, which who repeats the first part
    // does not see; the losses are those of another model.
    for (step, generation, check) in [
        (3, None, Check::Commitment),
        (
            4,
            SCENE.reinforce_inputs(&beacon(4)).generation,
            Check::Loss,
        ),
    ] {
        let beacon = beacon(step);
        let honest = GradientInputs {
            unit: unit(step, UnitKind::Gradient, 0),
            generation,
            ..SCENE.pretrain_inputs(&beacon)
        };
        let payload = gradient::payload(&honest, &device()).unwrap();
        let inputs = GradientInputs {
            model: &broken,
            ..honest
        };
        assert!(gradient::payload(&inputs, &device()).is_err());
        let verdict = judge_bare(&inputs, &payload);
        assert_eq!(reason(&verdict), Some(check));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn random_bytes_are_never_accepted(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let task = SCENE.task();
        let inputs = SCENE.rollout_inputs(&task);
        let totals = Totals::default();
        let claimed = Claimed { root: NO_ROOT, totals, opened: None, plant: None, class: None };
        let judged = verifier::rollout::judge(&inputs, &claimed, &bytes, &device());
        prop_assert!(!judged.verdict.accepts());
        let beacon = beacon(3);
        let inputs = SCENE.pretrain_inputs(&beacon);
        prop_assert!(SCENE.admit(inputs.unit, NO_ROOT, &bytes).is_err());
        prop_assert!(SCENE.admit(task.unit, NO_ROOT, &bytes).is_err());
        let claimed = verifier::gradient::Claimed {
            root: NO_ROOT,
            tokens_count: 1,
            loss_micro: 0,
            feedback: None,
            segment: 0,
            start: None,
            last: None,
            opened: None,
        };
        let judged = verifier::gradient::judge(&inputs, &claimed, &bytes, &device());
        prop_assert!(!judged.verdict.accepts());
    }
}
