//! What liars do to the training before they are removed.
//!
//! The run goes on from the subject's model: rollouts, gradients from the accepted ones of the step
//! before, aggregation, evaluation, all by the production code. Two of six miners lie about every
//! rollout unit. They are no newcomers any more, so each of their units is audited at the floor
//! rate only; with the first lie that is drawn a miner loses its units of the step and is out.

use crate::{statistics, subject::Subject};
use adversaries::Cheat;
use anyhow::Result;
use engine::{Device, Parameters};
use governance::parameters::Name;
use miner::{Generation, GradientInputs, gradient, initial_outer, parallel};
use protocol::{
    Address, CheckpointId, RunId, SigningKey, Step,
    identifiers::tagged_hash,
    rollout::{Payload, Salts},
    task::{Beacon, RolloutTask, UnitId, UnitKind},
};
use serde::Serialize;
use verifier::{Successor, checkpoint};

/// Miners, of whom the first two lie.
const MINERS: u32 = 6;
const LIARS: u32 = 2;

/// How a run with liars went, beside the same run without.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Damage {
    pub(crate) name: String,
    /// Steps after which the liars were out: the last one's.
    pub(crate) removed_after: Option<u64>,
    /// Units with lies that were learned from.
    pub(crate) lies_used: u64,
    /// Share of held-out prompts answered exactly, after every step.
    pub(crate) curve: Vec<f64>,
    /// Mean over all steps of the honest curve minus this one.
    pub(crate) lost_mean: f64,
    /// The same at the end.
    pub(crate) lost_at_end: f64,
}

type Rollouts = Vec<(RolloutTask, Payload)>;

struct Run<'a> {
    subject: &'a Subject,
    cheat: Option<Cheat>,
    now: Successor,
    before: Option<(Parameters, Rollouts)>,
    caught: [bool; LIARS as usize],
    lies_used: u64,
}

/// The runs of these cheats, over this many steps.
pub(crate) fn damages(subject: &Subject, cheats: &[Cheat], steps: u64) -> Result<Vec<Damage>> {
    // Each run has one thread.
    let runs: Vec<Option<Cheat>> = std::iter::once(None)
        .chain(cheats.iter().copied().map(Some))
        .collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let device = Device::cpu(threads);
    let found = parallel::map(&runs, device.threads(), |cheat| run(subject, *cheat, steps));
    let mut all: Vec<Damage> = found.into_iter().collect::<Result<_>>()?;
    let honest = all
        .first()
        .map_or_else(Vec::new, |honest| honest.curve.clone());
    for damage in all.iter_mut().skip(1) {
        let lost: Vec<f64> = honest
            .iter()
            .zip(&damage.curve)
            .map(|(a, b)| a - b)
            .collect();
        damage.lost_mean = statistics::mean(&lost);
        damage.lost_at_end = lost.last().copied().unwrap_or(0.0);
    }
    Ok(all)
}

fn run(subject: &Subject, cheat: Option<Cheat>, steps: u64) -> Result<Damage> {
    let (recipe, first) = (&subject.recipe, subject.recipe.pretrain.steps_count);
    let steps = steps.min(recipe.reinforce.steps_count);
    let outer = initial_outer(recipe)?;
    // The end of pre-training brings the optimiser of what follows.
    let now = match first.checked_sub(1) {
        Some(last) => checkpoint::advance(recipe, Step::new(last), &subject.model, &outer, &[])?,
        None => Successor {
            model: subject.model.clone(),
            outer,
        },
    };
    let mut run = Run {
        subject,
        cheat,
        now,
        before: None,
        caught: [false; LIARS as usize],
        lies_used: 0,
    };
    let (mut curve, mut removed_after) = (Vec::new(), None);
    for index in 0..steps {
        run.step(Step::new(first + index))?;
        if removed_after.is_none() && run.caught.iter().all(|caught| *caught) {
            removed_after = Some(index + 1);
        }
        let found = checkpoint::evaluate(&subject.recipe, &run.now.model, &subject.device)?;
        curve.push(f64::from(found.exact_count) / f64::from(found.prompts_count.max(1)));
    }
    Ok(Damage {
        name: cheat.map_or("honest".to_owned(), |cheat| cheat.to_string()),
        removed_after: removed_after.filter(|_| cheat.is_some()),
        lies_used: run.lies_used,
        curve,
        lost_mean: 0.0,
        lost_at_end: 0.0,
    })
}

