//! A tolerant class: after how many tokens each adversary is beyond what honest work has.
//!
//! The adversary's tokens are taken response by response; after each, the measures of all so far
//! are held against the class as one unit of that length. What takes more than one unit is seen by
//! the lifetime's evidence, unit by unit.

use crate::{
    roc::{Roc, Scores},
    spread::spread,
    statistics::quantile,
    subject::Subject,
};
use adversaries::Cheat;
use anyhow::{Context as _, Result};
use engine_worker::Worker;
use miner::model::number;
use protocol::class::{Class, ClassId, Level, Lifetime};
use serde::Serialize;
use std::{
    ops::Range,
    sync::{Mutex, PoisonError},
};
use verifier::tolerant::{
    Margins, Response,
    calibrate::{CLIP_MICRO, Calibration},
    measure::{Distance, Tasks},
};

/// Units that another engine draws together.
const BATCH_UNITS: u32 = 64;

/// How one adversary fares in a class.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Caught {
    pub(crate) class: String,
    pub(crate) units: u64,
    /// Units that are void or worse, and units that are slashed, each alone.
    pub(crate) void_units: u64,
    pub(crate) slashed_units: u64,
    /// Tokens until the first void and the first slash within a unit: median and worst.
    pub(crate) void_tokens: [Option<u64>; 2],
    pub(crate) slash_tokens: [Option<u64>; 2],
    /// Tokens until the lifetime's evidence slashes.
    pub(crate) lifetime_tokens: Option<u64>,
    /// How well one score tells it from honest work.
    pub(crate) roc: Roc,
}

/// How honest units of the class look that it was not calibrated on.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Honest {
    pub(crate) class: String,
    pub(crate) calibration_units: u64,
    pub(crate) calibration_tokens: u64,
    pub(crate) units: u64,
    pub(crate) rollouts: u64,
    pub(crate) tokens: u64,
    pub(crate) mismatches: u64,
    pub(crate) false_voids: u64,
    pub(crate) false_slashes: u64,
    pub(crate) toploc_false_voids: u64,
    pub(crate) lifetime_slashes: u64,
    pub(crate) bound_per_million_units: f64,
    #[serde(skip)]
    pub(crate) scores: Scores,
}

/// Processes of one engine, one for each processor.
pub(crate) struct Workers {
    idle: Mutex<Vec<Worker>>,
    count: u32,
}

impl Workers {
    /// Starts them.
    pub(crate) fn start(command: &[String], subject: &Subject) -> Result<Self> {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = (0..count).map(|_| Worker::start(command, &subject.model));
        Ok(Self {
            idle: Mutex::new(workers.collect::<Result<_, _>>()?),
            count: u32::try_from(count).unwrap_or(1),
        })
    }

    /// What the engine says it is.
    fn description(&self) -> String {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let first = idle.first().map(|worker| worker.description().to_owned());
        first.unwrap_or_default()
    }

    /// Has an idle one do something; there are as many as may ask at once.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Worker) -> Result<T>) -> Result<T> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let mut worker = idle().pop().context("every worker is busy")?;
        let done = work(&mut worker);
        idle().push(worker);
        done
    }

    /// Measures batches of units.
    fn measured(
        &self,
        subject: &Subject,
        tasks: &Tasks<'_>,
        batches: &[Range<u32>],
    ) -> Result<Vec<Distance>> {
        let measure = |batch: &Range<u32>| {
            self.with(|worker| {
                tasks.measure(batch.clone(), &subject.device, |requests, options| {
                    anyhow::Ok(worker.generate(requests, options)?)
                })
            })
        };
        let batches = spread(batches, measure, |_| ());
        let batches: Vec<Vec<Distance>> = batches.into_iter().collect::<Result<_>>()?;
        Ok(batches.into_iter().flatten().collect())
    }
}

/// Calibrates a class with workers.
pub(crate) fn calibrate(subject: &Subject, workers: &Workers, tokens: u64) -> Result<Class> {
    let mut calibration = Calibration::default();
    let tasks = tasks(subject, 0);
    let mut begin = 0;
    while calibration.tokens_count() < tokens {
        let batch = |index: u32| {
            let begin = begin + index * BATCH_UNITS;
            begin..begin + BATCH_UNITS
        };
        let batches: Vec<Range<u32>> = (0..workers.count).map(batch).collect();
        let units = workers.measured(subject, &tasks, &batches)?;
        // Whole batches, and none more than are needed, however many workers there are.
        for batch in units.chunks(BATCH_UNITS as usize) {
            if calibration.tokens_count() < tokens {
                batch.iter().for_each(|unit| calibration.add_unit(unit));
            }
        }
        begin += workers.count * BATCH_UNITS;
    }
    Ok(calibration.class(ClassId::new(1), &workers.description())?)
}

