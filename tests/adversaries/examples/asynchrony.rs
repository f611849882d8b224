//! What it costs reinforcement learning that rollouts are older than the model that learns of them.
//!
//! Run with `cargo run --release -p adversaries --example asynchrony -- RECIPE.json STEPS SEEDS`,
//! followed by the asynchronies to compare if they are not 0 to 4.
//! Step s learns from rollouts that K_{s - a} drew, for every asynchrony a of 0, which is
//! synchronous, to 4; the network's is 1. Log-probabilities of the behaviour policy are those of
//! the model that drew, as production computes them. Rollouts, gradients, aggregation and
//! evaluation are the production code; a seed gives first weights, prompts and draws, and all
//! asynchronies of a seed start from the same pre-trained model.
#![expect(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a table of measurements is what this program is for"
)]

use engine::{Device, Parameters, Threads};
use miner::{
    Generation, GradientInputs, RolloutInputs, gradient, initial_model, initial_outer, parallel,
    rollout,
};
use protocol::{
    Address, ChainId, CheckpointId, EnvironmentHash, RunId, SigningKey, Step,
    gradient::Payload,
    identifiers::tagged_hash,
    recipe::Recipe,
    rollout::Salts,
    task::{Beacon, RolloutTask, UnitId, UnitKind},
};
use std::error::Error;
use verifier::{Successor, checkpoint};

type Failure = Box<dyn Error + Send + Sync>;

/// Of rollouts, in steps, if none are named.
const ASYNCHRONIES: [usize; 5] = [0, 1, 2, 3, 4];
/// The largest that can be asked for.
const ASYNCHRONY_MAX: usize = 64;
/// Steps over whose rollouts the last reward is the mean.
const LAST_STEPS: usize = 8;

/// One run: mean rewards of its steps' rollouts, and held-out prompts answered exactly at the end.
struct Course {
    rewards: Vec<f64>,
    exact: f64,
}

fn unit(step: Step, kind: UnitKind, index: u32) -> UnitId {
    UnitId {
        run: RunId::ZERO,
        step,
        kind,
        index,
    }
}

fn beacon(seed: u64, step: Step) -> Beacon {
    Beacon::from_bytes(tagged_hash("cairn/asynchrony-report/v1", &(seed, step)))
}

/// The recipe with other first weights.
fn seeded(recipe: &Recipe, seed: u64) -> Recipe {
    let weights = tagged_hash("cairn/asynchrony-seed/v1", &seed);
    Recipe {
        seed: EnvironmentHash::from_bytes(weights),
        initial_weights: None,
        ..recipe.clone()
    }
}

/// The model after the recipe's pre-training, and the optimiser of what follows.
fn pretrained(recipe: &Recipe, seed: u64, device: &Device) -> Result<Successor, Failure> {
    let mut now = Successor {
        model: initial_model(recipe)?,
        outer: initial_outer(recipe)?,
    };
    for step in (0..recipe.pretrain.steps_count).map(Step::new) {
        let beacon = beacon(seed, step);
        let execute = |index| {
            let inputs = GradientInputs {
                unit: unit(step, UnitKind::Gradient, index),
                miner: Address::from_bytes([3; 32]),
                recipe,
                beacon: &beacon,
                model: &now.model,
                generation: None,
                feedback: None,
            };
            gradient::payload(&inputs, device)
        };
        let units = 0..recipe.pretrain.units_count;
        let updates: Vec<Payload> = units.map(execute).collect::<Result<_, _>>()?;
        now = checkpoint::advance(recipe, step, &now.model, &now.outer, &updates)?;
    }
    Ok(now)
}

type Rollouts = Vec<(RolloutTask, protocol::rollout::Payload)>;

/// A step's rollouts by a model, and their mean reward.
fn drawn(
    recipe: &Recipe,
    (seed, step): (u64, Step),
    model: &Parameters,
    device: &Device,
) -> Result<(Rollouts, f64), Failure> {
    let key = SigningKey::from_seed([7; 32]);
    let (mut rollouts, mut reward, mut samples) = (Vec::new(), 0_u64, 0_u64);
    for index in 0..recipe.reinforce.rollout_units_count {
        let task = RolloutTask {
            chain: ChainId::from_bytes([1; 32]),
            checkpoint: CheckpointId::of(&model.to_safetensors()),
            environment: recipe.environment,
            beacon: beacon(seed, step),
            unit: unit(step, UnitKind::Rollout, index),
            miner: key.address(),
        };
        let inputs = RolloutInputs {
            task: &task,
            recipe,
            model,
        };
        let salts = Salts::derive(&key, task.chain, task.unit);
        let payload = rollout::execute(&inputs, &salts, device)?.payload;
        let totals = payload.totals(1_000_000);
        reward += totals.reward_micro;
        samples += u64::from(totals.samples_count);
        rollouts.push((task, payload));
    }
    Ok((rollouts, reward as f64 / 1e6 / samples.max(1) as f64))
}

