//! Units of a tolerant class: what honest work measures, and what void and slash find.

use crate::scene::{MINER, SCENE, beacon, device, reason};
use engine::{GenerationOptions, GenerationRequest, Parameters};
use miner::{ExecuteError, World, rollout};
use protocol::{
    class::{Class, ClassId, Level},
    codec::{BoundedVec, Bytes, encode},
    rollout::{Payload, Salts, Sample, Section},
    verdict::{Check, Verdict},
};
use verifier::{
    AdmitError, Bound,
    tolerant::{calibrate::Calibration, measure::distance},
};

/// The unit as an engine with these weights draws it.
fn drawn(model: &Parameters) -> Payload {
    let task = SCENE.task();
    let inputs = SCENE.rollout_inputs(&task);
    let draw = |requests: &[GenerationRequest], options: &GenerationOptions| {
        device()
            .generate(model, requests, options)
            .map_err(ExecuteError::from)
    };
    rollout::execute_with(&inputs, &device(), draw)
        .unwrap()
        .payload
}

/// The weights with so many bits of their mantissas.
fn coarse(dropped: u32) -> Parameters {
    let mut model = SCENE.model.clone();
    for value in model.as_mut_slice() {
        let half = 1 << (dropped - 1);
        *value = f32::from_bits(value.to_bits().wrapping_add(half) >> dropped << dropped);
    }
    model
}

/// A class that never differed in a hundred units like the tests'.
fn class() -> Class {
    let task = SCENE.task();
    let inputs = SCENE.rollout_inputs(&task);
    let world = miner::World::of(&SCENE.recipe).unwrap();
    let draw = rollout::Draw::assigned(&inputs, &world);
    let generations = draw.generate(&world, &device()).unwrap();
    let unit = distance(&inputs, &draw, &generations, &device()).unwrap();
    assert_eq!(unit.strangers_count, 0);
    let mut calibration = Calibration::default();
    for _ in 0..100 {
        calibration.add_unit(&unit);
    }
    calibration.class(ClassId::new(1), "never differs").unwrap()
}

fn judged(payload: &Payload) -> Verdict {
    let (task, class) = (SCENE.task(), class());
    let claimed = verifier::rollout::Claimed {
        opened: None,
        class: Some(&class),
        ..SCENE.claimed(payload)
    };
    let inputs = SCENE.rollout_inputs(&task);
    let judged = verifier::rollout::judge(&inputs, &claimed, &encode(payload), &device());
    assert_eq!(judged.sketch, None);
    judged.verdict
}

fn admitted(payload: &Payload, is_open: bool) -> Result<(), AdmitError> {
    let bound = Bound {
        unit: SCENE.task().unit,
        miner: MINER,
        beacon: beacon(SCENE.task().unit.step.get()),
        root: Some(SCENE.claimed(payload).root),
        recipe: &SCENE.recipe,
        is_open,
    };
    verifier::admit(&bound, &encode(payload))
}

/// The payload with other sections, and the seals that belong to them.
fn with_section(payload: Payload, change: impl Fn(&mut Section)) -> Payload {
    let mut sections = payload.sections.clone().unwrap();
    let mut groups = sections.groups.into_vec();
    let mut first = groups[0].as_slice().to_vec();
    change(&mut first[0]);
    groups[0] = BoundedVec::new(first).unwrap();
    sections.groups = BoundedVec::new(groups).unwrap();
    let answers = payload.groups.as_slice().iter().map(|group| {
        let samples = group.samples.as_slice().iter();
        let answer = |sample: &protocol::rollout::Sample| rollout::Answer {
            tokens: sample.tokens.as_slice().to_vec(),
            finish: sample.finish,
            reward_micro: sample.reward_micro,
        };
        samples.map(answer).collect()
    });
    let answers = answers.collect();
    let sealed = rollout::sealed(&SCENE.task(), answers, &sections, &Salts::OPEN, None).unwrap();
    Payload {
        sections: Some(sections),
        ..sealed
    }
}

#[test]
fn an_engine_that_does_not_differ_measures_nothing_but_zeros() {
    let payload = drawn(&SCENE.model);
    admitted(&payload, true).unwrap();
    let limit = verifier::blob_bytes_max(payload.unit, &SCENE.recipe, true).unwrap();
    let found = encode(&payload).len() as u64;
    assert!(found <= limit, "{found} of {limit}");
    let verdict = judged(&payload);
    let checks: Vec<Check> = verdict.findings().iter().map(|f| f.check).collect();
    let order = [
        Check::Encoding,
        Check::Completeness,
        Check::Commitment,
        Check::Finish,
        Check::Sampling,
        Check::Activations,
        Check::Reward,
        Check::Margin,
        Check::MarginSum,
        Check::ProjectionPeak,
        Check::ProjectionBulk,
    ];
    assert_eq!(checks, order);
    assert!(verdict.findings().iter().all(|one| one.measured == 0));
    assert!(verdict.accepts());
}

