use crate::scene::{SCENE, beacon, device, pretrain_updates, recipe};
use engine::trainer::OuterState;
use miner::{gradient, initial_model, initial_outer};
use protocol::{Step, codec::Bytes, gradient::Payload, recipe::Recipe};
use verifier::{AdvanceError, Successor, checkpoint};

fn start(recipe: &Recipe) -> Successor {
    Successor {
        model: initial_model(recipe).unwrap(),
        outer: initial_outer(recipe).unwrap(),
    }
}

fn advance(recipe: &Recipe, step: u64, now: &Successor, updates: &[Payload]) -> Successor {
    checkpoint::advance(recipe, Step::new(step), &now.model, &now.outer, updates).unwrap()
}

#[test]
fn the_next_checkpoint_does_not_depend_on_the_order_of_updates() {
    let recipe = recipe();
    let now = start(&recipe);
    let mut updates = pretrain_updates(&recipe, &now.model, 0);
    updates[0].tokens_count = 3;
    let mut more = pretrain_updates(&recipe, &now.model, 1);
    more[1].tokens_count = 1 << 20;
    updates.append(&mut more);
    let next = advance(&recipe, 0, &now, &updates);
    assert_ne!(next.model, now.model);
    for _ in 0..updates.len() {
        updates.rotate_left(1);
        assert_eq!(advance(&recipe, 0, &now, &updates), next);
        updates.swap(0, 2);
        assert_eq!(advance(&recipe, 0, &now, &updates), next);
    }
}

#[test]
fn too_few_updates_leave_the_checkpoint_as_it_is() {
    let mut recipe = recipe();
    recipe.schedule.gradient_units_min = 2;
    let now = start(&recipe);
    let updates = pretrain_updates(&recipe, &now.model, 0);
    assert_eq!(advance(&recipe, 0, &now, &updates[..1]), now);
    assert_eq!(advance(&recipe, 0, &now, &[]), now);
    assert_ne!(advance(&recipe, 0, &now, &updates).model, now.model);
}

#[test]
fn the_outer_state_starts_afresh_at_the_change_of_parts() {
    let recipe = recipe();
    let now = start(&recipe);
    let last = recipe.pretrain.steps_count - 1;
    let updates = pretrain_updates(&recipe, &now.model, last);
    for updates in [updates.as_slice(), &[]] {
        let next = advance(&recipe, last, &now, updates);
        let rule = miner::model::outer_optimizer(&recipe, Step::new(last + 1));
        assert_eq!(next.outer, OuterState::new(&rule, now.model.config()));
    }
    assert_eq!(advance(&recipe, 0, &now, &updates).outer.step_count(), 1);
}

#[test]
fn a_reinforcement_step_moves_the_model_by_its_rate() {
    let beacon = beacon(4);
    let update = gradient::payload(&SCENE.reinforce_inputs(&beacon), &device()).unwrap();
    let now = Successor {
        model: SCENE.model.clone(),
        outer: SCENE.outer.clone(),
    };
    let step = SCENE.recipe.pretrain.steps_count;
    let next = advance(&SCENE.recipe, step, &now, std::slice::from_ref(&update));
    let pairs = now.model.as_slice().iter().zip(next.model.as_slice());
    let largest = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    // The first step of AdamW moves by the rate: half of 1e-3, in a warm-up of two steps.
    assert!((4.9e-4..5.1e-4).contains(&largest), "{largest}");
}

#[test]
fn unreadable_updates_and_steps_after_the_last_are_errors() {
    let recipe = recipe();
    let now = start(&recipe);
    let mut updates = pretrain_updates(&recipe, &now.model, 0);
    let advance = |step, updates: &[Payload]| {
        checkpoint::advance(&recipe, Step::new(step), &now.model, &now.outer, updates)
    };
    let over = advance(recipe.steps_count(), &updates);
    assert!(matches!(over, Err(AdvanceError::Step { .. })));
    let wrong_part = advance(recipe.pretrain.steps_count, &updates);
    assert!(matches!(wrong_part, Err(AdvanceError::Outer(_))));
    updates[1].update = Bytes::new(vec![1, 2, 3]).unwrap();
    assert!(matches!(
        advance(0, &updates),
        Err(AdvanceError::Update { .. })
    ));
}