impl Run<'_> {
    fn step(&mut self, step: Step) -> Result<()> {
        let beacon = Beacon::from_bytes(tagged_hash("cairn/damage-report/v1", &step));
        let rollouts = self.rollouts(step, beacon)?;
        let updates = self.gradients(step, beacon)?;
        let Successor { model, outer } = &self.now;
        let recipe = &self.subject.recipe;
        let next = checkpoint::advance(recipe, step, model, outer, &updates)?;
        let model = std::mem::replace(&mut self.now, next).model;
        self.before = Some((model, rollouts));
        Ok(())
    }

    /// The accepted rollouts of a step.
    fn rollouts(&mut self, step: Step, beacon: Beacon) -> Result<Rollouts> {
        let subject = self.subject;
        let checkpoint = CheckpointId::of(&self.now.model.to_safetensors());
        let mut made = Vec::new();
        for index in 0..subject.recipe.reinforce.rollout_units_count {
            let miner = (index + u32::try_from(step.get()).unwrap_or(0)) % MINERS;
            let liar = self.cheat.filter(|_| miner < LIARS);
            if liar.is_some() && self.caught[miner as usize] {
                continue;
            }
            let key = SigningKey::from_seed([u8::try_from(miner).unwrap_or(0); 32]);
            let task = RolloutTask {
                unit: unit(step, UnitKind::Rollout, index),
                miner: key.address(),
                checkpoint,
                beacon,
                ..subject.task(0)
            };
            let inputs = miner::RolloutInputs {
                task: &task,
                recipe: &subject.recipe,
                model: &self.now.model,
            };
            let salts = Salts::derive(&key, task.chain, task.unit);
            let work = match liar {
                Some(cheat) => cheat.rollout(&inputs, &salts, &subject.device)?,
                None => miner::rollout::execute(&inputs, &salts, &subject.device)?,
            };
            let is_lie = liar.is_some_and(|cheat| cheat.lies_in(task.unit));
            made.push((miner, is_lie, (task, work.payload)));
        }
        for (miner, is_lie, (task, _)) in &made {
            if *is_lie && is_drawn(task.unit) {
                self.caught[*miner as usize] = true;
            }
        }
        let is_out =
            |miner: u32| self.cheat.is_some() && miner < LIARS && self.caught[miner as usize];
        made.retain(|(miner, ..)| !is_out(*miner));
        self.lies_used += made.iter().filter(|(_, is_lie, _)| *is_lie).count() as u64;
        Ok(made.into_iter().map(|(_, _, rollout)| rollout).collect())
    }

    fn gradients(&self, step: Step, beacon: Beacon) -> Result<Vec<protocol::gradient::Payload>> {
        let Some((model, rollouts)) = &self.before else {
            return Ok(Vec::new());
        };
        let recipe = &self.subject.recipe;
        let count = recipe.reinforce.gradient_units_count;
        let execute = |index: u32| {
            let own = rollouts.iter().skip(index as usize).step_by(count as usize);
            let inputs = GradientInputs {
                unit: unit(step, UnitKind::Gradient, index),
                miner: Address::from_bytes([9; 32]),
                recipe,
                beacon: &beacon,
                model: &self.now.model,
                generation: Some(Generation {
                    model,
                    rollouts: own.cloned().collect(),
                }),
            };
            gradient::payload(&inputs, &self.subject.device)
        };
        let units = (0..count).filter(|index| (*index as usize) < rollouts.len());
        Ok(units.map(execute).collect::<Result<_, _>>()?)
    }
}

fn unit(step: Step, kind: UnitKind, index: u32) -> UnitId {
    UnitId {
        run: RunId::ZERO,
        step,
        kind,
        index,
    }
}

/// Whether a unit is audited at the floor rate.
fn is_drawn(unit: UnitId) -> bool {
    let beacon = Beacon::from_bytes(tagged_hash("cairn/damage-draw/v1", &unit.step));
    let rate = protocol::Micro::new(Name::AuditRate.bounds().default);
    protocol::sample::is_drawn(&beacon, unit, rate)
}
