use super::{micro_of, number, outer_optimizer};
use engine::trainer::OuterOptimizer;
use protocol::{Micro, Step, recipe::Recipe};

fn recipe() -> Recipe {
    serde_json::from_str(include_str!("../../recipes/tiny.json")).expect("the file is a recipe")
}

fn rate(recipe: &Recipe, step: u64) -> f32 {
    match outer_optimizer(recipe, Step::new(step)) {
        OuterOptimizer::AdamW { lr, .. } => lr,
        OuterOptimizer::Nesterov { .. } => panic!("step {step} is not of reinforcement learning"),
    }
}

#[test]
fn numbers_are_the_nearest_f32() {
    assert_eq!(number(Micro::new(700_000)), 0.7);
    assert_eq!(number(Micro::new(2_000)), 2e-3);
    assert_eq!(number(Micro::new(1)), 1e-6);
    assert_eq!(number(Micro::ONE), 1.0);
    assert_eq!(number(Micro::ZERO), 0.0);
}

#[test]
fn losses_are_rounded_to_the_nearest_millionth() {
    assert_eq!(micro_of(1.000_000_6), Some(1_000_001));
    assert_eq!(micro_of(-0.000_000_6), Some(-1));
    assert_eq!(micro_of(f64::NAN), None);
    assert_eq!(micro_of(f64::INFINITY), None);
}

#[test]
fn the_rate_rises_then_falls_to_its_final_share() {
    let mut recipe = recipe();
    recipe.pretrain.steps_count = 3;
    recipe.reinforce.steps_count = 10;
    recipe.reinforce.warmup_steps_count = 2;
    recipe.reinforce.learning_rate = Micro::new(1_000);
    recipe.reinforce.final_rate = Micro::new(200_000);
    let rates: Vec<f32> = (3..13).map(|step| rate(&recipe, step)).collect();
    assert_eq!(rates[0], 5e-4);
    assert_eq!(rates[1], 1e-3);
    assert_eq!(rates[2], 9e-4);
    assert_eq!(rates[9], 2e-4);
    assert!(rates.windows(2).skip(1).all(|pair| pair[0] > pair[1]));
}

#[test]
fn a_recipe_without_warm_up_or_with_one_step_has_a_rate() {
    let mut recipe = recipe();
    recipe.reinforce.warmup_steps_count = 0;
    recipe.reinforce.steps_count = 1;
    recipe.reinforce.final_rate = Micro::ONE;
    assert_eq!(rate(&recipe, 4), 1e-3);
    recipe.reinforce.warmup_steps_count = 1;
    recipe.reinforce.final_rate = Micro::ZERO;
    assert_eq!(rate(&recipe, 4), 1e-3);
}
