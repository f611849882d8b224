//! What liars do to the training before they are removed.
//!
//! The run goes on from the subject's model: rollouts, gradients from the accepted ones of the step
//! before, aggregation, evaluation, all by the production code. Two of six miners lie about every
//! rollout unit; each is out with the first lie that is drawn for audit, and with it are its other
//! units of that step. Newcomers are audited always. Vested miners are audited at the rate that
//! their bond and price give, by the production rule: the floor. Every seed deals other prompts and
//! draws other audits, and has an honest run to compare with.

use crate::{
    statistics::{self, Mean},
    subject::Subject,
};
use adversaries::Cheat;
use anyhow::Result;
use engine::{Device, Parameters};
use governance::parameters::Name;
use miner::{Generation, GradientInputs, gradient, initial_outer, parallel};
use protocol::{
    Address, Amount, CheckpointId, Micro, RunId, SigningKey, Step,
    identifiers::tagged_hash,
    rollout::{Payload, Salts},
    sample::Deterrence,
    task::{Beacon, RolloutTask, UnitId, UnitKind},
};
use serde::Serialize;
use verifier::{Successor, checkpoint};

/// Miners, of whom the first two lie.
const MINERS: u32 = 6;
const LIARS: u32 = 2;

/// How long the liars have been there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Standing {
    Newcomers,
    Vested,
}

/// How runs with liars went, beside the same runs without.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Damage {
    pub(crate) name: String,
    pub(crate) standing: Standing,
    /// Probability that one of their units is audited, in millionths.
    pub(crate) rate_micro: u64,
    pub(crate) steps: u64,
    /// The step with which both liars were out, in each run.
    pub(crate) removed_after: Vec<Option<u64>>,
    /// Lies a run that were accepted and learned from.
    pub(crate) lies_used: Mean,
    /// Share of held-out prompts answered exactly after the last step, without liars and with.
    pub(crate) honest_at_end: f64,
    pub(crate) at_end: f64,
    /// The honest curve minus this one: at the end, on average over the steps that ended with a
    /// liar still there, and over those after.
    pub(crate) lost_at_end: Mean,
    pub(crate) lost_before: Mean,
    pub(crate) lost_after: Mean,
}

/// One run.
struct Course {
    removed_after: Option<u64>,
    lies_used: u64,
    curve: Vec<f64>,
}

type Rollouts = Vec<(RolloutTask, Payload)>;

struct Run<'a> {
    subject: &'a Subject,
    scene: Scene,
    now: Successor,
    before: Option<(Parameters, Rollouts)>,
    caught: [bool; LIARS as usize],
    lies_used: u64,
}

/// Who lies, how closely it is watched, and what chance gives.
#[derive(Clone, Copy, Debug)]
struct Scene {
    cheat: Option<Cheat>,
    standing: Standing,
    seed: u64,
}

/// Runs with these cheats when all are vested, and with the first as newcomers: who is caught with
/// its first unit leaves nothing to learn from, whatever it did.
pub(crate) fn damages(
    subject: &Subject,
    cheats: &[Cheat],
    (steps, seeds): (u64, u64),
) -> Result<Vec<Damage>> {
    let mut kinds = vec![(None, Standing::Vested)];
    kinds.extend(
        cheats
            .first()
            .map(|cheat| (Some(*cheat), Standing::Newcomers)),
    );
    kinds.extend(cheats.iter().map(|cheat| (Some(*cheat), Standing::Vested)));
    let scenes = kinds.iter().flat_map(|(cheat, standing)| {
        (0..seeds).map(|seed| Scene {
            cheat: *cheat,
            standing: *standing,
            seed,
        })
    });
    let scenes: Vec<Scene> = scenes.collect();
    // Each run has one thread.
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let device = Device::cpu(threads);
    let found = parallel::map(&scenes, device.threads(), |scene| {
        run(subject, *scene, steps)
    });
    let all: Vec<Course> = found.into_iter().collect::<Result<_>>()?;
    let mut courses = all.chunks(seeds.max(1) as usize);
    let honest = courses.next().unwrap_or_default();
    let rows = kinds.iter().skip(1).zip(courses);
    Ok(rows
        .map(|((cheat, standing), courses)| Damage {
            name: cheat.map_or("honest".to_owned(), |cheat| cheat.to_string()),
            standing: *standing,
            rate_micro: rate(subject, *standing).get(),
            steps,
            ..compared(honest, courses)
        })
        .collect())
}

