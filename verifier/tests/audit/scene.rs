//! A tiny run on its way: checkpoints, rollouts of the step before, and a unit of each kind.

use engine::{Device, Parameters, trainer::OuterState};
use miner::{
    ExecuteError, Generation, GradientInputs, RolloutInputs, World, gradient, initial_model,
    initial_outer, rollout::Work,
};
use protocol::{
    Address, BlobId, ChainId, CheckpointId, RunId, SigningKey, Step,
    codec::encode,
    gradient as gradients,
    recipe::Recipe,
    rollout::{self, Opened, Parts, Salts},
    task::{Beacon, RolloutTask, UnitId, UnitKind},
    verdict::{Check, Verdict},
};
use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{LazyLock, OnceLock},
};
use verifier::{
    AdmitError, Bound, Successor, checkpoint,
    rollout::{Claimed, Judgement},
};

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
            feedback: None,
        };
        gradient::payload(&inputs, &device()).unwrap()
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
            let salts = salts(&task);
            let work = miner::rollout::execute(&inputs, &salts, &device()).unwrap();
            (task, work.payload)
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
            feedback: None,
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
            feedback: None,
        }
    }

    /// What the miner of this payload commits to, once its seals are open.
    pub(crate) fn claimed(&self, payload: &rollout::Payload) -> Claimed<'_> {
        let groups = u32::try_from(payload.groups.as_slice().len()).unwrap();
        let prompts = World::of(&self.recipe).unwrap();
        let prompts = prompts.prompts(&self.task(), groups);
        Claimed {
            root: payload.root(&prompts).unwrap_or(NO_ROOT),
            totals: payload.totals(1_000_000),
            opened: Some(Opened {
                salt: salts(&self.task()).sketch,
                parts: self.parts(),
            }),
            plant: None,
            class: None,
        }
    }

    /// The parts of the sketch of the unit that the tests judge, as an honest miner seals it.
    pub(crate) fn parts(&self) -> Parts {
        static PARTS: OnceLock<Parts> = OnceLock::new();
        let work = || {
            let task = self.task();
            let inputs = self.rollout_inputs(&task);
            let work = miner::rollout::execute(&inputs, &salts(&task), &device());
            work.unwrap().sections.parts()
        };
        PARTS.get_or_init(work).clone()
    }

    /// What a miner commits to, once its own seals are open.
    pub(crate) fn claimed_of(&self, work: &Work) -> Claimed<'_> {
        let mut claimed = self.claimed(&work.payload);
        if let Some(opened) = claimed.opened.as_mut() {
            opened.parts = work.sections.parts();
        }
        claimed
    }

    /// Whether the cheap look at a blob lets it pass.
    pub(crate) fn admit(
        &self,
        unit: UnitId,
        root: rollout::Root,
        bytes: &[u8],
    ) -> Result<(), AdmitError> {
        let bound = Bound {
            unit,
            miner: MINER,
            beacon: beacon(unit.step.get()),
            root: (unit.kind == UnitKind::Rollout).then_some(root),
            recipe: &self.recipe,
            is_open: false,
        };
        verifier::admit(&bound, bytes)
    }

    /// What an auditor finds when the miner commits to its payload as it is.
    pub(crate) fn judge_rollout(&self, payload: &rollout::Payload) -> Verdict {
        let task = self.task();
        let claimed = self.claimed(payload);
        let inputs = self.rollout_inputs(&task);
        verifier::rollout::judge(&inputs, &claimed, &encode(payload), &device()).verdict
    }
}

/// The miner's salts.
pub(crate) fn salts(task: &RolloutTask) -> Salts {
    Salts::derive(&SigningKey::from_seed([3; 32]), task.chain, task.unit)
}

/// What a commitment binds if nothing can be bound.
pub(crate) const NO_ROOT: rollout::Root = rollout::Root::from_bytes([0; 32]);

/// A gradient unit as its miner has it, files included.
pub(crate) struct Done {
    pub(crate) work: gradient::Work,
    files: BTreeMap<BlobId, Vec<u8>>,
}

/// The miner's salts of a gradient unit.
pub(crate) fn state_salts(inputs: &GradientInputs<'_>) -> gradients::Salts {
    let chain = ChainId::from_bytes([1; 32]);
    gradients::Salts::derive(&SigningKey::from_seed([3; 32]), chain, inputs.unit)
}

/// Does a gradient unit, somehow.
pub(crate) fn done(
    inputs: &GradientInputs<'_>,
    execute: impl FnOnce(
        &gradients::Salts,
        &mut gradient::Keep<'_>,
    ) -> Result<gradient::Work, ExecuteError>,
) -> Done {
    let mut files = BTreeMap::new();
    let mut keep = |file: &[u8]| {
        files.insert(BlobId::of(file), file.to_vec());
        Ok(())
    };
    let work = execute(&state_salts(inputs), &mut keep).unwrap();
    Done { work, files }
}

/// Does a gradient unit as it is assigned.
pub(crate) fn honest(inputs: &GradientInputs<'_>) -> Done {
    done(inputs, |salts, keep| {
        gradient::execute(inputs, salts, keep, &device())
    })
}

impl Done {
    /// What the miner has bound, and shown once a segment is judged by those who know its end.
    pub(crate) fn claimed(
        &self,
        inputs: &GradientInputs<'_>,
        segment: u32,
    ) -> verifier::gradient::Claimed {
        let file = |file: &BlobId| self.files.get(file).map(Vec::as_slice);
        verifier::gradient::Claimed::of(inputs, &self.work, segment, file).unwrap()
    }
    /// What an auditor of one segment finds.
    pub(crate) fn judge(&self, inputs: &GradientInputs<'_>, segment: u32) -> Judgement {
        let claimed = self.claimed(inputs, segment);
        let blob = encode(&self.work.payload);
        verifier::gradient::judge(inputs, &claimed, &blob, &device())
    }
}

/// The unit's segments.
pub(crate) fn segments(inputs: &GradientInputs<'_>) -> Range<u32> {
    0..gradient::segments(inputs).count()
}

/// What an auditor of the first segment finds when the miner commits to a payload, with the states
/// of honest work.
pub(crate) fn judge_gradient(inputs: &GradientInputs<'_>, payload: &gradients::Payload) -> Verdict {
    let honest = honest(inputs);
    let work = gradient::Work {
        payload: payload.clone(),
        ..honest.work
    };
    Done { work, ..honest }.judge(inputs, 0).verdict
}

/// What an auditor finds in the first segment of a miner that shows no state.
pub(crate) fn judge_bare(inputs: &GradientInputs<'_>, payload: &gradients::Payload) -> Verdict {
    let claimed = verifier::gradient::Claimed {
        root: payload.root().unwrap_or(NO_ROOT),
        tokens_count: payload.tokens_count,
        loss_micro: payload.loss_micro(),
        feedback: None,
        segment: 0,
        start: None,
        last: None,
        opened: None,
    };
    verifier::gradient::judge(inputs, &claimed, &encode(payload), &device()).verdict
}

/// The check that decides a verdict.
pub(crate) fn reason(verdict: &Verdict) -> Option<Check> {
    verdict.contradiction().map(|finding| finding.check)
}