/// Measures honest units of other tasks than the class was calibrated on.
pub(crate) fn honest(
    subject: &Subject,
    class: &Class,
    workers: &Workers,
    units: u32,
) -> Result<Honest> {
    let mut honest = Honest {
        class: class.name.as_str().to_owned(),
        calibration_units: class.units_count,
        calibration_tokens: class.tokens_count,
        units: 0,
        rollouts: 0,
        tokens: 0,
        mismatches: 0,
        false_voids: 0,
        false_slashes: 0,
        toploc_false_voids: 0,
        lifetime_slashes: 0,
        bound_per_million_units: 0.0,
        scores: Scores::default(),
    };
    let tasks = tasks(subject, 1);
    let mut lifetime = Lifetime::default();
    let batches = (0..units).step_by(BATCH_UNITS as usize);
    let batches: Vec<Range<u32>> = batches
        .map(|begin| begin..units.min(begin + BATCH_UNITS))
        .collect();
    for unit in workers.measured(subject, &tasks, &batches)? {
        let Distance {
            margins,
            responses,
            proofs,
            ..
        } = unit;
        honest.scores.add(&margins, &responses);
        honest.units += 1;
        honest.rollouts += responses.len() as u64;
        honest.tokens += margins.tokens_count;
        honest.mismatches += margins.mismatches_count;
        let level = margins.level(class);
        honest.false_voids += u64::from(level >= Level::Void);
        honest.false_slashes += u64::from(level >= Level::Slash);
        let far = proofs.iter().any(|proof| {
            let mantissa = proof.mantissa;
            proof.exponent_mismatches > class.toploc.exponent_mismatches_max
                || mantissa.is_none_or(|distance| {
                    distance.mean_thousandths > class.toploc.mantissa_mean_thousandths_max
                        || distance.median > class.toploc.mantissa_median_max
                })
        });
        honest.toploc_false_voids += u64::from(far);
        lifetime = lifetime.and(margins.evidence_micro(class));
        honest.lifetime_slashes += u64::from(lifetime.level(class) == Level::Slash);
    }
    honest.scores.sort();
    honest.bound_per_million_units = 3e6 / honest.units.max(1) as f64;
    Ok(honest)
}

fn tasks(subject: &Subject, seed: u32) -> Tasks<'_> {
    Tasks {
        recipe: &subject.recipe,
        model: &subject.model,
        checkpoint: subject.checkpoint,
        seed,
    }
}

/// Measures an adversary's units under a class.
pub(crate) fn caught(
    subject: &Subject,
    (class, honest): (&Class, &Honest),
    cheat: Cheat,
    units: u32,
) -> Result<Caught> {
    let mut scores = Scores::default();
    let (mut void_units, mut slashed_units) = (0, 0);
    let (mut void_tokens, mut slash_tokens) = (Vec::new(), Vec::new());
    let (mut lifetime, mut lifetime_tokens, mut tokens_count) = (Lifetime::default(), None, 0);
    for index in 0..units {
        let steps = steps(subject, cheat, index)?;
        let mut so_far = Margins::default();
        let mut first = [None, None];
        for one in &steps {
            so_far.merge(one);
            let level = so_far.level(class);
            for (first, bar) in first.iter_mut().zip([Level::Void, Level::Slash]) {
                if first.is_none() && level >= bar {
                    *first = Some(so_far.tokens_count);
                }
            }
        }
        scores.add(&so_far, &steps);
        void_tokens.extend(first[0]);
        slash_tokens.extend(first[1]);
        void_units += u64::from(so_far.level(class) >= Level::Void);
        slashed_units += u64::from(so_far.level(class) >= Level::Slash);
        tokens_count += so_far.tokens_count;
        lifetime = lifetime.and(so_far.evidence_micro(class));
        if lifetime_tokens.is_none() && lifetime.level(class) == Level::Slash {
            lifetime_tokens = Some(tokens_count);
        }
    }
    let both = |values: &mut Vec<u64>| [0.5, 1.0].map(|share| quantile(values, share));
    Ok(Caught {
        class: class.name.as_str().to_owned(),
        units: u64::from(units),
        void_units,
        slashed_units,
        void_tokens: both(&mut void_tokens),
        slash_tokens: both(&mut slash_tokens),
        lifetime_tokens,
        roc: {
            scores.sort();
            honest.scores.against(&scores)
        },
    })
}

/// The measures of each response of a unit that an adversary sent.
fn steps(subject: &Subject, cheat: Cheat, index: u32) -> Result<Vec<Margins>> {
    let task = subject.task(index);
    let payload = subject.work(&task, Some(cheat))?.payload;
    let temperature = number(subject.recipe.reinforce.temperature);
    let groups = u32::try_from(payload.groups.as_slice().len()).unwrap_or(u32::MAX);
    let prompts = subject.world.prompts(&task, groups);
    let mut responses = Vec::new();
    for ((group, prompt), samples) in (0..).zip(&prompts).zip(payload.groups.as_slice()) {
        for (slot, sample) in (0..).zip(samples.samples.as_slice()) {
            responses.push(Response {
                prompt,
                tokens: sample.tokens.as_slice(),
                seed: task.sample_seed(group, slot),
            });
        }
    }
    let (model, device) = (&subject.model, &subject.device);
    Ok(Margins::of(
        model,
        &responses,
        temperature,
        CLIP_MICRO,
        device,
    )?)
}
