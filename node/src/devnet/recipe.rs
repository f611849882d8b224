//! The run that a devnet trains: a small decoder that learns to sort digits.
//!
//! Every number was chosen by measurement (spec/decisions/003-why-this-devnet-recipe.md).

use protocol::{
    Amount, EnvironmentHash, Micro,
    recipe::{Aggregation, ModelShape, Pay, Pretrain, Recipe, Reinforce, Schedule, UpdateForm},
};

/// Sparse updates, whose losses decay by a twentieth a step.
pub const SPARSE: UpdateForm = UpdateForm::Sparse {
    feedback_decay: Micro::new(950_000),
};

/// The recipe of a devnet with this many miners, whose model starts from this seed.
///
/// # Panics
/// Never: the environment and corpus it names ship with the program.
#[must_use]
pub fn recipe(seed: u64, miners_count: u32) -> Recipe {
    let environment =
        environment::by_name("sort-digits-8").expect("invariant: the environment is registered");
    let corpus = environment::Corpus::shakespeare();
    let mut model_seed = [0; 32];
    model_seed[..8].copy_from_slice(&seed.to_le_bytes());
    let mut recipe = Recipe {
        model: model(),
        seed: EnvironmentHash::from_bytes(model_seed),
        initial_weights: None,
        environment: EnvironmentHash::from_bytes(environment.hash()),
        corpus: EnvironmentHash::from_bytes(corpus.hash()),
        pretrain: pretrain(),
        reinforce: reinforce(),
        aggregation: Aggregation::DEFAULT,
        schedule: Schedule {
            miners_at_start_count: miners_count,
            deadline_blocks: 150,
            availability_blocks: 160,
            gradient_units_min: 1,
            evaluation_every_steps: 6,
            evaluation_prompts_count: 128,
        },
        pay: Pay {
            gradient_unit: Amount::new(100),
            rollout_unit: Amount::new(50),
            audit: Amount::new(20),
        },
    };
    let weights = miner::initial_weights(&recipe);
    recipe.initial_weights = Some(weights.expect("invariant: the engine runs this model"));
    recipe
}

/// A recipe that only pre-trains, on the corpus alone.
///
/// # Panics
/// Never, as [`recipe`].
#[must_use]
pub fn pretraining(seed: u64, miners_count: u32) -> Recipe {
    let both = recipe(seed, miners_count);
    Recipe {
        pretrain: Pretrain {
            steps_count: 24,
            corpus_rows_count: 16,
            demonstration_rows_count: 0,
            outer_momentum: Micro::new(700_000),
            ..both.pretrain
        },
        reinforce: Reinforce {
            steps_count: 0,
            ..both.reinforce
        },
        schedule: Schedule {
            evaluation_every_steps: 0,
            ..both.schedule
        },
        ..both
    }
}

const fn model() -> ModelShape {
    ModelShape {
        vocab_size: 256,
        hidden_size: 128,
        intermediate_size: 256,
        layers_count: 3,
        heads_count: 16,
        key_value_heads_count: 16,
        head_dim: 8,
        rope_theta: 100,
        positions_max: 128,
    }
}

const fn pretrain() -> Pretrain {
    Pretrain {
        steps_count: 6,
        units_count: 4,
        inner_steps_count: 10,
        segment_steps_count: 2,
        corpus_rows_count: 4,
        corpus_row_tokens: 64,
        demonstration_rows_count: 48,
        learning_rate: Micro::new(2_000),
        warmup_steps_count: 4,
        beta2: Micro::new(990_000),
        epsilon_nano: 10,
        weight_decay: Micro::new(0),
        gradient_norm_max: Micro::new(1_000_000),
        outer_learning_rate: Micro::new(700_000),
        outer_momentum: Micro::new(900_000),
        update: UpdateForm::Dense,
    }
}

const fn reinforce() -> Reinforce {
    Reinforce {
        steps_count: 70,
        rollout_units_count: 8,
        groups_per_unit_count: 24,
        samples_per_group_count: 4,
        temperature: Micro::new(1_000_000),
        gradient_units_count: 4,
        segments_count: 4,
        clip_low: Micro::new(200_000),
        clip_high: Micro::new(200_000),
        ratio_max: Micro::new(4_000_000),
        advantage_floor: Micro::new(150_000),
        learning_rate: Micro::new(1_500),
        warmup_steps_count: 5,
        final_rate: Micro::new(100_000),
        beta2: Micro::new(990_000),
        gradient_norm_max: Micro::new(300_000),
    }
}
