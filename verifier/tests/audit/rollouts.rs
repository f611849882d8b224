use crate::scene::{NO_ROOT, SCENE, device, reason, salts};
use engine::Device;
use miner::{
    World,
    rollout::{self, Work},
};
use protocol::{
    SigningKey,
    codec::{BoundedVec, encode},
    rollout::{
        Correction, Digest, Finish, Group, Leaf, Opened, Payload, Salts, Sample, Seal, Sketch,
        plant, root,
    },
    verdict::{Check, Finding},
    vrf::Output,
};
use verifier::{AdmitError, rollout::Claimed};

fn honest() -> Payload {
    let task = SCENE.task();
    rollout::execute(&SCENE.rollout_inputs(&task), &salts(&task), &device())
        .unwrap()
        .payload
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
    let root = SCENE.claimed(payload).root;
    SCENE.admit(SCENE.task().unit, root, &encode(payload))
}

#[test]
fn honest_rollouts_are_judged_clean_whatever_the_device() {
    let task = SCENE.task();
    let inputs = SCENE.rollout_inputs(&task);
    let payload = honest();
    let two = Device::cpu(2);
    let work = rollout::execute(&inputs, &salts(&task), &two).unwrap();
    assert_eq!(work.payload, payload);
    admitted(&payload).unwrap();
    let limit = verifier::blob_bytes_max(task.unit, &SCENE.recipe, false).unwrap();
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
    let claimed = SCENE.claimed(&payload);
    let again = verifier::rollout::judge(&inputs, &claimed, &encode(&payload), &two);
    assert_eq!(again.verdict, verdict);
    assert_eq!(again.sketch, Some(work.sections.sketch()));
}

#[test]
fn an_auditor_names_the_sketch_before_it_sees_the_miners() {
    let (task, payload) = (SCENE.task(), honest());
    let inputs = SCENE.rollout_inputs(&task);
    let claimed = Claimed {
        opened: None,
        ..SCENE.claimed(&payload)
    };
    let blind = verifier::rollout::judge(&inputs, &claimed, &encode(&payload), &device());
    assert!(blind.verdict.accepts());
    let checks = blind.verdict.findings().iter().map(|f| f.check);
    assert!(!checks.into_iter().any(|check| check == Check::Activations));
    assert_eq!(blind.sketch, Some(Sketch::of(SCENE.parts().as_slice())));
}

#[test]
fn an_auditor_says_what_it_sees_behind_the_seals_when_it_reveals() {
    let (task, payload) = (SCENE.task(), honest());
    let inputs = SCENE.rollout_inputs(&task);
    let opened = SCENE.claimed(&payload).opened.unwrap();
    let seen = |payload: &Payload, opened: &Opened| {
        let claimed = Claimed {
            opened: None,
            ..SCENE.claimed(payload)
        };
        let blind = verifier::rollout::judge(&inputs, &claimed, &encode(payload), &device());
        let seen = blind.seen(payload, opened);
        assert_eq!(seen.without(Check::Activations), blind.verdict);
        seen
    };
    let said = seen(&payload, &opened);
    assert!(said.accepts());
    assert_eq!(said, SCENE.judge_rollout(&payload));
    let garbled = changed(|groups| groups[1][0].sealed = Seal::from_bytes([7; 32]));
    let said = seen(&garbled, &opened);
    assert_eq!(
        said.contradiction(),
        SCENE.judge_rollout(&garbled).contradiction()
    );
    let garbled = with_part(&opened, 1);
    assert_eq!(
        seen(&payload, &garbled).contradiction(),
        Some(in_group_one())
    );
}

/// The same with another digest in the place of a part.
fn with_part(opened: &Opened, group: usize) -> Opened {
    let mut parts = opened.parts.as_slice().to_vec();
    parts[group] = Digest::from_bytes([9; 32]);
    Opened {
        parts: BoundedVec::new(parts).unwrap(),
        ..opened.clone()
    }
}

fn in_group_one() -> Finding {
    Finding::exact(Check::Activations, 1).in_group(1)
}

#[test]
fn a_garbled_seal_and_a_garbled_sketch_are_found_once_they_are_open() {
    let garbled = changed(|groups| groups[1][0].sealed = Seal::from_bytes([7; 32]));
    let finding = SCENE.judge_rollout(&garbled).contradiction().unwrap();
    assert_eq!(finding, in_group_one());
}