#[test]
fn small_differences_hold_and_another_model_is_slashed() {
    let fine = judged(&drawn(&coarse(8)));
    assert!(fine.accepts(), "{fine:?}");
    let wrong = judged(&drawn(&coarse(22)));
    assert_eq!(wrong.contradiction().unwrap().level(), Level::Slash);
    assert!(matches!(
        reason(&wrong),
        Some(Check::Sampling | Check::Margin | Check::MarginSum)
    ));
}

#[test]
fn what_needs_no_model_is_as_exact_as_ever() {
    let mut payload = drawn(&SCENE.model);
    let mut groups = payload.groups.into_vec();
    let mut samples = groups[0].samples.as_slice().to_vec();
    samples[0].reward_micro ^= 1;
    groups[0].samples = BoundedVec::new(samples).unwrap();
    payload.groups = BoundedVec::new(groups).unwrap();
    let finding = judged(&payload).contradiction().unwrap();
    assert_eq!(
        (finding.check, finding.level()),
        (Check::Reward, Level::Slash)
    );
}

#[test]
fn a_token_beyond_all_limits_ends_the_audit_and_its_group_is_named() {
    let mut payload = drawn(&SCENE.model);
    let mut groups = payload.groups.into_vec();
    let mut samples = groups[1].samples.as_slice().to_vec();
    // One that does not end at once.
    let long = |sample: &Sample| sample.tokens.as_slice().len() > 1;
    let slot = samples.iter().position(long).unwrap();
    let mut tokens = samples[slot].tokens.as_slice().to_vec();
    tokens[0] = u32::MAX;
    let prompt = World::of(&SCENE.recipe).unwrap().prompt(&SCENE.task(), 1);
    samples[slot].reward_micro = World::of(&SCENE.recipe)
        .unwrap()
        .reward_micro(&prompt, &tokens);
    samples[slot].tokens = BoundedVec::new(tokens).unwrap();
    groups[1].samples = BoundedVec::new(samples).unwrap();
    payload.groups = BoundedVec::new(groups).unwrap();
    let verdict = judged(&payload);
    let margin = verdict.finding(Check::Margin).unwrap();
    assert_eq!((margin.measured, margin.group), (u64::MAX, 1));
    assert_eq!(margin.level(), Level::Slash);
}

#[test]
fn forged_proofs_and_projections_void_and_never_slash() {
    let forged = with_section(drawn(&SCENE.model), |section| {
        let bytes = section.projections.as_slice().len();
        section.projections = Bytes::new(vec![0; bytes]).unwrap();
    });
    admitted(&forged, true).unwrap();
    let finding = judged(&forged).contradiction().unwrap();
    assert_eq!(
        (finding.check, finding.level()),
        (Check::ProjectionPeak, Level::Void)
    );
    let missing = with_section(drawn(&SCENE.model), |section| {
        section.proofs = BoundedVec::new(Vec::new()).unwrap();
    });
    let finding = judged(&missing).contradiction().unwrap();
    assert_eq!((finding.check, finding.measured), (Check::Activations, 1));
    assert_eq!(finding.level(), Level::Void);
    let short = with_section(drawn(&SCENE.model), |section| {
        section.projections = Bytes::new(Vec::new()).unwrap();
    });
    assert_eq!(reason(&judged(&short)), Some(Check::ProjectionPeak));
}

#[test]
fn sections_stand_in_the_open_exactly_where_they_must() {
    let open = drawn(&SCENE.model);
    let found = admitted(&open, false);
    assert!(matches!(
        found,
        Err(AdmitError::Openness { found: true } | AdmitError::Size { .. })
    ));
    let sealed = Payload {
        sections: None,
        ..open.clone()
    };
    let found = admitted(&sealed, true);
    assert!(matches!(found, Err(AdmitError::Openness { found: false })));
    assert_eq!(reason(&judged(&sealed)), Some(Check::Encoding));
    let mut sections = open.sections.clone().unwrap();
    let mut groups = sections.groups.into_vec();
    groups.swap(0, 1);
    sections.groups = BoundedVec::new(groups).unwrap();
    let swapped = Payload {
        sections: Some(sections),
        ..open
    };
    let found = admitted(&swapped, true);
    assert!(
        matches!(found, Err(AdmitError::Sections { .. })),
        "{found:?}"
    );
    assert_eq!(reason(&judged(&swapped)), Some(Check::Commitment));
}