#[test]
fn evaluation_counts_the_same_prompts_every_time() {
    let recipe = recipe();
    let now = start(&recipe);
    let first = checkpoint::evaluate(&recipe, &now.model, &device()).unwrap();
    assert_eq!(
        first.prompts_count,
        recipe.schedule.evaluation_prompts_count
    );
    assert_eq!(
        checkpoint::evaluate(&recipe, &now.model, &engine::Device::cpu(2)).unwrap(),
        first
    );
}

#[test]
fn pre_training_reduces_the_loss() {
    let mut recipe = recipe();
    recipe.pretrain.steps_count = 12;
    let mut now = start(&recipe);
    let mut losses = Vec::new();
    for step in 0..recipe.pretrain.steps_count {
        let updates = pretrain_updates(&recipe, &now.model, step);
        losses.push(updates[0].loss_micro());
        now = advance(&recipe, step, &now, &updates);
    }
    let (first, last) = (losses[0], losses[losses.len() - 1]);
    assert!(last * 10 < first * 7, "{losses:?}");
}

#[test]
fn a_lie_pulls_the_checkpoint_less_than_without_limits() {
    let mut recipe = recipe();
    recipe.pretrain.units_count = 5;
    let now = start(&recipe);
    let mut updates = pretrain_updates(&recipe, &now.model, 0);
    for (update, miner) in updates.iter_mut().zip(1_u8..) {
        update.miner = protocol::Address::from_bytes([miner; 32]);
    }
    let bomb = vec![1.5; now.model.as_slice().len()];
    let bomb = engine::trainer::CompressedUpdate::compress(&bomb).unwrap();
    let mut with_lie = updates.clone();
    with_lie[4].update = Bytes::new(bomb.encode()).unwrap();
    let mut credulous = recipe.clone();
    credulous.aggregation.norm_max = protocol::Micro::new(u64::MAX);
    credulous.aggregation.norm_ratio = protocol::Micro::new(u64::MAX);
    credulous.aggregation.center_rounds_count = 0;
    let moved = |recipe: &Recipe| {
        let clean = advance(recipe, 0, &now, &updates[..4]);
        let lied = advance(recipe, 0, &now, &with_lie);
        let pairs = clean.model.as_slice().iter().zip(lied.model.as_slice());
        let squares = pairs.map(|(a, b)| f64::from(a - b).powi(2));
        let start = clean.model.as_slice().iter().zip(now.model.as_slice());
        let honest = start.map(|(a, b)| f64::from(a - b).powi(2));
        (squares.sum::<f64>() / honest.sum::<f64>()).sqrt()
    };
    let (robust, plain) = (moved(&recipe), moved(&credulous));
    assert!(robust < 1.0 && plain > 10.0, "{robust}, {plain}");
}

#[test]
fn one_miner_has_no_more_weight_than_the_cap() {
    let mut recipe = recipe();
    recipe.aggregation.weight_cap = protocol::Micro::new(500_000);
    let now = start(&recipe);
    let mut updates = pretrain_updates(&recipe, &now.model, 0);
    updates.truncate(2);
    updates[0].miner = protocol::Address::from_bytes([1; 32]);
    updates[1].miner = protocol::Address::from_bytes([2; 32]);
    updates[1].tokens_count = updates[0].tokens_count;
    let equal = advance(&recipe, 0, &now, &updates);
    updates[1].tokens_count *= 9;
    assert_eq!(advance(&recipe, 0, &now, &updates), equal);
    recipe.aggregation.weight_cap = protocol::Micro::ONE;
    assert_ne!(advance(&recipe, 0, &now, &updates), equal);
}