/// No token and no seal is wrong: only the group that the finding names shows the lie, and nobody
/// has to repeat another one.
#[test]
fn a_lie_in_the_sketch_alone_names_its_group() {
    let (task, payload) = (SCENE.task(), honest());
    let mut claimed = SCENE.claimed(&payload);
    claimed.opened = claimed.opened.map(|opened| with_part(&opened, 1));
    let inputs = SCENE.rollout_inputs(&task);
    let judged = |group| {
        let blob = encode(&payload);
        let judged = verifier::rollout::judge_part(&inputs, &claimed, &blob, group, &device());
        judged.verdict.contradiction()
    };
    assert_eq!(judged(None), Some(in_group_one()));
    assert_eq!(judged(Some(1)), Some(in_group_one()));
    assert_eq!(judged(Some(0)), None);
}

#[test]
fn nothing_is_repeated_beyond_the_first_group_with_a_wrong_token() {
    let wrong = |sample: &mut Sample| {
        let mut tokens = sample.tokens.as_slice().to_vec();
        tokens[0] = if tokens[0] == 49 { 50 } else { 49 };
        sample.tokens = BoundedVec::new(tokens).unwrap();
    };
    let rewarded = |sample: &mut Sample, group: u32| {
        let task = SCENE.task();
        let world = World::of(&SCENE.recipe).unwrap();
        let prompt = world.prompt(&task, group);
        sample.reward_micro = world.reward_micro(&prompt, sample.tokens.as_slice());
    };
    let payload = |first: usize| {
        changed(|groups| {
            for (index, group) in (0..).zip(groups.iter_mut()).skip(first) {
                // One that does not end at once.
                let sample = group.iter_mut().find(|one| one.tokens.as_slice().len() > 1);
                let sample = sample.unwrap();
                wrong(sample);
                rewarded(sample, index);
            }
        })
    };
    for first in [0_u32, 1] {
        let payload = payload(first as usize);
        let verdict = SCENE.judge_rollout(&payload);
        let finding = verdict.contradiction().unwrap();
        assert_eq!((finding.check, finding.group), (Check::Sampling, first));
        let (task, claimed) = (SCENE.task(), SCENE.claimed(&payload));
        let inputs = SCENE.rollout_inputs(&task);
        let blob = encode(&payload);
        let part = verifier::rollout::judge_part(&inputs, &claimed, &blob, Some(first), &device());
        assert_eq!(part.verdict, verdict, "one group gives the same numbers");
    }
}

#[test]
fn the_model_does_not_run_where_a_check_without_it_fails() {
    let payload = changed(|groups| groups[1][0].reward_micro ^= 1);
    let verdict = SCENE.judge_rollout(&payload);
    let checks: Vec<Check> = verdict.findings().iter().map(|one| one.check).collect();
    let order = [
        Check::Encoding,
        Check::Completeness,
        Check::Commitment,
        Check::Finish,
        Check::Reward,
    ];
    assert_eq!(checks, order);
    assert_eq!(reason(&verdict), Some(Check::Reward));
}

/// A unit in which the miner planted a fault, as its randomness says.
fn planted() -> (Work, Output) {
    let task = SCENE.task();
    let (output, _) = SigningKey::from_seed([3; 32]).vrf().prove(b"plant");
    let salts = Salts {
        fault: Some(output),
        ..salts(&task)
    };
    let inputs = SCENE.rollout_inputs(&task);
    let work = rollout::execute(&inputs, &salts, &device()).unwrap();
    (work, output)
}

#[test]
fn a_planted_fault_is_found_blind_and_the_corrected_unit_has_the_sealed_sketch() {
    let (task, (work, output)) = (SCENE.task(), planted());
    let inputs = SCENE.rollout_inputs(&task);
    let judge = |claimed: Claimed<'_>| {
        verifier::rollout::judge(&inputs, &claimed, &encode(&work.payload), &device())
    };
    admitted(&work.payload).unwrap();
    let correction = work.plant.unwrap();
    let blind = Claimed {
        opened: None,
        ..SCENE.claimed(&work.payload)
    };
    let found = judge(blind.clone()).verdict.contradiction().unwrap();
    assert_eq!(
        (found.check, found.group),
        (Check::Sampling, correction.group)
    );
    let corrected = Claimed {
        totals: correction.totals,
        plant: Some((correction, output)),
        ..blind
    };
    let judged = judge(corrected.clone());
    assert!(judged.verdict.accepts(), "{:?}", judged.verdict);
    assert_eq!(judged.sketch, Some(work.sections.sketch()));
    let opened = Claimed {
        opened: SCENE.claimed(&work.payload).opened,
        ..corrected.clone()
    };
    assert!(judge(opened).verdict.accepts());
    let (elsewhere, _) = SigningKey::from_seed([4; 32]).vrf().prove(b"plant");
    let lie = Claimed {
        plant: Some((correction, elsewhere)),
        ..corrected
    };
    let finding = judge(lie).verdict.contradiction().unwrap();
    assert_eq!((finding.check, finding.measured), (Check::Plant, 1));
}