fn course(
    recipe: &Recipe,
    (seed, asynchrony): (u64, usize),
    (start, steps): (&Successor, u64),
) -> Result<Course, Failure> {
    let device = Device::cpu(1);
    let mut outer = start.outer.clone();
    let mut models = vec![start.model.clone()];
    let mut rewards = Vec::new();
    for step in 0..steps {
        let step = Step::new(recipe.pretrain.steps_count + step);
        let newest = models.len() - 1;
        let behind = &models[newest.saturating_sub(asynchrony)];
        let (rollouts, reward) = drawn(recipe, (seed, step), behind, &device)?;
        rewards.push(reward);
        let (count, beacon) = (recipe.reinforce.gradient_units_count, beacon(seed, step));
        let execute = |index: u32| {
            let own = rollouts.iter().skip(index as usize).step_by(count as usize);
            let inputs = GradientInputs {
                unit: unit(step, UnitKind::Gradient, index),
                miner: Address::from_bytes([9; 32]),
                recipe,
                beacon: &beacon,
                model: &models[newest],
                generation: Some(Generation {
                    model: behind,
                    rollouts: own.cloned().collect(),
                }),
                feedback: None,
            };
            gradient::payload(&inputs, &device)
        };
        let updates: Vec<Payload> = (0..count).map(execute).collect::<Result<_, _>>()?;
        let next = checkpoint::advance(recipe, step, &models[newest], &outer, &updates)?;
        outer = next.outer;
        models.push(next.model);
        let needless = models.len().saturating_sub(asynchrony + 2);
        models.drain(..needless);
    }
    let last = models.last().ok_or("a model")?;
    let found = checkpoint::evaluate(recipe, last, &device)?;
    Ok(Course {
        rewards,
        exact: f64::from(found.exact_count) / f64::from(found.prompts_count.max(1)),
    })
}

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("a recipe is needed")?;
    let mut number = |default: u64| {
        let text = arguments.next();
        text.map_or(Ok(default), |text| text.parse::<u64>())
    };
    let (steps, seeds) = (number(24)?, number(3)?);
    let named = arguments.map(|text| text.parse().map_err(Failure::from));
    let mut asynchronies = named.collect::<Result<Vec<usize>, Failure>>()?;
    if asynchronies.is_empty() {
        asynchronies.extend(ASYNCHRONIES);
    }
    if let Some(largest) = asynchronies.iter().find(|one| **one > ASYNCHRONY_MAX) {
        return Err(format!("asynchrony {largest}: at most {ASYNCHRONY_MAX}").into());
    }
    let recipe: Recipe = serde_json::from_slice(&std::fs::read(path)?)?;
    let steps = steps.min(recipe.reinforce.steps_count.saturating_sub(1));
    let threads = Threads::new(std::thread::available_parallelism()?.get());
    let begun = |seed: &u64| -> Result<(Recipe, Successor), Failure> {
        let recipe = seeded(&recipe, *seed);
        let start = pretrained(&recipe, *seed, &Device::cpu(1))?;
        Ok((recipe, start))
    };
    let all: Vec<u64> = (0..seeds).collect();
    let starts = parallel::map(&all, &threads, begun).into_iter();
    let starts = starts.collect::<Result<Vec<_>, _>>()?;
    let each = |a| all.iter().map(move |seed| (*seed, a));
    let work: Vec<(u64, usize)> = asynchronies.into_iter().flat_map(each).collect();
    let found = parallel::map(&work, &threads, |(seed, asynchrony)| {
        let (recipe, start) = starts.get(usize::try_from(*seed)?).ok_or("a seed")?;
        course(recipe, (*seed, *asynchrony), (start, steps))
    });
    let courses = found.into_iter().collect::<Result<Vec<Course>, _>>()?;
    println!("| asynchrony | seed | first reward | last reward | held-out exact |");
    println!("|---|---|---|---|---|");
    for (course, (seed, asynchrony)) in courses.iter().zip(&work) {
        let last = &course.rewards[course.rewards.len().saturating_sub(LAST_STEPS)..];
        let mean = last.iter().sum::<f64>() / last.len().max(1) as f64;
        let (first, exact) = (course.rewards.first().unwrap_or(&0.0), course.exact);
        println!("| {asynchrony} | {seed} | {first:.3} | {mean:.3} | {exact:.3} |");
    }
    Ok(())
}
