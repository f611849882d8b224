//! What liars do to the training before they are removed.
//!
//! The run goes on from the subject's model: rollouts, gradients from the accepted ones of the step
//! before, aggregation, evaluation, all by the production code. Two of six miners lie about every
//! rollout unit; each is out with the first lie that is drawn for audit, and with it are its other
//! units of that step. Newcomers are audited always. Vested miners are audited at the rate that
//! their bond and price give, by the production rule: the floor. Every seed deals other prompts and
//! draws other audits, and has an honest run to compare with.
//!
//! Runs go step by step side by side, and those from which the model has learned the same so far
//! are one run: all until their first lies are learned from, and for good those whose lies are not
//! about tokens. Nothing is computed twice.

mod runs;

use crate::{
    statistics::{self, Mean},
    subject::Subject,
};
use adversaries::Cheat;
use anyhow::Result;
use governance::parameters::Name;
use protocol::{Amount, Micro, sample::Deterrence};
use runs::Course;
use serde::Serialize;

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
    let all = runs::all(subject, &scenes, steps)?;
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