#[test]
fn a_fault_that_is_none_is_found() {
    let (task, payload) = (SCENE.task(), honest());
    let (_, output) = planted();
    let place = plant::place(&output, &payload.lengths()).unwrap();
    let group = &payload.groups.as_slice()[place.group as usize];
    let sample = &group.samples.as_slice()[place.slot as usize];
    let correction = Correction {
        group: place.group,
        slot: place.slot,
        position: place.position,
        token: sample.tokens.as_slice()[place.position as usize],
        totals: payload.totals(1_000_000),
    };
    let claimed = Claimed {
        plant: Some((correction, output)),
        ..SCENE.claimed(&payload)
    };
    let inputs = SCENE.rollout_inputs(&task);
    let judged = verifier::rollout::judge(&inputs, &claimed, &encode(&payload), &device());
    assert_eq!(reason(&judged.verdict), Some(Check::Plant));
}

#[test]
fn one_sample_can_be_checked_against_the_root_without_the_others() {
    let (task, payload) = (SCENE.task(), honest());
    let claimed = SCENE.claimed(&payload);
    let prompts = World::of(&SCENE.recipe).unwrap().prompts(&task, 2);
    let tree = payload.tree(&prompts).unwrap();
    let per_group = SCENE.recipe.reinforce.samples_per_group_count;
    let sample = &payload.groups.as_slice()[1].samples.as_slice()[2];
    let leaf = |sample| Leaf::of(task.unit, (1, 2), &prompts[1], sample).digest();
    let inclusion = tree.inclusion(per_group + 2).unwrap();
    let bound = |digest| {
        let leaves_root = inclusion.root_with(digest).unwrap();
        root(leaves_root, payload.plant_seal, payload.sketch_seal) == claimed.root
    };
    assert!(bound(leaf(sample)));
    let mut other = sample.clone();
    other.reward_micro ^= 1;
    assert!(!bound(leaf(&other)));
}

#[test]
fn a_blob_that_the_commitment_does_not_bind_is_not_admitted() {
    let (unit, payload) = (SCENE.task().unit, honest());
    let refused = SCENE.admit(unit, NO_ROOT, &encode(&payload));
    assert!(
        matches!(refused, Err(AdmitError::Root { .. })),
        "{refused:?}"
    );
    let other = changed(|groups| groups[0][0].reward_micro ^= 1);
    let refused = SCENE.admit(unit, SCENE.claimed(&payload).root, &encode(&other));
    assert!(
        matches!(refused, Err(AdmitError::Root { .. })),
        "{refused:?}"
    );
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
fn totals_and_a_root_that_differ_from_the_payload_are_commitment_faults() {
    let task = SCENE.task();
    let payload = honest();
    let mut claimed = SCENE.claimed(&payload);
    claimed.totals.reward_micro += 1;
    claimed.totals.exact_count += 1;
    let inputs = SCENE.rollout_inputs(&task);
    let judge = |claimed: Claimed<'_>| {
        let judged = verifier::rollout::judge(&inputs, &claimed, &encode(&payload), &device());
        let finding = judged.verdict.contradiction().unwrap();
        (finding.check, finding.measured)
    };
    assert_eq!(judge(claimed.clone()), (Check::Commitment, 2));
    claimed.root = NO_ROOT;
    assert_eq!(judge(claimed), (Check::Commitment, 3));
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

#[test]
fn a_finding_names_the_first_group() {
    let task = SCENE.task();
    let inputs = SCENE.rollout_inputs(&task);
    let payload = changed(|groups| {
        let last = groups.len() - 1;
        groups[last][0].reward_micro ^= 1;
    });
    let claimed = SCENE.claimed(&payload);
    let judged = |group: Option<u32>| {
        let blob = encode(&payload);
        verifier::rollout::judge_part(&inputs, &claimed, &blob, group, &device()).verdict
    };
    let last = SCENE.recipe.reinforce.groups_per_unit_count - 1;
    assert!(last > 0);
    let finding = judged(None).contradiction().unwrap();
    assert_eq!((finding.check, finding.group), (Check::Reward, last));
    assert_eq!(judged(Some(last)).contradiction(), Some(finding));
    assert_eq!(
        judged(Some(0)).contradiction(),
        Some(finding),
        "what needs no model is checked for the whole unit"
    );
}
