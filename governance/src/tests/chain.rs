//! A chain that does nothing but govern: blocks, holders, and shorthand for what they do.

use super::memory::{Memory, MemoryRun};
use crate::{
    Calendar, Event, Proposal, Refusal, Stage, council, house, lifecycle, power,
    proposal::{Status, find},
    settings::{self, Settings},
    stage,
    store::Records,
    submit, upgrade, vote,
    world::{Operator, RunStage, World},
};
use protocol::{
    Address, Amount, EnvironmentHash, Height, Micro, ProposalId, RunId,
    codec::{BoundedVec, Text},
    proposal::{Action, Guard, Payload, Track, Weights},
    recipe::{Aggregation, ModelShape, Pay, Pretrain, Recipe, Reinforce, Schedule, UpdateForm},
};

/// The account with a number.
pub(crate) fn account(number: u8) -> Address {
    Address::from_bytes([number; 32])
}

/// The steward's account.
pub(crate) const STEWARD: u8 = 200;

/// What a test chain starts with.
#[derive(Clone)]
pub(crate) struct Start {
    pub(crate) day_blocks: u64,
    pub(crate) stage: Stage,
    pub(crate) treasury: u64,
    /// Stakes of holders 1, 2, …
    pub(crate) stakes: Vec<u64>,
    /// Balance of every holder, and of outsiders up to this many accounts.
    pub(crate) balance: u64,
    pub(crate) accounts_count: u8,
    pub(crate) steward: Option<Address>,
}

impl Default for Start {
    fn default() -> Self {
        Self {
            day_blocks: 2,
            stage: Stage::Shared,
            treasury: 1_000_000,
            stakes: vec![400, 300, 200, 100],
            balance: 100_000,
            accounts_count: 8,
            steward: Some(account(STEWARD)),
        }
    }
}

/// A chain.
#[derive(Clone)]
pub(crate) struct Chain {
    pub(crate) world: Memory,
    /// The block that is being built.
    pub(crate) now: Height,
}

