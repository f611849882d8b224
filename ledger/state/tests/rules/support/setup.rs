//! What a test chain starts with: validators, funded miners, one run with a tiny recipe.

use super::keys::{Validator, key};
use governance::parameters::Name;
use protocol::{
    Amount, EnvironmentHash, Micro,
    class::ClassTable,
    codec::Text,
    genesis::{self, Genesis},
    recipe::{Aggregation, ModelShape, Pay, Pretrain, Recipe, Reinforce, Schedule, UpdateForm},
};

/// What a test may choose.
#[derive(Clone)]
pub(crate) struct Setup {
    /// Stake of each validator.
    pub(crate) stakes: Vec<u64>,
    /// Funded miners.
    pub(crate) miners_count: usize,
    /// Balance of each miner.
    pub(crate) balance: u64,
    /// Escrow of the run.
    pub(crate) escrow: u64,
    /// What the run computes.
    pub(crate) recipe: Recipe,
    /// Classes of miners besides the exact one.
    pub(crate) classes: ClassTable,
    /// Parameters that differ from [`PARAMETERS`].
    pub(crate) parameters: Vec<(Name, u64)>,
    /// How it is governed.
    pub(crate) governance: genesis::Governance,
    /// Tokens that may be made besides those of genesis.
    pub(crate) to_mint: u64,
}

/// Short windows, and every unit audited, the first time by one auditor drawn publicly. Blocks are
/// large and free, so that only what tests of fees do costs something.
const PARAMETERS: &[(Name, u64)] = &[
    (Name::AuditRate, 1_000_000),
    (Name::AuditCommitBlocks, 4),
    (Name::AuditRevealBlocks, 4),
    (Name::AppealBlocks, 4),
    (Name::SortitionStages, 0),
    (Name::OpeningBlocks, 4),
    (Name::PlantRate, 0),
    (Name::VestingBlocks, 30),
    (Name::BaseFeeMin, 0),
    (Name::BlockGas, 10_000_000),
];

impl Default for Setup {
    fn default() -> Self {
        Self {
            stakes: vec![100_000; 4],
            miners_count: 3,
            balance: 50_000,
            escrow: 1_000_000,
            recipe: recipe(),
            classes: ClassTable::default(),
            parameters: Vec::new(),
            governance: genesis::Governance {
                day_blocks: 1,
                deposit_base: Amount::new(100),
                steward: Some(key("steward", 0).address()),
                stage: 1,
                treasury: Amount::new(1_000_000),
            },
            to_mint: 0,
        }
    }
}

impl Setup {
    /// The keys of its validators.
    pub(crate) fn validators(&self) -> Vec<Validator> {
        (0..self.stakes.len()).map(Validator::new).collect()
    }
    fn supply_cap(&self) -> Amount {
        let balances = self.balance * self.miners_count as u64;
        let stakes: u64 = self.stakes.iter().sum();
        let governed = self.governance.treasury.get();
        Amount::new(balances + stakes + governed + self.escrow + self.to_mint)
    }
    /// Its genesis.
    pub(crate) fn genesis(&self) -> Genesis {
        let validators = self.validators().into_iter().zip(&self.stakes);
        let accounts = (0..self.miners_count).map(|index| genesis::Account {
            address: key("miner", index).address(),
            balance: Amount::new(self.balance),
        });
        let run = genesis::Run {
            recipe: self.recipe.clone(),
            escrow: Amount::new(self.escrow),
        };
        let parameters = PARAMETERS.iter().chain(&self.parameters);
        Genesis {
            name: Text::new("rules").unwrap(),
            time_ms: 1_000,
            validators: validators
                .map(|(keys, stake)| genesis::Validator {
                    operator: keys.operator.address(),
                    holder: keys.holder.address(),
                    stake: Amount::new(*stake),
                    vrf: keys.operator.vrf().public(),
                })
                .collect(),
            accounts: accounts.collect(),
            runs: vec![run],
            parameters: parameters
                .map(|(name, value)| genesis::Parameter {
                    name: Text::new(name.as_str()).unwrap(),
                    value: *value,
                })
                .collect(),
            governance: self.governance.clone(),
            supply_cap: self.supply_cap(),
            classes: self.classes.clone(),
        }
    }
}

/// One step of pre-training, two of reinforcement learning; evaluated at steps 2 and 3.
pub(crate) fn recipe() -> Recipe {
    let hash = |byte| EnvironmentHash::from_bytes([byte; 32]);
    Recipe {
        model: model(),
        seed: hash(1),
        initial_weights: None,
        environment: hash(2),
        corpus: hash(3),
        pretrain: pretrain(),
        reinforce: reinforce(),
        aggregation: Aggregation::DEFAULT,
        schedule: Schedule {
            miners_at_start_count: 3,
            deadline_blocks: 8,
            availability_blocks: 6,
            gradient_units_min: 1,
            evaluation_every_steps: 2,
            evaluation_prompts_count: 4,
        },
        pay: Pay {
            gradient_unit: Amount::new(700),
            rollout_unit: Amount::new(300),
            audit: Amount::new(20),
        },
    }
}

fn model() -> ModelShape {
    ModelShape {
        vocab_size: 64,
        hidden_size: 16,
        intermediate_size: 32,
        layers_count: 1,
        heads_count: 2,
        key_value_heads_count: 1,
        head_dim: 8,
        rope_theta: 10_000,
        positions_max: 64,
    }
}

fn pretrain() -> Pretrain {
    Pretrain {
        steps_count: 1,
        units_count: 3,
        inner_steps_count: 1,
        segment_steps_count: 1,
        corpus_rows_count: 2,
        corpus_row_tokens: 16,
        demonstration_rows_count: 1,
        learning_rate: Micro::new(1_000),
        warmup_steps_count: 1,
        beta2: Micro::new(990_000),
        epsilon_nano: 10,
        weight_decay: Micro::ZERO,
        gradient_norm_max: Micro::ONE,
        outer_learning_rate: Micro::ONE,
        outer_momentum: Micro::ZERO,
        update: UpdateForm::Dense,
    }
}

fn reinforce() -> Reinforce {
    Reinforce {
        steps_count: 2,
        rollout_units_count: 4,
        groups_per_unit_count: 2,
        samples_per_group_count: 2,
        temperature: Micro::ONE,
        gradient_units_count: 2,
        segments_count: 1,
        clip_low: Micro::new(200_000),
        clip_high: Micro::new(200_000),
        ratio_max: Micro::new(4_000_000),
        advantage_floor: Micro::new(1),
        learning_rate: Micro::new(1_000),
        warmup_steps_count: 1,
        final_rate: Micro::ONE,
        beta2: Micro::new(990_000),
        gradient_norm_max: Micro::ONE,
    }
}
