//! What the adversaries work on: a recipe, a model that has learned something, and its tasks.

use adversaries::Cheat;
use anyhow::{Context as _, Result};
use engine::{Device, Parameters};
use miner::{
    GradientInputs, RolloutInputs, World, gradient, initial_model, initial_outer, rollout::Work,
};
use protocol::{
    Address, ChainId, CheckpointId, RunId, SigningKey, Step,
    codec::encode,
    recipe::Recipe,
    rollout::{Opened, Payload, Root, Salts},
    task::{Beacon, RolloutTask, UnitId, UnitKind},
    verdict::Verdict,
};
use std::path::Path;
use verifier::{
    Successor, checkpoint,
    rollout::{Claimed, judge},
};

/// The reward of an exactly right response.
pub(crate) const EXACT_MICRO: u32 = environment::Reward::EXACT.millionths();

pub(crate) struct Subject {
    pub(crate) recipe: Recipe,
    pub(crate) world: World,
    pub(crate) model: Parameters,
    pub(crate) checkpoint: CheckpointId,
    pub(crate) device: Device,
    key: SigningKey,
}

impl Subject {
    /// The recipe with the given weights, or with those its own pre-training gives.
    pub(crate) fn new(recipe: Recipe, weights: Option<&Path>) -> Result<Self> {
        let device = Device::cpu(1);
        let model = match weights {
            Some(path) => {
                let bytes =
                    std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
                Parameters::from_safetensors(&bytes)
                    .with_context(|| format!("{} is no checkpoint", path.display()))?
            }
            None => pretrained(&recipe, &device)?,
        };
        Ok(Self {
            world: World::of(&recipe)?,
            checkpoint: CheckpointId::of(&model.to_safetensors()),
            recipe,
            model,
            device,
            key: SigningKey::from_seed([3; 32]),
        })
    }

    /// A unit of the last step, in which an old checkpoint is old.
    pub(crate) fn task(&self, index: u32) -> RolloutTask {
        RolloutTask {
            chain: ChainId::from_bytes([1; 32]),
            checkpoint: self.checkpoint,
            environment: self.recipe.environment,
            beacon: beacon(u64::from(index)),
            unit: UnitId {
                run: RunId::ZERO,
                step: Step::new(self.recipe.steps_count()),
                kind: UnitKind::Rollout,
                index,
            },
            miner: self.key.address(),
        }
    }

    pub(crate) fn inputs<'a>(&'a self, task: &'a RolloutTask) -> RolloutInputs<'a> {
        RolloutInputs {
            task,
            recipe: &self.recipe,
            model: &self.model,
        }
    }

    /// The unit as an honest miner or a cheat does it.
    pub(crate) fn work(&self, task: &RolloutTask, cheat: Option<Cheat>) -> Result<Work> {
        let salts = Salts::derive(&self.key, task.chain, task.unit);
        let inputs = self.inputs(task);
        Ok(match cheat {
            Some(cheat) => cheat.rollout(&inputs, &salts, &self.device)?,
            None => miner::rollout::execute(&inputs, &salts, &self.device)?,
        })
    }

    /// The unit as a cheat of a tolerant class sends it, its sections in the open.
    pub(crate) fn work_in_the_open(&self, task: &RolloutTask, cheat: Cheat) -> Result<Payload> {
        let work = cheat.rollout(&self.inputs(task), &Salts::OPEN, &self.device)?;
        Ok(Payload {
            sections: Some(work.sections),
            ..work.payload
        })
    }

    /// The whole audit by the production verifier, after the miner has opened its seals.
    pub(crate) fn judge(&self, task: &RolloutTask, work: &Work) -> Verdict {
        let payload = &work.payload;
        let groups = u32::try_from(payload.groups.as_slice().len()).unwrap_or(u32::MAX);
        let prompts = self.world.prompts(task, groups);
        let nothing = Root::from_bytes([0; 32]);
        let claimed = Claimed {
            root: payload.root(&prompts).unwrap_or(nothing),
            totals: payload.totals(EXACT_MICRO),
            opened: Some(Opened {
                salt: Salts::derive(&self.key, task.chain, task.unit).sketch,
                parts: work.sections.parts(),
            }),
            plant: None,
            class: None,
        };
        judge(&self.inputs(task), &claimed, &encode(payload), &self.device).verdict
    }
}

pub(crate) fn beacon(index: u64) -> Beacon {
    let mut bytes = [0xad; 32];
    bytes[..8].copy_from_slice(&index.to_le_bytes());
    Beacon::from_bytes(bytes)
}

/// The model after the recipe's pre-training, computed as the network would.
fn pretrained(recipe: &Recipe, device: &Device) -> Result<Parameters> {
    let mut now = Successor {
        model: initial_model(recipe)?,
        outer: initial_outer(recipe)?,
    };
    for step in 0..recipe.pretrain.steps_count {
        let units = 0..recipe.pretrain.units_count;
        let execute = |index| {
            let unit = UnitId {
                run: RunId::ZERO,
                step: Step::new(step),
                kind: UnitKind::Gradient,
                index,
            };
            let inputs = GradientInputs {
                unit,
                miner: Address::from_bytes([3; 32]),
                recipe,
                beacon: &beacon(step),
                model: &now.model,
                generation: None,
                feedback: None,
            };
            gradient::payload(&inputs, device)
        };
        let updates = units.map(execute).collect::<Result<Vec<_>, _>>()?;
        let (step, Successor { model, outer }) = (Step::new(step), &now);
        now = checkpoint::advance(recipe, step, model, outer, &updates)?;
    }
    Ok(now.model)
}
