//! Runs of training side by side, of which equal ones are one.

use super::{Scene, rate};
use crate::{spread::spread, subject::Subject};
use adversaries::Cheat;
use anyhow::Result;
use engine::Parameters;
use miner::{ExecuteError, Generation, GradientInputs, gradient, initial_outer};
use protocol::{
    Address, CheckpointId, Micro, RunId, SigningKey, Step,
    codec::encode,
    gradient::Payload as Update,
    identifiers::tagged_hash,
    rollout::{Payload, Salts},
    task::{Beacon, RolloutTask, UnitId, UnitKind},
};
use std::{collections::BTreeMap, sync::Arc};
use verifier::{Successor, checkpoint};

/// Miners, of whom the first two lie.
const MINERS: u32 = 6;
const LIARS: u32 = 2;

/// One run.
#[derive(Clone, Debug, Default)]
pub(super) struct Course {
    pub(super) removed_after: Option<u64>,
    pub(super) lies_used: u64,
    pub(super) curve: Vec<f64>,
}

/// A unit and what was sent for it, shared by all runs that have it.
type Rollout = Arc<(RolloutTask, Payload)>;
type Rollouts = Vec<Rollout>;
type Caught = [bool; LIARS as usize];

/// Scenes, by their numbers, from which the model has learned the same so far.
struct Run {
    scenes: Vec<usize>,
    seed: u64,
    rate: Micro,
    now: Arc<Successor>,
    /// What the next gradients learn from, and the model that drew it.
    before: Option<(Arc<Successor>, Rollouts)>,
    caught: Caught,
}

/// A unit of a step of a run.
#[derive(Clone, Copy)]
enum Job {
    /// A rollout unit, by its index, of somebody honest or of a cheat.
    Rollout {
        run: usize,
        index: u32,
        scene: Option<usize>,
    },
    Gradient {
        run: usize,
        index: u32,
    },
}

/// What a unit gave.
enum Done {
    Rollout(Rollout),
    Gradient(Box<Update>),
    /// Nobody can do it: no group of what it has to learn from is whole, as a network would never
    /// have admitted it (spec/02-gradient §6).
    Nothing,
}

/// Runs of all scenes, in their order.
pub(super) fn all(subject: &Subject, scenes: &[Scene], steps: u64) -> Result<Vec<Course>> {
    let first = subject.recipe.pretrain.steps_count;
    let steps = steps.min(subject.recipe.reinforce.steps_count);
    let mut courses = vec![Course::default(); scenes.len()];
    let mut runs = starts(subject, scenes)?;
    for index in 0..steps {
        let all = Runs {
            subject,
            scenes,
            step: Step::new(first + index),
        };
        runs = all.step(&runs, &mut courses)?;
        for run in &runs {
            let is_over = run.caught.iter().all(|caught| *caught);
            for scene in &run.scenes {
                let course = &mut courses[*scene];
                if is_over && course.removed_after.is_none() {
                    course.removed_after = Some(index + 1);
                }
            }
        }
        if (index + 1).is_multiple_of(6) {
            println!("after {} steps {} runs differ", index + 1, runs.len());
        }
    }
    Ok(courses)
}

/// One run for all scenes of the same seed and standing.
fn starts(subject: &Subject, scenes: &[Scene]) -> Result<Vec<Run>> {
    let recipe = &subject.recipe;
    let outer = initial_outer(recipe)?;
    // The end of pre-training brings the optimiser of what follows.
    let now = match recipe.pretrain.steps_count.checked_sub(1) {
        Some(last) => checkpoint::advance(recipe, Step::new(last), &subject.model, &outer, &[])?,
        None => Successor {
            model: subject.model.clone(),
            outer,
        },
    };
    let now = Arc::new(now);
    let mut groups: BTreeMap<(u64, Micro), Vec<usize>> = BTreeMap::new();
    for (number, scene) in scenes.iter().enumerate() {
        let key = (scene.seed, rate(subject, scene.standing));
        groups.entry(key).or_default().push(number);
    }
    let run = |((seed, rate), scenes)| Run {
        scenes,
        seed,
        rate,
        now: Arc::clone(&now),
        before: None,
        caught: Caught::default(),
    };
    Ok(groups.into_iter().map(run).collect())
}

/// One step of all runs.
struct Runs<'a> {
    subject: &'a Subject,
    scenes: &'a [Scene],
    step: Step,
}

