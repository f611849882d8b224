//! From what the chain says to what the engine computes: the inputs of a unit, fetched and parsed.
//!
//! Miners and auditors build the same inputs by the same code; they differ in what they do next.

mod retake;

pub use retake::{Retaken, Sent, Traced};

use crate::{
    other_engine::OtherEngine,
    rpc::work::{Input, StepContext},
    workbench::{Model, Workbench},
};
use adversaries::Cheat;
use anyhow::{Context as _, Result};
use engine::{Device, trainer::file};
use futures::future::try_join_all;
use ledger_state::{
    View, class, opening,
    unit::{Challenge, Claim, Plant, Unit},
};
use miner::{
    World,
    gradient::{Generation, GradientInputs, Start, start::files},
    rollout::RolloutInputs,
};
use network::FolderStore;
use protocol::{
    Address, BlobId, ChainId, Micro, SigningKey,
    class::Class,
    gradient::{self, State},
    recipe::{Phase, Recipe},
    rollout::{self, Correction, Opened, Opening, Salts, plant},
    task::{Beacon, RolloutTask, UnitId, UnitKind},
    transaction::Body,
    vrf::Output,
};
use std::sync::Arc;
use verifier::rollout::{Claimed, Judgement};

/// Everything that determines one unit.
#[derive(Debug)]
pub struct Computation {
    chain: ChainId,
    unit: UnitId,
    miner: Address,
    recipe: Arc<Recipe>,
    model: Arc<Model>,
    work: Work,
    /// What the miner's updates lost before.
    feedback: Option<Vec<f32>>,
}

#[derive(Debug)]
enum Work {
    Rollout(RolloutTask),
    Gradient {
        beacon: Beacon,
        learned: Option<Learned>,
    },
}

/// Rollouts to learn from, and the model that drew them.
#[derive(Debug)]
struct Learned {
    model: Arc<Model>,
    /// As they are meant, without planted faults.
    rollouts: Vec<(RolloutTask, rollout::Payload)>,
    /// As they are in their blobs.
    bound: Vec<rollout::Payload>,
}

/// What a miner binds: a blob and the transaction that names it.
#[derive(Debug)]
pub struct Product {
    /// The blob.
    pub blob: Vec<u8>,
    /// The commitment.
    pub body: Body,
    /// What the miner opens of a rollout unit, sketch included.
    pub opening: Option<Opening>,
    /// The states that a gradient unit seals.
    pub states: Vec<State>,
    /// The file of what its update lost, where the recipe has feedback.
    pub feedback: Option<Vec<u8>>,
}

/// What only the miner has, and what obliges it to plant faults.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// Its key.
    pub key: SigningKey,
    /// Probability that the unit must have a planted fault.
    pub plant_rate: Micro,
}

/// What draws a miner's rollouts.
#[derive(Clone, Debug)]
pub enum Drawing {
    /// The exact engine.
    Exact,
    /// A liar.
    Cheat(Cheat),
    /// The worker of a tolerant class.
    Worker(Arc<OtherEngine>),
}

/// What the chain says about a unit that is judged.
#[derive(Clone, Debug)]
pub struct Bound {
    /// What the miner claims.
    pub claim: Claim,
    /// The opened sketch, unless the round is blind.
    pub opened: Option<Opened>,
    /// The planted fault, unless the round judges it.
    pub plant: Option<(Correction, Output)>,
    /// How far it may differ; nothing where every difference is proof.
    pub class: Option<Class>,
    /// The segment of a gradient unit that is judged.
    pub challenge: Option<Challenge>,
    /// The file of what the miner's updates lost before.
    pub feedback: Option<BlobId>,
    /// The states that its miner has shown, fetched.
    pub states: States,
}

/// Files of a gradient unit's states.
#[derive(Clone, Debug, Default)]
pub struct States {
    /// What the segment starts from, weights first, unless that is where everybody starts.
    start: Option<Vec<Vec<u8>>>,
    /// Weights where the unit ends, unless the segment ends there.
    last: Option<Vec<u8>>,
}