/// Runs with liars beside those without.
fn compared(honest: &[Course], courses: &[Course]) -> Damage {
    let last = |course: &Course| course.curve.last().copied().unwrap_or(0.0);
    let lost = |wanted: &dyn Fn(&Course, usize) -> bool| {
        let pairs = honest.iter().zip(courses);
        let means = pairs.filter_map(|(honest, course)| {
            let steps = honest.curve.iter().zip(&course.curve).enumerate();
            let steps = steps.filter(|(step, _)| wanted(course, *step));
            let lost: Vec<f64> = steps.map(|(_, (a, b))| a - b).collect();
            (!lost.is_empty()).then(|| statistics::mean(&lost))
        });
        Mean::new(&means.collect::<Vec<_>>())
    };
    // The step in which the last liar is found already learns from nothing of its.
    let is_before =
        |course: &Course, step: usize| course.removed_after.is_none_or(|by| step as u64 + 1 < by);
    let all = |value: &dyn Fn(&Course) -> f64| -> Vec<f64> { courses.iter().map(value).collect() };
    Damage {
        name: String::new(),
        standing: Standing::Vested,
        rate_micro: 0,
        steps: 0,
        removed_after: courses.iter().map(|course| course.removed_after).collect(),
        lies_used: Mean::new(&all(&|course| course.lies_used as f64)),
        honest_at_end: statistics::mean(&honest.iter().map(last).collect::<Vec<_>>()),
        at_end: statistics::mean(&all(&last)),
        lost_at_end: lost(&|course, step| step + 1 == course.curve.len()),
        lost_before: lost(&is_before),
        lost_after: lost(&|course, step| !is_before(course, step)),
    }
}

/// The probability that a liar's unit is audited, in millionths.
fn rate(subject: &Subject, standing: Standing) -> Micro {
    let default = |name: Name| Micro::new(name.bounds().default);
    let deterrence = Deterrence {
        margin: default(Name::AuditMargin),
        gain: default(Name::AuditGain),
        power: default(Name::AuditPower),
        honest_share: default(Name::AuditHonestShare),
        floor: default(Name::AuditRate),
    };
    let bond = Amount::new(Name::MinerBondMin.bounds().default);
    match standing {
        Standing::Newcomers => Micro::ONE,
        Standing::Vested => deterrence.rate(subject.recipe.pay.rollout_unit, bond),
    }
}

fn run(subject: &Subject, scene: Scene, steps: u64) -> Result<Course> {
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
        scene,
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
    Ok(Course {
        removed_after: removed_after.filter(|_| scene.cheat.is_some()),
        lies_used: run.lies_used,
        curve,
    })
}

impl Run<'_> {
    fn step(&mut self, step: Step) -> Result<()> {
        let beacon = Beacon::from_bytes(tagged_hash(
            "cairn/damage-report/v1",
            &(step, self.scene.seed),
        ));
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
            let liar = self.scene.cheat.filter(|_| miner < LIARS);
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
        let rate = rate(subject, self.scene.standing);
        for (miner, is_lie, (task, _)) in &made {
            if *is_lie && is_drawn(task.unit, rate, self.scene.seed) {
                self.caught[*miner as usize] = true;
            }
        }
        let is_out =
            |miner: u32| self.scene.cheat.is_some() && miner < LIARS && self.caught[miner as usize];
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
                feedback: None,
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

/// Whether a unit is audited.
fn is_drawn(unit: UnitId, rate: Micro, seed: u64) -> bool {
    let hash = tagged_hash("cairn/damage-draw/v1", &(unit.step, seed));
    protocol::sample::is_drawn(&Beacon::from_bytes(hash), unit, rate)
}
