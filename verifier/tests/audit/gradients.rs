use crate::scene::{
    Done, MINER, SCENE, beacon, device, done, honest, judge_bare, judge_gradient, reason, segments,
    state_salts,
};
use engine::Device;
use miner::{ExecuteError, GradientInputs, World, gradient};
use protocol::{
    BlobId,
    codec::{BoundedVec, Bytes, encode},
    gradient::Payload,
    rollout,
    verdict::{Check, Finding},
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
fn honest_gradients_are_judged_clean_in_every_segment_whatever_the_device() {
    each_part(|part, inputs| {
        let done = honest(inputs);
        let payload = &done.work.payload;
        let two = Device::cpu(2);
        let again = gradient::execute(inputs, &state_salts(inputs), &mut gradient::forget, &two);
        assert_eq!(again.unwrap(), done.work, "{part}");
        admitted(inputs, payload).unwrap();
        let limit = verifier::blob_bytes_max(inputs.unit, inputs.recipe, false).unwrap();
        assert_eq!(encode(payload).len() as u64, limit, "{part}");
        for segment in segments(inputs) {
            let judged = done.judge(inputs, segment);
            let verdict = &judged.verdict;
            let checks: Vec<Check> = verdict.findings().iter().map(|f| f.check).collect();
            let order = [
                Check::Encoding,
                Check::Commitment,
                Check::Loss,
                Check::Update,
                Check::State,
            ];
            assert_eq!(checks, order);
            let is_clean = |finding: &Finding| finding.measured == 0;
            assert!(verdict.findings().iter().all(is_clean), "{part} {segment}");
            assert!(verdict.accepts());
            let end = done.work.states[segment as usize];
            assert_eq!(judged.sketch, Some(end.sketch()));
            let claimed = done.claimed(inputs, segment);
            let blob = encode(payload);
            let again = verifier::gradient::judge(inputs, &claimed, &blob, &two);
            assert_eq!(again, judged);
        }
    });
}

#[test]
fn a_unit_is_audited_in_parts_and_blind() {
    each_part(|part, inputs| {
        assert_eq!(segments(inputs), 0..2, "{part}");
        let done = honest(inputs);
        let blind = verifier::gradient::Claimed {
            opened: None,
            ..done.claimed(inputs, 1)
        };
        let blob = encode(&done.work.payload);
        let judged = verifier::gradient::judge(inputs, &blind, &blob, &device());
        assert!(judged.verdict.accepts(), "{part}");
        assert_eq!(judged.verdict.finding(Check::State), None);
        assert_eq!(judged.sketch, Some(done.work.states[1].sketch()), "{part}");
    });
}

/// A miner that changes the weights between its two segments, or the sum of gradients, is found by
/// who repeats the one that ends there, and by nobody who goes on from there.
#[test]
fn a_state_that_no_segment_leads_to_is_found_where_it_is_the_end() {
    each_part(|part, inputs| {
        let done = done(inputs, |salts, keep| {
            let world = World::of(inputs.recipe)?;
            let mut learned = gradient::learn(inputs, &world, keep, &device())?;
            let planted: Vec<f32> = inputs.model.as_slice().iter().map(|w| w * 0.5).collect();
            let file = engine::trainer::file::write(&planted);
            keep(&file).unwrap();
            learned.states[0].weights = BlobId::of(&file);
            learned.sealed(inputs, salts)
        });
        let found = |segment| reason(&done.judge(inputs, segment).verdict);
        assert_eq!(found(0), Some(Check::State), "{part}");
        // Its end is that of the honest weights or sum, not of the planted one; in pre-training
        // its losses as well.
        let expected = match part {
            "pretrain" => Check::Loss,
            _ => Check::Update,
        };
        assert_eq!(found(1), Some(expected), "{part}");
    });
}

fn with_another_update(inputs: &GradientInputs<'_>) -> Done {
    done(inputs, |salts, keep| {
        let world = World::of(inputs.recipe)?;
        let mut learned = gradient::learn(inputs, &world, keep, &device())?;
        learned.values[0] += 0.25;
        learned.sealed(inputs, salts)
    })
}

#[test]
fn an_update_that_the_last_weights_do_not_give_is_found_from_every_segment() {
    each_part(|part, inputs| {
        let done = with_another_update(inputs);
        for segment in segments(inputs) {
            let judged = done.judge(inputs, segment);
            assert_eq!(
                reason(&judged.verdict),
                Some(Check::Update),
                "{part} {segment}"
            );
        }
    });
}

/// The number of segments stands for a check of the update alone.
#[test]
fn an_update_is_checked_without_taking_a_step() {
    each_part(|part, inputs| {
        let update = segments(inputs).end;
        let judged = honest(inputs).judge(inputs, update);
        assert!(judged.verdict.accepts(), "{part} {:?}", judged.verdict);
        assert_eq!(judged.sketch, None);
        assert_eq!(judged.verdict.finding(Check::State), None);
        let lied = with_another_update(inputs);
        let verdict = lied.judge(inputs, update).verdict;
        assert_eq!(reason(&verdict), Some(Check::Update), "{part}");
        let hidden = verifier::gradient::Claimed {
            last: None,
            ..lied.claimed(inputs, update)
        };
        let blob = encode(&lied.work.payload);
        let judged = verifier::gradient::judge(inputs, &hidden, &blob, &device());
        assert_eq!(judged.verdict, verifier::unavailable(), "nobody is accused");
    });
}

#[test]
fn a_single_changed_byte_of_the_update_is_found() {
    each_part(|_, inputs| {
        let mut payload = gradient::payload(inputs, &device()).unwrap();
        let mut bytes = payload.update.as_slice().to_vec();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        payload.update = Bytes::new(bytes).unwrap();
        let verdict = judge_gradient(inputs, &payload);
        let finding = verdict.finding(Check::Update).unwrap();
        assert_eq!(finding.measured, 1);
    });
}

#[test]
fn a_false_weight_is_a_commitment_fault_even_when_payload_and_commitment_agree() {
    each_part(|_, inputs| {
        let mut payload = gradient::payload(inputs, &device()).unwrap();
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
        let honest = gradient::payload(inputs, &device()).unwrap();
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
    let honest = gradient::payload(&inputs, &device()).unwrap();
    for (_, payload) in &mut inputs.generation.as_mut().unwrap().rollouts {
        *payload = edited(payload, |sample| sample.reward_micro = 1_000_000);
    }
    assert_eq!(gradient::payload(&inputs, &device()).unwrap(), honest);
}

#[test]
fn a_group_with_a_broken_sample_is_left_out_whole() {
    let beacon = beacon(4);
    let mut inputs = SCENE.reinforce_inputs(&beacon);
    let whole = gradient::payload(&inputs, &device()).unwrap();
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
    let rest = gradient::payload(&inputs, &device()).unwrap();
    assert_eq!(
        rest.tokens_count as usize,
        whole.tokens_count as usize - tokens
    );
    for (_, payload) in &mut inputs.generation.as_mut().unwrap().rollouts {
        *payload = edited(payload, |sample| {
            sample.tokens = BoundedVec::new(Vec::new()).unwrap();
        });
    }
    let nothing = gradient::payload(&inputs, &device());
    assert!(matches!(nothing, Err(ExecuteError::NothingToLearn { .. })));
    let verdict = judge_bare(&inputs, &whole);
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
    let payload = gradient::payload(&inputs, &device()).unwrap();
    recipe.environment = protocol::EnvironmentHash::from_bytes([0; 32]);
    let blind = GradientInputs {
        recipe: &recipe,
        ..inputs
    };
    assert_eq!(
        reason(&judge_bare(&blind, &payload)),
        Some(Check::Availability)
    );
}