impl Runs<'_> {
    /// Takes every run a step further; those whose rollouts differ part.
    fn step(&self, runs: &[Run], courses: &mut [Course]) -> Result<Vec<Run>> {
        let jobs = self.jobs(runs);
        let done = spread(&jobs, |job| self.done(runs, *job), |_| ());
        let mut rollouts: BTreeMap<(usize, Option<usize>, u32), Rollout> = BTreeMap::new();
        let mut updates: Vec<Vec<Update>> = runs.iter().map(|_| Vec::new()).collect();
        for (job, done) in jobs.iter().zip(done) {
            match (*job, done?) {
                (Job::Rollout { run, index, scene }, Done::Rollout(one)) => {
                    rollouts.insert((run, scene, index), one);
                }
                (Job::Gradient { run, .. }, Done::Gradient(one)) => updates[run].push(*one),
                (Job::Rollout { .. }, Done::Gradient(_))
                | (Job::Gradient { .. }, Done::Rollout(_))
                | (_, Done::Nothing) => {}
            }
        }
        let pairs: Vec<(&Run, Vec<Update>)> = runs.iter().zip(updates).collect();
        let advanced = spread(&pairs, |(run, updates)| self.advanced(run, updates), |_| ());
        let mut parted = Vec::new();
        for (number, (run, advanced)) in runs.iter().zip(advanced).enumerate() {
            let (next, value) = advanced?;
            let next = Arc::new(next);
            for scene in &run.scenes {
                courses[*scene].curve.push(value);
            }
            let sent = |scene, index| rollouts.get(&(number, scene, index)).cloned();
            parted.extend(self.parted((run, &next), sent, courses));
        }
        Ok(parted)
    }

    /// Who has the rollout unit of this index.
    fn miner(&self, index: u32) -> u32 {
        (index + u32::try_from(self.step.get()).unwrap_or(0)) % MINERS
    }

    /// The cheat that does this unit in a scene; nothing if somebody honest does.
    fn liar(&self, scene: usize, index: u32) -> Option<Cheat> {
        self.scenes[scene]
            .cheat
            .filter(|_| self.miner(index) < LIARS)
    }

    /// Whether a unit's miner is out.
    fn is_out(&self, caught: &Caught, scene: usize, index: u32) -> bool {
        let liar = self.liar(scene, index);
        liar.is_some() && caught[self.miner(index) as usize]
    }

    /// All units of the step: of the honest once for a run, of cheats once for each.
    fn jobs(&self, runs: &[Run]) -> Vec<Job> {
        let reinforce = &self.subject.recipe.reinforce;
        let mut jobs = Vec::new();
        for (number, run) in runs.iter().enumerate() {
            for index in 0..reinforce.rollout_units_count {
                let job = |scene| Job::Rollout {
                    run: number,
                    index,
                    scene,
                };
                let (liars, honest): (Vec<usize>, Vec<usize>) = run
                    .scenes
                    .iter()
                    .partition(|scene| self.liar(**scene, index).is_some());
                let there = liars.into_iter();
                let there = there.filter(|scene| !self.is_out(&run.caught, *scene, index));
                jobs.extend(there.map(|scene| job(Some(scene))));
                jobs.extend((!honest.is_empty()).then(|| job(None)));
            }
            let learned = run.before.as_ref().map_or(0, |(_, before)| before.len());
            let units = 0..reinforce.gradient_units_count;
            let units = units.filter(|index| (*index as usize) < learned);
            jobs.extend(units.map(|index| Job::Gradient { run: number, index }));
        }
        jobs
    }

    fn beacon(&self, seed: u64) -> Beacon {
        Beacon::from_bytes(tagged_hash("cairn/damage-report/v1", &(self.step, seed)))
    }

    fn unit(&self, kind: UnitKind, index: u32) -> UnitId {
        UnitId {
            run: RunId::ZERO,
            step: self.step,
            kind,
            index,
        }
    }

    fn done(&self, runs: &[Run], job: Job) -> Result<Done> {
        match job {
            Job::Rollout { run, index, scene } => {
                let cheat = scene.and_then(|scene| self.liar(scene, index));
                self.rollout(&runs[run], index, cheat).map(Done::Rollout)
            }
            Job::Gradient { run, index } => match self.gradient(&runs[run], index) {
                Ok(update) => Ok(Done::Gradient(Box::new(update))),
                Err(ExecuteError::NothingToLearn { .. }) => Ok(Done::Nothing),
                Err(error) => Err(error.into()),
            },
        }
    }

    fn rollout(&self, run: &Run, index: u32, cheat: Option<Cheat>) -> Result<Rollout> {
        let subject = self.subject;
        let seed = u8::try_from(self.miner(index)).unwrap_or(0);
        let key = SigningKey::from_seed([seed; 32]);
        let task = RolloutTask {
            unit: self.unit(UnitKind::Rollout, index),
            miner: key.address(),
            checkpoint: CheckpointId::of(&run.now.model.to_safetensors()),
            beacon: self.beacon(run.seed),
            ..subject.task(0)
        };
        let inputs = miner::RolloutInputs {
            task: &task,
            recipe: &subject.recipe,
            model: &run.now.model,
        };
        let salts = Salts::derive(&key, task.chain, task.unit);
        let work = match cheat {
            Some(cheat) => cheat.rollout(&inputs, &salts, &subject.device)?,
            None => miner::rollout::execute(&inputs, &salts, &subject.device)?,
        };
        Ok(Arc::new((task, work.payload)))
    }

    fn gradient(&self, run: &Run, index: u32) -> Result<Update, ExecuteError> {
        let recipe = &self.subject.recipe;
        let count = recipe.reinforce.gradient_units_count as usize;
        let before = run.before.as_ref();
        let generation = before.map(|(drawn_by, rollouts)| {
            let own = rollouts.iter().skip(index as usize).step_by(count);
            Generation {
                model: &drawn_by.model,
                rollouts: own.map(|one| one.as_ref().clone()).collect(),
            }
        });
        let beacon = self.beacon(run.seed);
        let inputs = GradientInputs {
            unit: self.unit(UnitKind::Gradient, index),
            miner: Address::from_bytes([9; 32]),
            recipe,
            beacon: &beacon,
            model: &run.now.model,
            generation,
            feedback: None,
        };
        gradient::payload(&inputs, &self.subject.device)
    }

    /// The next model, and the share of held-out prompts that it answers exactly.
    fn advanced(&self, run: &Run, updates: &[Update]) -> Result<(Successor, f64)> {
        let recipe = &self.subject.recipe;
        let Successor { model, outer } = run.now.as_ref();
        let next = checkpoint::advance(recipe, self.step, model, outer, updates)?;
        let value = exact(self.subject, &next.model)?;
        Ok((next, value))
    }

    /// What is accepted of a step in each scene of a run; scenes with the same go on together.
    fn parted(
        &self,
        (run, next): (&Run, &Arc<Successor>),
        sent: impl Fn(Option<usize>, u32) -> Option<Rollout>,
        courses: &mut [Course],
    ) -> Vec<Run> {
        let count = self.subject.recipe.reinforce.rollout_units_count;
        let mut groups: BTreeMap<(Caught, Vec<u8>), (Vec<usize>, Rollouts)> = BTreeMap::new();
        for &scene in &run.scenes {
            let there = (0..count).filter(|index| !self.is_out(&run.caught, scene, *index));
            let made: Vec<(u32, bool, Rollout)> = there
                .filter_map(|index| {
                    let liar = self.liar(scene, index);
                    let unit = self.unit(UnitKind::Rollout, index);
                    let is_lie = liar.is_some_and(|cheat| cheat.lies_in(unit));
                    let one = sent(liar.map(|_| scene), index)?;
                    Some((index, is_lie, one))
                })
                .collect();
            let mut caught = run.caught;
            for (index, is_lie, _) in &made {
                let unit = self.unit(UnitKind::Rollout, *index);
                if *is_lie && is_drawn(unit, run.rate, run.seed) {
                    caught[self.miner(*index) as usize] = true;
                }
            }
            let used = made
                .into_iter()
                .filter(|(index, ..)| !self.is_out(&caught, scene, *index));
            let used: Vec<(u32, bool, Rollout)> = used.collect();
            courses[scene].lies_used += used.iter().filter(|(_, is_lie, _)| *is_lie).count() as u64;
            let used: Rollouts = used.into_iter().map(|(_, _, one)| one).collect();
            let group = groups.entry((caught, learned_from(&used)));
            let (scenes, _) = group.or_insert_with(|| (Vec::new(), used));
            scenes.push(scene);
        }
        let run = |((caught, _), (scenes, rollouts))| Run {
            scenes,
            seed: run.seed,
            rate: run.rate,
            now: Arc::clone(next),
            before: Some((Arc::clone(&run.now), rollouts)),
            caught,
        };
        groups.into_iter().map(run).collect()
    }
}

/// All that gradients read of rollouts.
fn learned_from(rollouts: &[Rollout]) -> Vec<u8> {
    let mut all = blake3::Hasher::new();
    for (task, payload) in rollouts.iter().map(Arc::as_ref) {
        all.update(&encode(task));
        for group in payload.groups.as_slice() {
            let samples = group.samples.as_slice();
            all.update(&encode(&samples.len().to_le_bytes().to_vec()));
            for sample in samples {
                all.update(&encode(&(sample.tokens.as_slice().to_vec(), sample.finish)));
            }
        }
    }
    all.finalize().as_bytes().to_vec()
}

fn exact(subject: &Subject, model: &Parameters) -> Result<f64> {
    let found = checkpoint::evaluate(&subject.recipe, model, &subject.device)?;
    Ok(f64::from(found.exact_count) / f64::from(found.prompts_count.max(1)))
}

/// Whether a unit is audited.
fn is_drawn(unit: UnitId, rate: Micro, seed: u64) -> bool {
    let hash = tagged_hash("cairn/damage-draw/v1", &(unit.step, seed));
    protocol::sample::is_drawn(&Beacon::from_bytes(hash), unit, rate)
}
