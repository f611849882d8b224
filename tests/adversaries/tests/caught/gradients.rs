use crate::scene::{NO_ROOT, SCENE, beacon, device, done, honest, reason, segments};
use adversaries::{Cheat, Target, all};
use miner::{GradientInputs, gradient::exchange};
use protocol::{
    Micro,
    codec::encode,
    recipe::{Recipe, UpdateForm},
    task::UnitId,
    verdict::Check,
};

/// The scene's recipe with this form of updates.
fn with_form(update: UpdateForm) -> Recipe {
    let mut recipe = SCENE.recipe.clone();
    recipe.pretrain.update = update;
    recipe
}

const SPARSE: UpdateForm = UpdateForm::Sparse {
    feedback_decay: Micro::new(950_000),
};

#[test]
fn feedback_that_is_forged_is_found_by_every_audit() {
    let (beacon, recipe) = (beacon(3), with_form(SPARSE));
    let inputs = GradientInputs {
        recipe: &recipe,
        ..SCENE.pretrain_inputs(&beacon)
    };
    let cheat: Cheat = "forged-feedback".parse().unwrap();
    let lied = done(&inputs, |salts, keep| {
        cheat.gradient(&inputs, (salts, keep), &device())
    });
    let honest = honest(&inputs).work;
    assert_eq!(lied.work.payload, honest.payload);
    assert_ne!(lied.work.lost, honest.lost);
    // The last is a check of the update alone.
    for segment in 0..=segments(&inputs).end {
        let verdict = lied.judge(&inputs, segment).verdict;
        assert_eq!(reason(&verdict), Some(Check::Feedback), "{segment}");
    }
}

#[test]
fn a_decay_of_its_own_is_found_by_every_audit_once_something_was_lost() {
    let (beacon, recipe) = (beacon(3), with_form(SPARSE));
    let first = GradientInputs {
        recipe: &recipe,
        ..SCENE.pretrain_inputs(&beacon)
    };
    let cheat: Cheat = "own-decay".parse().unwrap();
    let before = done(&first, |salts, keep| {
        cheat.gradient(&first, (salts, keep), &device())
    });
    assert_eq!(before.work, honest(&first).work);
    let inputs = GradientInputs {
        feedback: before.work.lost.as_deref(),
        ..first
    };
    let lied = done(&inputs, |salts, keep| {
        cheat.gradient(&inputs, (salts, keep), &device())
    });
    // The last is a check of the update alone.
    for segment in 0..=segments(&inputs).end {
        let verdict = lied.judge(&inputs, segment).verdict;
        assert_eq!(reason(&verdict), Some(Check::Update), "{segment}");
    }
}

#[test]
fn no_malformed_update_is_one_in_either_form() {
    let cheat: Cheat = "malformed-codec".parse().unwrap();
    let beacon = beacon(3);
    let values_count = SCENE.model.as_slice().len();
    for form in [UpdateForm::Dense, SPARSE] {
        let recipe = with_form(form);
        for index in 0..4 {
            let scene = SCENE.pretrain_inputs(&beacon);
            let unit = UnitId {
                index,
                ..scene.unit
            };
            let inputs = GradientInputs {
                recipe: &recipe,
                unit,
                ..scene
            };
            let lied = done(&inputs, |salts, keep| {
                cheat.gradient(&inputs, (salts, keep), &device())
            });
            let update = lied.work.payload.update.as_slice();
            assert!(
                exchange::read(form, update, values_count).is_err(),
                "{form:?} {index}"
            );
            let verdict = lied.judge(&inputs, segments(&inputs).end).verdict;
            assert_eq!(reason(&verdict), Some(Check::Encoding), "{form:?} {index}");
        }
    }
}

#[test]
fn every_dishonest_gradient_is_caught_by_its_check() {
    let (pretrain, reinforce) = (beacon(3), beacon(4));
    caught("pretrain", &SCENE.pretrain_inputs(&pretrain));
    caught("reinforce", &SCENE.reinforce_inputs(&reinforce));
}

/// Who is honest about reinforcement learning.
const ONLY_PRETRAIN: [&str; 5] = [
    "copied-gradient",
    "wrong-shard",
    "little-is-enough",
    "moment-plant",
    "tolerance-drift",
];

/// Each of these lies shows in every segment, so that any audit finds it.
fn caught(part: &str, inputs: &GradientInputs<'_>) {
    let honest = honest(inputs).work;
    for cheat in all().map(Cheat::always) {
        let lied = done(inputs, |salts, keep| {
            cheat.gradient(inputs, (salts, keep), &device())
        });
        let payload = &lied.work.payload;
        let root = payload.root().unwrap_or(NO_ROOT);
        let admitted = SCENE.admit(inputs.unit, root, &encode(payload));
        let name = cheat.adversary().name();
        assert_eq!(
            admitted.is_err(),
            name == "malformed-codec",
            "{part} {cheat}"
        );
        let is_honest = part == "reinforce" && ONLY_PRETRAIN.contains(&name);
        let is_honest = is_honest || ["forged-feedback", "own-decay"].contains(&name);
        if !cheat.lies_about(Target::Gradient) || is_honest {
            assert_eq!(lied.work, honest, "{cheat} is honest about {part}");
            continue;
        }
        for segment in segments(inputs) {
            let verdict = lied.judge(inputs, segment).verdict;
            let takes_half = name == "skip-steps" && part == "pretrain";
            let expected = match name {
                "scaled-gradient" | "inner-product" | "little-is-enough" => Check::Update,
                "malformed-codec" => Check::Encoding,
                // What somebody changed is found by who repeats the segment before, and who goes
                // on from there finds nothing.
                "moment-plant" | "tolerance-drift" if segment + 1 < segments(inputs).end => {
                    Check::State
                }
                "moment-plant" | "tolerance-drift" => {
                    assert_eq!(reason(&verdict), None, "{part} {cheat} {segment}");
                    continue;
                }
                // One bad segment is found where it is, and there only.
                "backdoor" if segment + 1 < segments(inputs).end => {
                    assert_eq!(reason(&verdict), None, "{part} {cheat} {segment}");
                    continue;
                }
                // It goes on rightly from where it is, which is nowhere near the checkpoint.
                "stale-checkpoint" if segment > 0 && part == "pretrain" => Check::Update,
                // The first half of the work is done, and what is sent is twice what it gave.
                "skip-steps" if takes_half && segment == 0 => Check::Update,
                _ => Check::Loss,
            };
            assert_eq!(reason(&verdict), Some(expected), "{part} {cheat} {segment}");
        }
    }
}
