//! From one checkpoint to the next, and how good it is. Spec: 09-checkpoint.

use engine::{
    Device, GenerationOptions, GenerationRequest, InputError, Parameters, Sampling, Threads,
    trainer::{
        AggregateError, Batch, CompressedUpdate, Gradients, OuterState, Part, Robustness,
        Workspace, aggregate, cross_entropy, outer::OuterError,
    },
};
use environment::{END_OF_SEQUENCE, Split};
use miner::{
    ExecuteError, World,
    gradient::exchange::{self, ReadError},
    model,
};
use protocol::{
    Step,
    checkpoint::Evaluation,
    gradient::Payload,
    identifiers::tagged_hash,
    recipe::{Phase, Recipe, UpdateForm},
    task::UnitId,
};
use std::collections::BTreeMap;

/// What the next step starts from.
#[derive(Clone, Debug, PartialEq)]
pub struct Successor {
    /// The weights.
    pub model: Parameters,
    /// The outer optimiser's state.
    pub outer: OuterState,
}

/// Why there is no next checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdvanceError {
    /// A step after the last.
    #[error("step {step} is not one of the run's {steps_count} steps")]
    Step {
        /// The step.
        step: Step,
        /// Steps of the run.
        steps_count: u64,
    },
    /// An accepted update that cannot be read; admission keeps these out.
    #[error("update of unit {unit} cannot be read")]
    Update {
        /// The unit.
        unit: UnitId,
        /// What is wrong.
        source: ReadError,
    },
    /// Updates without weight, or with too much.
    #[error(transparent)]
    Aggregate(#[from] AggregateError),
    /// State and model of different shapes or parts of the recipe.
    #[error(transparent)]
    Outer(#[from] OuterError),
}

/// Computes the checkpoint that step `step + 1` starts from, out of the one that `step` started
/// from and the step's accepted updates.
///
/// With fewer updates than the recipe's minimum, the weights stay as they are. The state that is
/// returned is always the one the next step needs: at the end of pre-training that is a fresh
/// state of the other optimiser, whatever happened to the weights.
///
/// # Errors
/// A step after the last, or a state, model and updates that do not belong together.
pub fn advance(
    recipe: &Recipe,
    step: Step,
    model: &Parameters,
    outer: &OuterState,
    updates: &[Payload],
) -> Result<Successor, AdvanceError> {
    let phase = recipe.phase(step).ok_or(AdvanceError::Step {
        step,
        steps_count: recipe.steps_count(),
    })?;
    let mut next = Successor {
        model: model.clone(),
        outer: outer.clone(),
    };
    if updates.len() >= recipe.schedule.gradient_units_min.max(1) as usize {
        let rule = model::outer_optimizer(recipe, step);
        let threads = Threads::new(1);
        let robustness = model::robustness(recipe);
        let (centre, form) = (outer.centre(&rule), recipe.update(step));
        let gradient = combine(&centre, (updates, form), &robustness, &threads)?;
        next.outer
            .step(&rule, &mut next.model, &gradient, &threads)?;
    }
    if phase == Phase::Pretrain && recipe.phase(step.next()) != Some(Phase::Pretrain) {
        let rule = model::outer_optimizer(recipe, step.next());
        next.outer = OuterState::new(&rule, model.config());
    }
    Ok(next)
}

/// The updates around what the network did lately: the same bits in any order.
///
/// An update's cluster is its miner: the account whose bond answers for it. Work is dealt by
/// bond, so whoever splits a bond gains no weight but what the cap would have taken.
fn combine(
    centre: &CompressedUpdate,
    (updates, form): (&[Payload], UpdateForm),
    robustness: &Robustness,
    threads: &Threads,
) -> Result<Vec<f32>, AdvanceError> {
    let mut clusters = BTreeMap::new();
    let mut parts = Vec::with_capacity(updates.len());
    for payload in updates {
        let unit = payload.unit;
        let update = exchange::read(form, payload.update.as_slice(), centre.value_count())
            .map_err(|source| AdvanceError::Update { unit, source })?;
        let count = clusters.len();
        parts.push(Part {
            update,
            tokens: u64::from(payload.tokens_count),
            cluster: *clusters.entry(payload.miner).or_insert(count),
        });
    }
    Ok(aggregate(&parts, centre, robustness, threads)?)
}

/// The mean loss on the first rows of the corpus' validation part, in nats a token, in rows as
/// long as the recipe trains on.
///
/// # Errors
/// When this software cannot execute the recipe.
pub fn validation_loss(
    recipe: &Recipe,
    model: &Parameters,
    rows_count: usize,
    threads: &Threads,
) -> Result<f64, ValidationError> {
    let row_tokens = recipe.pretrain.corpus_row_tokens as usize;
    let rows = World::of(recipe)?.corpus.validation_rows(row_tokens);
    let tokens: Vec<u32> = rows.take(rows_count).flatten().collect();
    let batch = Batch::next_token(&tokens, row_tokens.saturating_sub(1));
    let (mut gradients, mut workspace) = (Gradients::zeros(model), Workspace::new());
    let loss = cross_entropy(model, &batch, &mut gradients, &mut workspace, threads)?;
    Ok(loss.mean())
}

/// Why there is no loss on the validation part.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ValidationError {
    /// The recipe names what this software does not have.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// Rows that the model does not take.
    #[error(transparent)]
    Input(#[from] InputError),
}

/// Answers the recipe's held-out prompts greedily and counts the exactly right answers.
///
/// Prompt i of every evaluation of a run is the same one.
///
/// # Errors
/// When this software cannot execute the recipe.
pub fn evaluate(
    recipe: &Recipe,
    model: &Parameters,
    device: &Device,
) -> Result<Evaluation, ExecuteError> {
    let world = World::of(recipe)?;
    let prompts_count = recipe.schedule.evaluation_prompts_count;
    let prompt = |index: u32| {
        let seed = tagged_hash("cairn/evaluation/v1", &(recipe.environment, index));
        world.environment.prompt(&seed, Split::HeldOut)
    };
    let requests: Vec<_> = (0..prompts_count)
        .map(|index| GenerationRequest {
            prompt: prompt(index),
            seed: [0; 32],
        })
        .collect();
    let options = GenerationOptions {
        sampling: Sampling::Greedy,
        tokens_max: world.environment.response_tokens_max(),
        eos: END_OF_SEQUENCE,
    };
    let answers = device.generate(model, &requests, &options)?;
    let pairs = requests.iter().zip(&answers);
    let exact = pairs.filter(|(request, answer)| {
        let reward = world.environment.reward(&request.prompt, &answer.tokens);
        reward.is_exact()
    });
    Ok(Evaluation {
        prompts_count,
        exact_count: u32::try_from(exact.count()).unwrap_or(u32::MAX),
    })
}
