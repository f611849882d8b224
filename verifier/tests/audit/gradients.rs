use crate::scene::{MINER, SCENE, beacon, device, judge_gradient, reason};
use engine::Device;
use miner::{ExecuteError, GradientInputs, gradient};
use protocol::{
    codec::{BoundedVec, Bytes, encode},
    gradient::Payload,
    rollout,
    verdict::Check,
};
use verifier::{AdmitError, Bound};

/// Runs a test on a unit of each part of the recipe.
fn each_part(test: impl Fn(&str, &GradientInputs<'_>)) {
    let (pretrain, reinforce) = (beacon(3), beacon(4));
    test("pretrain", &SCENE.pretrain_inputs(&pretrain));
    test("reinforce", &SCENE.reinforce_inputs(&reinforce));
}

fn admitted(inputs: &GradientInputs<'_>, payload: &Payload) -> Result<(), AdmitError> {
    let bound = Bound {
        unit: inputs.unit,
        miner: MINER,
        beacon: *inputs.beacon,
        root: None,
        recipe: inputs.recipe,
        is_open: false,
    };
    verifier::admit(&bound, &encode(payload))
}

#[test]
fn honest_gradients_are_judged_clean_whatever_the_device() {
    each_part(|part, inputs| {
        let payload = gradient::execute(inputs, &device()).unwrap();
        let two = Device::cpu(2);
        assert_eq!(gradient::execute(inputs, &two).unwrap(), payload, "{part}");
        admitted(inputs, &payload).unwrap();
        let limit = verifier::blob_bytes_max(inputs.unit, inputs.recipe, false).unwrap();
        assert_eq!(encode(&payload).len() as u64, limit, "{part}");
        let verdict = judge_gradient(inputs, &payload);
        let checks: Vec<Check> = verdict.findings().iter().map(|f| f.check).collect();
        let order = [
            Check::Encoding,
            Check::Commitment,
            Check::Loss,
            Check::Update,
        ];
        assert_eq!(checks, order);
        assert!(
            verdict
                .findings()
                .iter()
                .all(|finding| finding.measured == 0)
        );
        assert!(verdict.accepts());
        let (tokens, loss) = (payload.tokens_count, payload.loss_micro());
        let again = verifier::gradient::judge(inputs, tokens, loss, &encode(&payload), &two);
        assert_eq!(again, verdict);
    });
}

#[test]
fn a_single_changed_byte_of_the_update_is_found() {
    each_part(|_, inputs| {
        let mut payload = gradient::execute(inputs, &device()).unwrap();
        let mut bytes = payload.update.as_slice().to_vec();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        payload.update = Bytes::new(bytes).unwrap();
        let verdict = judge_gradient(inputs, &payload);
        let finding = verdict.findings().last().unwrap();
        assert_eq!((finding.check, finding.measured), (Check::Update, 1));
    });
}

#[test]
fn a_false_weight_is_a_commitment_fault_even_when_payload_and_commitment_agree() {
    each_part(|_, inputs| {
        let mut payload = gradient::execute(inputs, &device()).unwrap();
        payload.tokens_count -= 1;
        assert_eq!(
            reason(&judge_gradient(inputs, &payload)),
            Some(Check::Commitment)
        );
        payload.tokens_count = u32::MAX;
        let refused = admitted(inputs, &payload);
        assert!(matches!(refused, Err(AdmitError::Weight { .. })));
    });
}

#[test]
fn updates_of_another_size_and_missing_losses_are_refused() {
    each_part(|_, inputs| {
        let honest = gradient::execute(inputs, &device()).unwrap();
        let short = Payload {
            update: Bytes::new(vec![0; 4]).unwrap(),
            ..honest.clone()
        };
        assert_eq!(
            reason(&judge_gradient(inputs, &short)),
            Some(Check::Encoding)
        );
        assert!(matches!(
            admitted(inputs, &short),
            Err(AdmitError::Update(_))
        ));
        let silent = Payload {
            losses_micro: BoundedVec::new(Vec::new()).unwrap(),
            ..honest
        };
        assert_eq!(reason(&judge_gradient(inputs, &silent)), Some(Check::Loss));
        assert!(matches!(
            admitted(inputs, &silent),
            Err(AdmitError::Count { .. })
        ));
    });
}

#[test]
fn what_rollout_miners_claim_about_rewards_does_not_matter() {
    let beacon = beacon(4);
    let mut inputs = SCENE.reinforce_inputs(&beacon);
    let honest = gradient::execute(&inputs, &device()).unwrap();
    for (_, payload) in &mut inputs.generation.as_mut().unwrap().rollouts {
        *payload = edited(payload, |sample| sample.reward_micro = 1_000_000);
    }
    assert_eq!(gradient::execute(&inputs, &device()).unwrap(), honest);
}

#[test]
fn a_group_with_a_broken_sample_is_left_out_whole() {
    let beacon = beacon(4);
    let mut inputs = SCENE.reinforce_inputs(&beacon);
    let whole = gradient::execute(&inputs, &device()).unwrap();
    let rollouts = &mut inputs.generation.as_mut().unwrap().rollouts;
    let first = rollouts[0].1.groups.as_slice()[0].samples.as_slice();
    let tokens: usize = first
        .iter()
        .map(|sample| sample.tokens.as_slice().len())
        .sum();
    let mut groups = rollouts[0].1.groups.as_slice().to_vec();
    let mut samples = groups[0].samples.as_slice().to_vec();
    samples[0].tokens = BoundedVec::new(vec![u32::MAX]).unwrap();
    groups[0].samples = BoundedVec::new(samples).unwrap();
    rollouts[0].1.groups = BoundedVec::new(groups).unwrap();
    let rest = gradient::execute(&inputs, &device()).unwrap();
    assert_eq!(
        rest.tokens_count as usize,
        whole.tokens_count as usize - tokens
    );
    for (_, payload) in &mut inputs.generation.as_mut().unwrap().rollouts {
        *payload = edited(payload, |sample| {
            sample.tokens = BoundedVec::new(Vec::new()).unwrap();
        });
    }
    let nothing = gradient::execute(&inputs, &device());
    assert!(matches!(nothing, Err(ExecuteError::NothingToLearn { .. })));
    let verdict = judge_gradient(&inputs, &whole);
    assert!(!verdict.accepts(), "nobody can have learned from nothing");
}

fn edited(payload: &rollout::Payload, edit: impl Fn(&mut rollout::Sample)) -> rollout::Payload {
    let groups = payload.groups.as_slice().iter().map(|group| {
        let mut samples = group.samples.as_slice().to_vec();
        samples.iter_mut().for_each(&edit);
        rollout::Group {
            samples: BoundedVec::new(samples).unwrap(),
        }
    });
    rollout::Payload {
        groups: BoundedVec::new(groups.collect()).unwrap(),
        ..payload.clone()
    }
}

#[test]
fn an_auditor_that_lacks_the_environment_accuses_nobody() {
    let beacon = beacon(3);
    let mut recipe = SCENE.recipe.clone();
    let inputs = SCENE.pretrain_inputs(&beacon);
    let payload = gradient::execute(&inputs, &device()).unwrap();
    recipe.environment = protocol::EnvironmentHash::from_bytes([0; 32]);
    let blind = GradientInputs {
        recipe: &recipe,
        ..inputs
    };
    assert_eq!(
        reason(&judge_gradient(&blind, &payload)),
        Some(Check::Availability)
    );
}
