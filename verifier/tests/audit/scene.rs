//! A tiny run on its way: checkpoints, rollouts of the step before, and a unit of each kind.

use engine::{Device, Parameters, trainer::OuterState};
use miner::{Generation, GradientInputs, RolloutInputs, gradient, initial_model, initial_outer};
use protocol::{
    Address, ChainId, CheckpointId, RunId, Step,
    codec::encode,
    recipe::Recipe,
    rollout,
    task::{Beacon, RolloutTask, UnitId, UnitKind},
    verdict::{Check, Verdict},
};
use std::sync::LazyLock;
use verifier::{Successor, checkpoint};

/// Everything the tests need, computed once.
pub(crate) struct Scene {
    pub(crate) recipe: Recipe,
    /// The checkpoint of the last pre-training step.
    pub(crate) before: Parameters,
    /// The checkpoint of the first reinforcement step.
    pub(crate) model: Parameters,
    pub(crate) outer: OuterState,
    pub(crate) rollouts: Vec<(RolloutTask, rollout::Payload)>,
}

pub(crate) const MINER: Address = Address::from_bytes([3; 32]);

pub(crate) static SCENE: LazyLock<Scene> = LazyLock::new(Scene::new);

pub(crate) fn recipe() -> Recipe {
    serde_json::from_str(include_str!("../../../miner/recipes/tiny.json")).unwrap()
}

pub(crate) fn device() -> Device {
    Device::cpu(1)
}

pub(crate) fn beacon(step: u64) -> Beacon {
    Beacon::from_bytes([u8::try_from(step).unwrap(); 32])
}

pub(crate) fn unit(step: u64, kind: UnitKind, index: u32) -> UnitId {
    UnitId {
        run: RunId::ZERO,
        step: Step::new(step),
        kind,
        index,
    }
}

pub(crate) fn task(recipe: &Recipe, model: &Parameters, step: u64, index: u32) -> RolloutTask {
    RolloutTask {
        chain: ChainId::from_bytes([1; 32]),
        checkpoint: CheckpointId::of(&model.to_safetensors()),
        environment: recipe.environment,
        beacon: beacon(step),
        unit: unit(step, UnitKind::Rollout, index),
        miner: MINER,
    }
}

/// All gradient units of a pre-training step.
pub(crate) fn pretrain_updates(
    recipe: &Recipe,
    model: &Parameters,
    step: u64,
) -> Vec<protocol::gradient::Payload> {
    let units = 0..recipe.pretrain.units_count;
    let execute = |index| {
        let inputs = GradientInputs {
            unit: unit(step, UnitKind::Gradient, index),
            miner: MINER,
            recipe,
            beacon: &beacon(step),
            model,
            generation: None,
        };
        gradient::execute(&inputs, &device()).unwrap()
    };
    units.map(execute).collect()
}

impl Scene {
    fn new() -> Self {
        let recipe = recipe();
        let mut now = Successor {
            model: initial_model(&recipe).unwrap(),
            outer: initial_outer(&recipe).unwrap(),
        };
        let mut before = now.model.clone();
        for step in 0..recipe.pretrain.steps_count {
            let updates = pretrain_updates(&recipe, &now.model, step);
            let (at, Successor { model, outer }) = (Step::new(step), &now);
            let next = checkpoint::advance(&recipe, at, model, outer, &updates).unwrap();
            before = std::mem::replace(&mut now, next).model;
        }
        let step = recipe.pretrain.steps_count - 1;
        let rollouts = (0..recipe.reinforce.rollout_units_count).map(|index| {
            let task = task(&recipe, &before, step, index);
            let inputs = RolloutInputs {
                task: &task,
                recipe: &recipe,
                model: &before,
            };
            let payload = miner::rollout::execute(&inputs, &device()).unwrap();
            (task, payload)
        });
        Self {
            rollouts: rollouts.collect(),
            before,
            model: now.model,
            outer: now.outer,
            recipe,
        }
    }

    /// The rollout unit that the tests judge.
    pub(crate) fn task(&self) -> RolloutTask {
        task(
            &self.recipe,
            &self.model,
            self.recipe.pretrain.steps_count,
            1,
        )
    }

    pub(crate) fn rollout_inputs<'a>(&'a self, task: &'a RolloutTask) -> RolloutInputs<'a> {
        RolloutInputs {
            task,
            recipe: &self.recipe,
            model: &self.model,
        }
    }

    /// A pre-training unit from the last checkpoint of that part.
    pub(crate) fn pretrain_inputs<'a>(&'a self, beacon: &'a Beacon) -> GradientInputs<'a> {
        GradientInputs {
            unit: unit(self.recipe.pretrain.steps_count - 1, UnitKind::Gradient, 0),
            miner: MINER,
            recipe: &self.recipe,
            beacon,
            model: &self.before,
            generation: None,
        }
    }

    /// A reinforcement unit over all rollouts.
    pub(crate) fn reinforce_inputs<'a>(&'a self, beacon: &'a Beacon) -> GradientInputs<'a> {
        GradientInputs {
            unit: unit(self.recipe.pretrain.steps_count, UnitKind::Gradient, 0),
            miner: MINER,
            recipe: &self.recipe,
            beacon,
            model: &self.model,
            generation: Some(Generation {
                model: &self.before,
                rollouts: self.rollouts.clone(),
            }),
        }
    }

    /// What an auditor finds when the miner commits to its payload as it is.
    pub(crate) fn judge_rollout(&self, payload: &rollout::Payload) -> Verdict {
        let task = self.task();
        let totals = payload.totals(1_000_000);
        let inputs = self.rollout_inputs(&task);
        verifier::rollout::judge(&inputs, &totals, &encode(payload), &device())
    }
}

/// What an auditor finds when the miner commits to its payload as it is.
pub(crate) fn judge_gradient(
    inputs: &GradientInputs<'_>,
    payload: &protocol::gradient::Payload,
) -> Verdict {
    let (tokens, loss) = (payload.tokens_count, payload.loss_micro());
    verifier::gradient::judge(inputs, tokens, loss, &encode(payload), &device())
}

/// The check that decides a verdict.
pub(crate) fn reason(verdict: &Verdict) -> Option<Check> {
    verdict.contradiction().map(|finding| finding.check)
}
