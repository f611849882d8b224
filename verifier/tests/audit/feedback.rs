//! Sparse updates: what they lost before is an input, and what they lose is bound.

use crate::scene::{
    Done, MINER, SCENE, beacon, device, done, honest, judge_gradient, reason, segments,
};
use miner::{ExecuteError, GradientInputs, World, gradient};
use protocol::{
    Micro,
    codec::{Bytes, encode},
    gradient::Payload,
    recipe::{Recipe, UpdateForm},
    verdict::Check,
};
use std::sync::LazyLock;
use verifier::{AdmitError, Bound};

/// What is done to an update's bytes.
type Change<'a> = &'a dyn Fn(&mut Vec<u8>);

const DECAY: Micro = Micro::new(950_000);

/// The scene's recipe with sparse updates.
static RECIPE: LazyLock<Recipe> = LazyLock::new(|| {
    let mut recipe = SCENE.recipe.clone();
    recipe.pretrain.update = UpdateForm::Sparse {
        feedback_decay: DECAY,
    };
    recipe
});

/// A unit of that recipe, and what it starts from.
fn with_unit(test: impl Fn(&GradientInputs<'_>)) {
    let beacon = beacon(3);
    let joined = GradientInputs {
        recipe: &RECIPE,
        ..SCENE.pretrain_inputs(&beacon)
    };
    test(&joined);
    let lost = honest(&joined).work.lost.unwrap();
    assert!(lost.iter().any(|value| *value != 0.0));
    test(&GradientInputs {
        feedback: Some(&lost),
        ..joined
    });
}

fn admit(inputs: &GradientInputs<'_>, payload: &Payload) -> Result<(), AdmitError> {
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

fn reasons(done: &Done, inputs: &GradientInputs<'_>) -> Vec<Option<Check>> {
    let judge = |segment| reason(&done.judge(inputs, segment).verdict);
    let all = (0..=segments(inputs).end).map(judge);
    all.collect()
}

#[test]
fn an_honest_sparse_unit_is_judged_clean_in_every_segment() {
    with_unit(|inputs| {
        let done = honest(inputs);
        admit(inputs, &done.work.payload).unwrap();
        let limit = verifier::blob_bytes_max(inputs.unit, inputs.recipe, false).unwrap();
        assert!(encode(&done.work.payload).len() as u64 <= limit);
        // The last is a check of the update alone.
        for segment in 0..=segments(inputs).end {
            let verdict = done.judge(inputs, segment).verdict;
            assert!(verdict.accepts(), "{verdict:?}");
            assert!(verdict.finding(Check::Feedback).is_some());
        }
    });
}

#[test]
fn a_sparse_update_has_a_fiftieth_of_the_bytes_of_a_dense_one() {
    with_unit(|inputs| {
        let dense = GradientInputs {
            recipe: &SCENE.recipe,
            feedback: None,
            ..inputs.clone()
        };
        let bytes = |inputs| {
            let payload = gradient::payload(inputs, &device()).unwrap();
            payload.update.as_slice().len()
        };
        assert!(bytes(inputs) * 45 < bytes(&dense));
    });
}

/// What was sent and what was lost are together what there was to send.
#[test]
fn what_is_sent_and_what_is_lost_add_up_to_the_update_and_what_was_lost_before() {
    with_unit(|inputs| {
        let world = World::of(inputs.recipe).unwrap();
        let learned = gradient::learn(inputs, &world, &mut gradient::forget, &device()).unwrap();
        let sent = gradient::exchange::compress(inputs, &learned.values).unwrap();
        let count = learned.values.len();
        let update = engine::trainer::SparseUpdate::decode(&sent.update, count).unwrap();
        let parts = update.decompress().into_iter().zip(sent.lost.unwrap());
        let whole = parts.map(|(sent, lost)| f64::from(sent) + f64::from(lost));
        for (index, (whole, value)) in whole.zip(&learned.values).enumerate() {
            let before = inputs.feedback.map_or(0.0, |lost| f64::from(lost[index]));
            let expected = 0.95_f64.mul_add(before, f64::from(*value));
            assert!((whole - expected).abs() < 1e-7, "value {index}");
        }
    });
}

#[test]
fn a_false_input_is_found_in_every_segment() {
    with_unit(|inputs| {
        let forged: Vec<f32> = inputs.model.as_slice().iter().map(|w| w * 0.1).collect();
        let done = done(inputs, |salts, keep| {
            let forged = GradientInputs {
                feedback: Some(&forged),
                ..inputs.clone()
            };
            gradient::execute(&forged, salts, keep, &device())
        });
        for found in reasons(&done, inputs) {
            assert_eq!(found, Some(Check::Update));
        }
    });
}

#[test]
fn a_false_output_is_found_in_every_segment() {
    with_unit(|inputs| {
        let mut done = honest(inputs);
        let lost = done.work.lost.as_mut().unwrap();
        lost[0] += 0.25;
        for found in reasons(&done, inputs) {
            assert_eq!(found, Some(Check::Feedback));
        }
        done.work.lost = None;
        for found in reasons(&done, inputs) {
            assert_eq!(found, Some(Check::Feedback));
        }
    });
}

#[test]
fn what_was_lost_must_be_as_long_as_the_model() {
    with_unit(|inputs| {
        let short = [0.0; 3];
        let inputs = GradientInputs {
            feedback: Some(&short),
            ..inputs.clone()
        };
        let expected = inputs.model.as_slice().len();
        assert_eq!(
            gradient::payload(&inputs, &device()).unwrap_err(),
            ExecuteError::Feedback { found: 3, expected }
        );
    });
}

#[test]
fn the_other_form_and_what_no_encoder_writes_are_refused() {
    with_unit(|inputs| {
        let dense = GradientInputs {
            recipe: &SCENE.recipe,
            feedback: None,
            ..inputs.clone()
        };
        let dense_payload = gradient::payload(&dense, &device()).unwrap();
        let sparse_payload = gradient::payload(inputs, &device()).unwrap();
        assert!(matches!(
            admit(inputs, &dense_payload),
            Err(AdmitError::Size { .. })
        ));
        assert!(matches!(
            admit(&dense, &sparse_payload),
            Err(AdmitError::Update(_))
        ));
        let hostile = |change: Change<'_>| {
            let mut bytes = sparse_payload.update.as_slice().to_vec();
            change(&mut bytes);
            let update = Bytes::new(bytes).unwrap();
            let payload = Payload {
                update,
                ..sparse_payload.clone()
            };
            let judged = judge_gradient(inputs, &payload);
            assert_eq!(reason(&judged), Some(Check::Encoding));
            admit(inputs, &payload)
        };
        let changes: [Change<'_>; 5] = [
            &|bytes| bytes.truncate(bytes.len() - 1),
            &|bytes| bytes[0] = 65,
            &|bytes| bytes[1..5].fill(0),
            &|bytes| bytes[5] ^= 1,
            &|bytes| bytes.clear(),
        ];
        for change in changes {
            assert!(matches!(hostile(change), Err(AdmitError::Update(_))));
        }
    });
}

#[test]
fn sparse_updates_are_aggregated_and_move_the_model() {
    with_unit(|inputs| {
        let payload = gradient::payload(inputs, &device()).unwrap();
        let outer = miner::initial_outer(inputs.recipe).unwrap();
        let advance = |updates: &[Payload]| {
            let step = inputs.unit.step;
            verifier::checkpoint::advance(inputs.recipe, step, inputs.model, &outer, updates)
        };
        let mut other = payload.clone();
        other.unit.index += 1;
        let one = advance(&[payload.clone(), other.clone()]).unwrap();
        let two = advance(&[other, payload]).unwrap();
        assert_eq!(one, two);
        assert_ne!(one.model, *inputs.model);
    });
}