impl Bound {
    /// What an auditor of the unit's current round goes by.
    #[must_use]
    pub fn of(view: &View<'_>, id: UnitId, unit: &Unit, claim: Claim) -> Self {
        let is_planted = opening::is_planted_round(unit);
        Self {
            claim,
            opened: unit
                .opening
                .sketch
                .clone()
                .filter(|_| !opening::is_blind(id, unit)),
            plant: match unit.opening.plant {
                Some(Plant::Fault {
                    correction, output, ..
                }) if !is_planted => Some((correction, output)),
                Some(Plant::Fault { .. } | Plant::Absent) | None => None,
            },
            class: unit.class.and_then(|listed| class::class(view, listed)),
            challenge: unit.challenge,
            feedback: unit.feedback,
            states: States::default(),
        }
    }
    /// Names of the files that an auditor of a gradient unit fetches from its miner.
    #[must_use]
    pub fn files(&self) -> Vec<BlobId> {
        let (start, last) = self
            .challenge
            .map_or((None, None), |challenge| (challenge.start, challenge.last));
        let start = start.map(|state| files(&state)).unwrap_or_default();
        let last = last.map(|state| state.weights);
        start.into_iter().chain(last).chain(self.feedback).collect()
    }
}

fn rollout_task(
    chain: ChainId,
    recipe: &Recipe,
    model: &Model,
    beacon: Beacon,
    (unit, miner): (UnitId, Address),
) -> RolloutTask {
    let environment = recipe.environment;
    RolloutTask {
        chain,
        checkpoint: model.id,
        environment,
        beacon,
        unit,
        miner,
    }
}