impl Chain {
    pub(crate) fn start(start: &Start) -> Self {
        let mut world = Memory::default();
        let settings = Settings {
            calendar: Calendar {
                day_blocks: start.day_blocks,
            },
            deposit_base: Amount::new(100),
            steward: start.steward,
        };
        let holders = (1..).zip(&start.stakes);
        let stakes: Vec<_> = holders
            .map(|(n, stake)| (account(n), Amount::new(*stake)))
            .collect();
        settings::found(
            &mut world,
            settings,
            start.stage,
            Amount::new(start.treasury),
            &stakes,
        );
        for number in (1..=start.accounts_count).chain([STEWARD]) {
            world.set_balance(account(number), Amount::new(start.balance));
        }
        let operators = (1..).zip(&start.stakes).map(|(number, stake)| Operator {
            operator: account(number + 100),
            holder: account(number),
            power: *stake,
        });
        world.operators = operators.collect();
        let run = MemoryRun {
            escrow: 5_000,
            stage: RunStage::Running,
        };
        world.rest.runs.insert(RunId::ZERO, run);
        Self {
            world,
            now: Height::new(1),
        }
    }
    /// Ends the block and begins the next.
    pub(crate) fn block(&mut self) -> Vec<Event> {
        self.now = self.now.next();
        lifecycle::advance(&mut self.world, self.now)
    }
    pub(crate) fn attempt(
        &mut self,
        operation: impl FnOnce(&mut Memory, Height) -> Result<Vec<Event>, Refusal>,
    ) -> Result<Vec<Event>, Refusal> {
        let now = self.now;
        self.world.attempt(|world| operation(world, now))
    }
    pub(crate) fn submit(
        &mut self,
        by: u8,
        payload: &Payload,
        deposit: u64,
    ) -> Result<Vec<Event>, Refusal> {
        let deposit = Amount::new(deposit);
        self.attempt(|world, now| submit::propose(world, account(by), payload, deposit, now))
    }
    pub(crate) fn deposit(&mut self, by: u8, id: ProposalId, amount: u64) -> Result<(), Refusal> {
        let amount = Amount::new(amount);
        let deposited =
            self.attempt(|world, now| submit::deposit(world, account(by), id, amount, now));
        deposited.map(|_| ())
    }
    pub(crate) fn vote_split(
        &mut self,
        by: u8,
        id: ProposalId,
        weights: Weights,
    ) -> Result<Vec<Event>, Refusal> {
        self.attempt(|world, now| vote::vote(world, account(by), id, weights, now))
    }
    pub(crate) fn delegate(&mut self, by: u8, track: Track, to: Option<u8>) -> Result<(), Refusal> {
        self.attempt(|world, now| power::delegate(world, account(by), track, to.map(account), now))
            .map(|_| ())
    }
    pub(crate) fn guard(&mut self, by: u8, guard: &Guard) -> Result<Vec<Event>, Refusal> {
        self.attempt(|world, now| council::guard(world, account(by), guard, now))
    }
    pub(crate) fn object(&mut self, by: u8, id: ProposalId) -> Result<Vec<Event>, Refusal> {
        self.attempt(|world, now| house::object(world, account(by), id, now))
    }
    pub(crate) fn signal(&mut self, by: u8, version: u32) -> Result<Vec<Event>, Refusal> {
        self.attempt(|world, now| upgrade::signal(world, account(by), version, now))
    }
    pub(crate) fn advance_stage(&mut self) -> Result<Vec<Event>, Refusal> {
        self.attempt(stage::advance)
    }
    pub(crate) fn proposal(&self, id: ProposalId) -> Proposal {
        find(&self.world, id).unwrap()
    }
    pub(crate) fn status(&self, id: ProposalId) -> Status {
        self.proposal(id).status
    }
    pub(crate) fn handover(&self) -> stage::Handover {
        self.world.get(&()).unwrap()
    }
    /// All tokens, burned ones included.
    pub(crate) fn supply(&self) -> u64 {
        let purse = crate::purse::purse(&self.world);
        let rest = &self.world.rest;
        let balances: u64 = rest.balances.values().sum();
        let escrows: u64 = rest.runs.values().map(|run| run.escrow).sum();
        balances + escrows + purse.deposits.get() + purse.treasury.get() + rest.burned
    }
}

/// A payload with these actions.
pub(crate) fn payload(actions: Vec<Action>) -> Payload {
    Payload {
        title: Text::new("a proposal").unwrap(),
        summary: Text::default(),
        actions: BoundedVec::new(actions).unwrap(),
        not_before: Height::ZERO,
    }
}

pub(crate) fn set(parameter: &str, value: u64) -> Action {
    Action::SetParameter {
        parameter: Text::new(parameter).unwrap(),
        value,
    }
}

pub(crate) fn spend(to: u8, amount: u64) -> Action {
    Action::Spend {
        to: account(to),
        amount: Amount::new(amount),
    }
}

/// An upgrade to a version.
pub(crate) fn upgrade_to(version: u32, height: Height) -> Action {
    let artifact = protocol::proposal::Artifact {
        target: Text::new("x86_64-linux").unwrap(),
        hash: protocol::BlobId::of(b"program"),
    };
    Action::Upgrade {
        version,
        artifacts: BoundedVec::new(vec![artifact]).unwrap(),
        height,
    }
}

/// A small recipe.
pub(crate) fn recipe() -> Box<Recipe> {
    let hash = |byte| EnvironmentHash::from_bytes([byte; 32]);
    Box::new(Recipe {
        model: ModelShape {
            vocab_size: 64,
            hidden_size: 16,
            intermediate_size: 32,
            layers_count: 1,
            heads_count: 2,
            key_value_heads_count: 1,
            head_dim: 8,
            rope_theta: 10_000,
            positions_max: 64,
        },
        seed: hash(1),
        initial_weights: None,
        environment: hash(2),
        corpus: hash(3),
        pretrain: Pretrain {
            steps_count: 1,
            units_count: 3,
            inner_steps_count: 2,
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
        },
        reinforce: Reinforce {
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
        },
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
    })
}
