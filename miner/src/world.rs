//! What a recipe names by hash, found in this software; and the check that it can be executed.

use crate::{ExecuteError, model};
use environment::{Corpus, Environment, Split, VOCABULARY_COUNT};
use protocol::{
    Micro,
    gradient::{INNER_STEPS_COUNT_MAX, SEGMENT_STEPS_COUNT_MAX},
    recipe::Recipe,
    rollout::{GROUPS_COUNT_MAX, SAMPLES_COUNT_MAX, TOKENS_COUNT_MAX},
    task::RolloutTask,
};

/// The environment and corpus of a run.
#[derive(Clone, Copy, Debug)]
pub struct World {
    /// The verifiable task.
    pub environment: &'static dyn Environment,
    /// The text for pre-training.
    pub corpus: &'static Corpus,
}

impl World {
    /// Finds what the recipe names and checks that every unit of it can be executed: whoever has
    /// a world meets no limit later, whatever the seeds are.
    ///
    /// # Errors
    /// An unknown hash, or a number that a payload or the model has no room for.
    pub fn of(recipe: &Recipe) -> Result<Self, ExecuteError> {
        let environment = environment::by_hash(recipe.environment.as_bytes()).ok_or(
            ExecuteError::EnvironmentUnknown {
                hash: recipe.environment,
            },
        )?;
        let corpus =
            Corpus::by_hash(recipe.corpus.as_bytes()).ok_or(ExecuteError::CorpusUnknown {
                hash: recipe.corpus,
            })?;
        let world = Self {
            environment,
            corpus,
        };
        model::config(&recipe.model)?;
        let fields = world.model_fields(recipe).into_iter();
        let fields = fields.chain(world.pretrain_fields(recipe));
        for (field, value, value_min, value_max) in fields.chain(reinforce_fields(recipe)) {
            if value < value_min || value > value_max {
                return Err(ExecuteError::Recipe {
                    field,
                    value,
                    value_min,
                    value_max,
                });
            }
        }
        Ok(world)
    }

    fn model_fields(&self, recipe: &Recipe) -> [Field; 3] {
        let response = self.environment.response_tokens_max() as u64;
        let sequence = self.environment.prompt_tokens() as u64 + response;
        let model = &recipe.model;
        [
            (
                "model.vocab_size",
                model.vocab_size.into(),
                VOCABULARY_COUNT.into(),
                u64::MAX,
            ),
            (
                "model.positions_max",
                model.positions_max.into(),
                sequence,
                u64::MAX,
            ),
            (
                "response length of the environment",
                response,
                1,
                TOKENS_COUNT_MAX as u64,
            ),
        ]
    }

    fn pretrain_fields(&self, recipe: &Recipe) -> Vec<Field> {
        let pretrain = &recipe.pretrain;
        if pretrain.steps_count == 0 {
            return Vec::new();
        }
        let text = self.corpus.part(Split::Train).len() as u64;
        let rows = u64::from(pretrain.corpus_rows_count)
            .saturating_add(pretrain.demonstration_rows_count.into());
        vec![
            (
                "pretrain.inner_steps_count",
                pretrain.inner_steps_count.into(),
                1,
                INNER_STEPS_COUNT_MAX as u64,
            ),
            (
                "pretrain.segment_steps_count",
                pretrain.segment_steps_count.into(),
                1,
                SEGMENT_STEPS_COUNT_MAX.into(),
            ),
            ("rows of an inner batch", rows, 1, ROWS_COUNT_MAX),
            (
                "pretrain.update.feedback_decay",
                pretrain.update.feedback_decay().unwrap_or_default().get(),
                0,
                Micro::ONE.get(),
            ),
            (
                "pretrain.corpus_row_tokens",
                pretrain.corpus_row_tokens.into(),
                2,
                text.min(recipe.model.positions_max.into()),
            ),
        ]
    }

    /// The prompts of a rollout unit, by group.
    #[must_use]
    pub fn prompts(&self, task: &RolloutTask, groups_count: u32) -> Vec<Vec<u32>> {
        (0..groups_count)
            .map(|group| self.prompt(task, group))
            .collect()
    }

    /// The prompt of one group of a rollout unit.
    #[must_use]
    pub fn prompt(&self, task: &RolloutTask, group: u32) -> Vec<u32> {
        self.prompt_of(&task.prompt_seed(group))
    }

    /// The prompt that a seed gives.
    #[must_use]
    pub fn prompt_of(&self, seed: &[u8; 32]) -> Vec<u32> {
        self.environment.prompt(seed, Split::Train)
    }

    /// What a response earns, in millionths.
    #[must_use]
    pub fn reward_micro(&self, prompt: &[u32], response: &[u32]) -> u32 {
        self.environment.reward(prompt, response).millionths()
    }
}

/// Name, value, least and most of a setting.
type Field = (&'static str, u64, u64, u64);

/// Most rows in an inner batch.
const ROWS_COUNT_MAX: u64 = 1 << 16;

fn reinforce_fields(recipe: &Recipe) -> Vec<Field> {
    let reinforce = &recipe.reinforce;
    if reinforce.steps_count == 0 {
        return Vec::new();
    }
    vec![
        (
            "reinforce.groups_per_unit_count",
            reinforce.groups_per_unit_count.into(),
            1,
            GROUPS_COUNT_MAX as u64,
        ),
        (
            "reinforce.segments_count",
            reinforce.segments_count.into(),
            1,
            INNER_STEPS_COUNT_MAX as u64,
        ),
        (
            "reinforce.samples_per_group_count",
            reinforce.samples_per_group_count.into(),
            1,
            SAMPLES_COUNT_MAX as u64,
        ),
        (
            "reinforce.temperature",
            reinforce.temperature.get(),
            1,
            u64::MAX,
        ),
    ]
}
