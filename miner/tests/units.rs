//! Units seen from outside: what a recipe allows, and the form of what is made.
#![allow(clippy::unwrap_used, reason = "tests")]

use engine::Device;
use miner::{
    ExecuteError, GradientInputs, RolloutInputs, World, gradient, initial_model,
    rollout::{self, ends_lawfully, proofs_count},
};
use protocol::{
    Address, ChainId, CheckpointId, EnvironmentHash, Micro, RunId, SigningKey, Step,
    recipe::Recipe,
    rollout::{Finish, Salts},
    task::{Beacon, RolloutTask, UnitId, UnitKind},
};

const MINER: Address = Address::from_bytes([3; 32]);

fn recipe() -> Recipe {
    serde_json::from_str(include_str!("../recipes/tiny.json")).unwrap()
}

fn unit(step: u64, kind: UnitKind) -> UnitId {
    UnitId {
        run: RunId::ZERO,
        step: Step::new(step),
        kind,
        index: 0,
    }
}

#[test]
fn a_sample_has_one_proof_for_its_prompt_and_one_for_every_32_fed_tokens() {
    assert_eq!(proofs_count(0), 1);
    assert_eq!(proofs_count(1), 1);
    assert_eq!(proofs_count(2), 2);
    assert_eq!(proofs_count(33), 2);
    assert_eq!(proofs_count(34), 3);
    let recipe = recipe();
    let model = initial_model(&recipe).unwrap();
    let task = RolloutTask {
        chain: ChainId::from_bytes([1; 32]),
        checkpoint: CheckpointId::from_bytes([2; 32]),
        environment: recipe.environment,
        beacon: Beacon::from_bytes([4; 32]),
        unit: unit(0, UnitKind::Rollout),
        miner: MINER,
    };
    let inputs = RolloutInputs {
        task: &task,
        recipe: &recipe,
        model: &model,
    };
    let key = SigningKey::from_seed([3; 32]);
    let salts = Salts::derive(&key, task.chain, task.unit);
    let work = rollout::execute(&inputs, &salts, &Device::cpu(1)).unwrap();
    let prompts = World::of(&recipe).unwrap().prompts(&task, 2);
    let groups = work.payload.groups.as_slice().iter().zip(&prompts);
    for ((group, prompt), sections) in groups.zip(work.sections.groups.as_slice()) {
        for (sample, section) in group.samples.as_slice().iter().zip(sections.as_slice()) {
            let tokens = sample.tokens.as_slice();
            assert_eq!(section.proofs.as_slice().len(), proofs_count(tokens.len()));
            let fed = prompt.len() + tokens.len() - 1;
            assert_eq!(section.projections.as_slice().len(), 8 * fed);
            assert!(ends_lawfully(tokens, sample.finish, 5));
        }
    }
    let other = RolloutTask {
        miner: Address::from_bytes([5; 32]),
        ..task.clone()
    };
    let inputs = RolloutInputs {
        task: &other,
        ..inputs
    };
    let others = rollout::execute(&inputs, &salts, &Device::cpu(1)).unwrap();
    let copied = others.payload.groups == work.payload.groups;
    assert!(!copied, "a copied unit is worthless");
}

#[test]
fn responses_end_with_their_only_end_token_or_at_the_limit() {
    let (end, cap) = (Finish::EndOfSequence, Finish::Cap);
    let cases: [(&[u32], Finish, bool); 10] = [
        (&[0], end, true),
        (&[5, 0], end, true),
        (&[5, 5, 0], end, true),
        (&[5, 5, 5], cap, true),
        (&[], cap, false),
        (&[], end, false),
        (&[5, 5], cap, false),
        (&[5, 0, 5], cap, false),
        (&[5, 5, 0], cap, false),
        (&[5, 5, 5, 5], cap, false),
    ];
    for (tokens, finish, lawful) in cases {
        assert_eq!(ends_lawfully(tokens, finish, 3), lawful, "{tokens:?}");
    }
}

#[test]
fn recipes_that_cannot_be_executed_are_refused_with_field_and_limits() {
    type Change = (&'static str, fn(&mut Recipe));
    let changes: [Change; 9] = [
        ("model.vocab_size", |r| r.model.vocab_size = 255),
        ("model.positions_max", |r| r.model.positions_max = 9),
        ("pretrain.inner_steps_count", |r| {
            r.pretrain.inner_steps_count = 0;
        }),
        ("rows of an inner batch", |r| {
            r.pretrain.corpus_rows_count = u32::MAX;
        }),
        ("pretrain.corpus_row_tokens", |r| {
            r.pretrain.corpus_row_tokens = 33;
        }),
        ("reinforce.groups_per_unit_count", |r| {
            r.reinforce.groups_per_unit_count = 65;
        }),
        ("reinforce.segments_count", |r| {
            r.reinforce.segments_count = 0;
        }),
        ("reinforce.samples_per_group_count", |r| {
            r.reinforce.samples_per_group_count = 0;
        }),
        ("reinforce.temperature", |r| {
            r.reinforce.temperature = Micro::ZERO;
        }),
    ];
    World::of(&recipe()).unwrap();
    for (name, change) in changes {
        let mut recipe = recipe();
        change(&mut recipe);
        match World::of(&recipe) {
            Err(ExecuteError::Recipe { field, .. }) => assert_eq!(field, name),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn unknown_environments_corpora_and_models_are_named_in_the_error() {
    let mut unknown = recipe();
    unknown.environment = EnvironmentHash::from_bytes([1; 32]);
    let error = World::of(&unknown).unwrap_err();
    assert!(error.to_string().contains(&"01".repeat(32)), "{error}");
    let mut unknown = recipe();
    unknown.corpus = EnvironmentHash::from_bytes([2; 32]);
    let error = World::of(&unknown).unwrap_err();
    assert!(matches!(error, ExecuteError::CorpusUnknown { .. }));
    let mut odd = recipe();
    odd.model.head_dim = 7;
    assert!(matches!(World::of(&odd), Err(ExecuteError::Model(_))));
    assert!(matches!(initial_model(&odd), Err(ExecuteError::Model(_))));
}

#[test]
fn gradient_units_need_a_step_of_the_run_and_rollouts_where_they_learn_from_them() {
    let recipe = recipe();
    let model = initial_model(&recipe).unwrap();
    let execute = |step| {
        let inputs = GradientInputs {
            unit: unit(step, UnitKind::Gradient),
            miner: MINER,
            recipe: &recipe,
            beacon: &Beacon::from_bytes([4; 32]),
            model: &model,
            generation: None,
            feedback: None,
        };
        gradient::payload(&inputs, &Device::cpu(1))
    };
    let tokens = execute(0).unwrap().tokens_count;
    // Four steps of two rows of 31 predictions and eight answers of five tokens.
    assert_eq!(tokens, 4 * (2 * 31 + 8 * 5));
    let missing = execute(4);
    assert!(matches!(
        missing,
        Err(ExecuteError::GenerationMissing { .. })
    ));
    assert!(matches!(execute(8), Err(ExecuteError::StepOver { .. })));
}