impl Computation {
    /// Gathers a unit's inputs, fetching what is missing.
    ///
    /// # Errors
    /// When a model or blob cannot be had.
    pub async fn gather(
        bench: &Workbench,
        (chain, recipe): (ChainId, Arc<Recipe>),
        context: &StepContext,
        (unit, miner): (UnitId, Address),
        (inputs, feedback): (&[Input], Option<BlobId>),
    ) -> Result<Self> {
        let model = bench.model(&recipe, context.checkpoint.as_ref()).await?;
        let feedback = match feedback {
            Some(lost) => Some(values(bench, lost, &model).await?),
            None => None,
        };
        let work = match unit.kind {
            UnitKind::Rollout => {
                let owner = (unit, miner);
                Work::Rollout(rollout_task(chain, &recipe, &model, context.beacon, owner))
            }
            UnitKind::Gradient => {
                let learned = match recipe.phase(unit.step) {
                    Some(Phase::Reinforce) => {
                        Some(learned(bench, chain, &recipe, context, inputs).await?)
                    }
                    Some(Phase::Pretrain) | None => None,
                };
                Work::Gradient {
                    beacon: context.beacon,
                    learned,
                }
            }
        };
        Ok(Self {
            chain,
            unit,
            miner,
            recipe,
            model,
            work,
            feedback,
        })
    }
    /// Fetches the states of a gradient unit that its miner has shown.
    ///
    /// # Errors
    /// When one cannot be had.
    pub async fn fetch_states(&self, bench: &Workbench, bound: &mut Bound) -> Result<()> {
        let Some(Challenge { start, last, .. }) = bound.challenge else {
            return Ok(());
        };
        let bytes = 4 * self.model.parameters.as_slice().len() as u64;
        if let Some(state) = start {
            // At the same time: on a link with a delay, one after another takes as long thrice.
            let fetch = |file| bench.blob(file, bytes);
            let fetched = files(&state).into_iter().map(fetch);
            bound.states.start = Some(try_join_all(fetched).await?);
        }
        if let Some(state) = last {
            bound.states.last = Some(bench.blob(state.weights, bytes).await?);
        }
        Ok(())
    }
    /// Does the unit, honestly or not. The key gives the salts of what is sealed; files of the
    /// states between segments are kept in `blobs`.
    ///
    /// # Errors
    /// When the inputs are impossible, or the disk failed.
    pub fn execute(
        &self,
        (secrets, blobs): (&Secrets, &FolderStore),
        drawing: &Drawing,
        device: &Device,
    ) -> Result<Product> {
        match &self.work {
            Work::Rollout(task) => {
                let inputs = self.rollout_inputs(task);
                let Secrets { key, plant_rate } = secrets;
                let alpha = plant::alpha(&task.beacon, task.unit);
                let (output, proof) = key.vrf().prove(&alpha);
                let rate = plant_rate.get().into();
                let is_drawn = output.is_below(rate, Micro::ONE.get().into());
                let salts = Salts {
                    fault: is_drawn.then_some(output),
                    ..Salts::derive(key, task.chain, task.unit)
                };
                let model = &self.model;
                let work = match drawing {
                    Drawing::Exact => miner::rollout::execute(&inputs, &salts, device)?,
                    Drawing::Cheat(cheat) => cheat.rollout(&inputs, &salts, device)?,
                    Drawing::Worker(worker) => {
                        miner::rollout::execute_with(&inputs, device, |requests, options| {
                            worker.generate(model, requests, options)
                        })?
                    }
                };
                let groups = self.recipe.reinforce.groups_per_unit_count;
                let prompts = World::of(&self.recipe)?.prompts(task, groups);
                let opening = work.opening(&prompts, &salts, proof);
                let payload = work.payload;
                let root = payload.root(&prompts).context("a unit without samples")?;
                let blob = protocol::codec::encode(&payload);
                let totals = payload.totals(environment::Reward::EXACT.millionths());
                let (id, blob_bytes) = name(&blob);
                let body = Body::CommitRollouts {
                    unit: self.unit,
                    root,
                    blob: id,
                    blob_bytes,
                    totals,
                };
                Ok(Product {
                    blob,
                    body,
                    opening,
                    states: Vec::new(),
                    feedback: None,
                })
            }
            Work::Gradient { beacon, learned } => {
                let inputs = self.gradient_inputs(beacon, learned.as_ref());
                self.execute_gradient(&inputs, (secrets, blobs), drawing, device)
            }
        }
    }
    fn execute_gradient(
        &self,
        inputs: &GradientInputs<'_>,
        (secrets, blobs): (&Secrets, &FolderStore),
        drawing: &Drawing,
        device: &Device,
    ) -> Result<Product> {
        let salts = gradient::Salts::derive(&secrets.key, self.chain, self.unit);
        let mut keep = |file: &[u8]| {
            let kept = blobs.insert(file).map_err(std::io::Error::other);
            kept.map(|_| ())
        };
        // Gradients have no tolerance.
        let work = match drawing {
            Drawing::Cheat(cheat) => cheat.gradient(inputs, (&salts, &mut keep), device)?,
            Drawing::Exact | Drawing::Worker(_) => {
                miner::gradient::execute(inputs, &salts, &mut keep, device)?
            }
        };
        let miner::gradient::Work {
            payload,
            states,
            lost,
        } = work;
        let lost = lost.map(|lost| file::write(&lost));
        let root = payload.root().context("a unit without segments")?;
        let (tokens_count, loss_micro) = (payload.tokens_count, payload.loss_micro());
        let blob = protocol::codec::encode(&payload);
        let (id, blob_bytes) = name(&blob);
        let unit = self.unit;
        let body = Body::CommitGradient {
            unit,
            root,
            blob: id,
            blob_bytes,
            tokens_count,
            loss_micro,
            feedback: lost.as_deref().map(BlobId::of),
        };
        Ok(Product {
            blob,
            body,
            opening: None,
            states,
            feedback: lost,
        })
    }
    /// Judges what a miner bound: all of it, or one group of a rollout unit's samples.
    #[must_use]
    pub fn judge(
        &self,
        bound: &Bound,
        blob: &[u8],
        group: Option<u32>,
        device: &Device,
    ) -> Judgement {
        match (&self.work, &bound.claim) {
            (Work::Rollout(task), Claim::Rollout { root, totals }) => {
                let claimed = Claimed {
                    root: *root,
                    totals: *totals,
                    opened: bound.opened.clone(),
                    plant: bound.plant,
                    class: bound.class.as_ref(),
                };
                let inputs = self.rollout_inputs(task);
                verifier::rollout::judge_part(&inputs, &claimed, blob, group, device)
            }
            (
                Work::Gradient { beacon, learned },
                Claim::Gradient {
                    root,
                    tokens_count,
                    loss_micro,
                    feedback,
                },
            ) => {
                let inputs = self.gradient_inputs(beacon, learned.as_ref());
                let claim = (*root, *tokens_count, *loss_micro, *feedback);
                let Some(claimed) = claimed(&inputs, claim, bound) else {
                    return Judgement::without_sketch(verifier::unavailable());
                };
                verifier::gradient::judge(&inputs, &claimed, blob, device)
            }
            // The state machine refuses claims that do not fit the unit's kind.
            (Work::Rollout(_) | Work::Gradient { .. }, _) => {
                Judgement::without_sketch(verifier::unavailable())
            }
        }
    }
    fn rollout_inputs<'a>(&'a self, task: &'a RolloutTask) -> RolloutInputs<'a> {
        RolloutInputs {
            task,
            recipe: &self.recipe,
            model: &self.model.parameters,
        }
    }
    fn gradient_inputs<'a>(
        &'a self,
        beacon: &'a Beacon,
        learned: Option<&'a Learned>,
    ) -> GradientInputs<'a> {
        GradientInputs {
            unit: self.unit,
            miner: self.miner,
            recipe: &self.recipe,
            beacon,
            model: &self.model.parameters,
            generation: learned.map(|learned| Generation {
                model: &learned.model.parameters,
                rollouts: learned.rollouts.clone(),
            }),
            feedback: self.feedback.as_deref(),
        }
    }
}

