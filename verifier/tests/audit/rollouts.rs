use crate::scene::{MINER, SCENE, device, reason};
use engine::Device;
use miner::rollout;
use protocol::{
    codec::{BoundedVec, encode},
    rollout::{Finish, Group, Payload, Sample},
    verdict::Check,
};
use verifier::AdmitError;

fn honest() -> Payload {
    rollout::execute(&SCENE.rollout_inputs(&SCENE.task()), &device()).unwrap()
}

/// The honest payload with its groups changed.
fn changed(change: impl FnOnce(&mut Vec<Vec<Sample>>)) -> Payload {
    let honest = honest();
    let mut groups: Vec<Vec<Sample>> = honest
        .groups
        .into_vec()
        .into_iter()
        .map(|group| group.samples.into_vec())
        .collect();
    change(&mut groups);
    let group = |samples| Group {
        samples: BoundedVec::new(samples).unwrap(),
    };
    Payload {
        groups: BoundedVec::new(groups.into_iter().map(group).collect()).unwrap(),
        ..honest
    }
}

fn admitted(payload: &Payload) -> Result<(), AdmitError> {
    verifier::admit(SCENE.task().unit, MINER, &encode(payload), &SCENE.recipe)
}

#[test]
fn honest_rollouts_are_judged_clean_whatever_the_device() {
    let task = SCENE.task();
    let inputs = SCENE.rollout_inputs(&task);
    let payload = honest();
    let two = Device::cpu(2);
    assert_eq!(rollout::execute(&inputs, &two).unwrap(), payload);
    admitted(&payload).unwrap();
    let limit = verifier::blob_bytes_max(task.unit, &SCENE.recipe).unwrap();
    assert!(encode(&payload).len() as u64 <= limit);
    let verdict = SCENE.judge_rollout(&payload);
    let checks: Vec<Check> = verdict.findings().iter().map(|f| f.check).collect();
    let order = [
        Check::Encoding,
        Check::Completeness,
        Check::Commitment,
        Check::Finish,
        Check::Sampling,
        Check::Activations,
        Check::Reward,
    ];
    assert_eq!(checks, order);
    assert!(
        verdict
            .findings()
            .iter()
            .all(|finding| finding.measured == 0)
    );
    assert!(verdict.accepts());
    let totals = payload.totals(1_000_000);
    let again = verifier::rollout::judge(&inputs, &totals, &encode(&payload), &two);
    assert_eq!(again, verdict);
}

#[test]
fn a_missing_sample_and_a_missing_group_are_incomplete() {
    let fewer_samples = changed(|groups| drop(groups[0].pop()));
    let fewer_groups = changed(|groups| drop(groups.pop()));
    let more = changed(|groups| groups.push(groups[0].clone()));
    for payload in [fewer_samples, fewer_groups, more] {
        assert_eq!(
            reason(&SCENE.judge_rollout(&payload)),
            Some(Check::Completeness)
        );
        let refused = admitted(&payload);
        let counted = matches!(refused, Err(AdmitError::Count { .. }));
        assert!(counted || matches!(refused, Err(AdmitError::Size { .. })));
    }
}

#[test]
fn totals_that_differ_from_the_payload_are_a_commitment_fault() {
    let task = SCENE.task();
    let payload = honest();
    let mut totals = payload.totals(1_000_000);
    totals.reward_micro += 1;
    totals.exact_count += 1;
    let inputs = SCENE.rollout_inputs(&task);
    let verdict = verifier::rollout::judge(&inputs, &totals, &encode(&payload), &device());
    let finding = verdict.contradiction().unwrap();
    assert_eq!((finding.check, finding.measured), (Check::Commitment, 2));
}

#[test]
fn responses_that_end_unlawfully_are_counted() {
    let cut = changed(|groups| {
        let sample = &mut groups[0][0];
        let mut tokens = sample.tokens.as_slice().to_vec();
        tokens.pop();
        tokens.push(b'x'.into());
        tokens.truncate(2);
        sample.tokens = BoundedVec::new(tokens).unwrap();
        sample.finish = Finish::Cap;
    });
    let empty = changed(|groups| groups[0][0].tokens = BoundedVec::new(Vec::new()).unwrap());
    for payload in [cut, empty] {
        assert_eq!(reason(&SCENE.judge_rollout(&payload)), Some(Check::Finish));
        assert!(matches!(admitted(&payload), Err(AdmitError::Sample { .. })));
    }
    let long = changed(|groups| groups[0][0].tokens = BoundedVec::new(vec![49; 4096]).unwrap());
    assert_eq!(reason(&SCENE.judge_rollout(&long)), Some(Check::Finish));
    assert!(matches!(admitted(&long), Err(AdmitError::Size { .. })));
}

#[test]
fn tokens_outside_the_vocabulary_are_no_draws() {
    let payload = changed(|groups| {
        let sample = &mut groups[1][2];
        let mut tokens = sample.tokens.as_slice().to_vec();
        tokens[0] = u32::MAX;
        sample.tokens = BoundedVec::new(tokens).unwrap();
    });
    assert_eq!(
        reason(&SCENE.judge_rollout(&payload)),
        Some(Check::Sampling)
    );
    assert!(matches!(admitted(&payload), Err(AdmitError::Sample { .. })));
}

#[test]
fn another_miners_payload_is_misencoded() {
    let payload = Payload {
        miner: protocol::Address::from_bytes([9; 32]),
        ..honest()
    };
    assert_eq!(
        reason(&SCENE.judge_rollout(&payload)),
        Some(Check::Encoding)
    );
    assert!(matches!(admitted(&payload), Err(AdmitError::Miner { .. })));
}

/// Everyone repeats one group where auditors disagree; what is wrong elsewhere does not count.
#[test]
fn one_group_is_judged_alone_and_a_finding_names_the_first() {
    let task = SCENE.task();
    let inputs = SCENE.rollout_inputs(&task);
    let payload = changed(|groups| {
        let last = groups.len() - 1;
        groups[last][0].reward_micro ^= 1;
    });
    let totals = payload.totals(1_000_000);
    let judged = |group: Option<u32>| {
        let blob = encode(&payload);
        verifier::rollout::judge_part(&inputs, &totals, &blob, group, &device())
    };
    let last = SCENE.recipe.reinforce.groups_per_unit_count - 1;
    assert!(last > 0);
    let finding = judged(None).contradiction().unwrap();
    assert_eq!((finding.check, finding.group), (Check::Reward, last));
    assert_eq!(judged(Some(last)).contradiction(), Some(finding));
    assert!(judged(Some(0)).accepts());
}