/// What a gradient unit's miner has bound and shown; nothing without a segment, or with files that
/// are not of the model, which nobody could have fetched by their size.
fn claimed(
    inputs: &GradientInputs<'_>,
    (root, tokens_count, loss_micro, feedback): (rollout::Root, u32, i64, Option<BlobId>),
    bound: &Bound,
) -> Option<verifier::gradient::Claimed> {
    let challenge = bound.challenge?;
    let States { start, last } = &bound.states;
    let start = start.as_ref();
    let start = start.map(|files| restored(inputs, challenge, files));
    let last = last.as_deref().map(file::read);
    if matches!(start, Some(None)) || matches!(last, Some(None)) {
        return None;
    }
    Some(verifier::gradient::Claimed {
        root,
        tokens_count,
        loss_micro,
        feedback,
        segment: challenge.segment,
        start: start.flatten(),
        last: last.flatten(),
        opened: bound.opened.as_ref().map(Opened::sketch),
    })
}

/// The state that a segment starts from, of its files.
fn restored(inputs: &GradientInputs<'_>, challenge: Challenge, files: &[Vec<u8>]) -> Option<Start> {
    let steps_count = challenge.start.map_or(0, |state| state.steps_count);
    let files: Vec<&[u8]> = files.iter().map(Vec::as_slice).collect();
    Start::restored(inputs, steps_count, &files)
}

fn name(blob: &[u8]) -> (BlobId, u64) {
    (BlobId::of(blob), blob.len() as u64)
}

/// A file of as many values as a model has.
async fn values(bench: &Workbench, name: BlobId, model: &Model) -> Result<Vec<f32>> {
    let bytes = bench
        .blob(name, 4 * model.parameters.as_slice().len() as u64)
        .await?;
    file::read(&bytes).with_context(|| format!("file {name} is not one of values"))
}

async fn learned(
    bench: &Workbench,
    chain: ChainId,
    recipe: &Recipe,
    context: &StepContext,
    inputs: &[Input],
) -> Result<Learned> {
    let model = bench
        .model(recipe, context.checkpoint_before.as_ref())
        .await?;
    let beacon = context
        .beacon_before
        .context("the step before has no beacon")?;
    let world = World::of(recipe)?;
    let (mut rollouts, mut bound) = (Vec::new(), Vec::new());
    for input in inputs {
        let bytes = bench.blob(input.blob, input.blob_bytes).await?;
        let payload = rollout::Payload::decode(&bytes)
            .with_context(|| format!("input {} is not a rollout payload", input.unit))?;
        let owner = (input.unit, input.miner);
        let task = rollout_task(chain, recipe, &model, beacon, owner);
        let meant = match &input.correction {
            Some(correction) => miner::rollout::corrected(&task, &world, &payload, correction)
                .with_context(|| format!("input {} has a fault in no place", input.unit))?,
            None => payload.clone(),
        };
        rollouts.push((task, meant));
        bound.push(payload);
    }
    Ok(Learned {
        model,
        rollouts,
        bound,
    })
}
