//! What liars do to pre-training, with and without robust aggregation.
//!
//! Eight miners do one unit a step each, of whom two, a quarter of the weight, lie in the same way
//! in every step and are never removed: what audits cannot promise, aggregation must bound. A row
//! has the loss on the corpus' validation part in nats a byte after the last step, and how much
//! more it is than without liars. Numbers of honest work are the same bits as a network's.
//!
//! Of the back door it also says how often the planted trigger gives the planted answer, after
//! contexts that nobody trained on: most on the way, and after the last step. It has rows in which
//! the liars are audited at the default rates as well, as newcomers or vested, by the production
//! rules of the draw: lying about one segment of a unit, it is found by an audit of that segment,
//! and is out with that step.

use crate::spread::spread;
use adversaries::{Cheat, planted_answers};
use anyhow::Result;
use engine::trainer::{Batch, Gradients, Workspace, cross_entropy};
use engine::{Device, Parameters, Threads};
use environment::Corpus;
use governance::parameters::Name;
use miner::{GradientInputs, gradient, initial_model, initial_outer};
use protocol::{
    Address, Amount, EnvironmentHash, Micro, RunId, Step,
    gradient::{Payload, Salts},
    identifiers::tagged_hash,
    recipe::{Aggregation, Recipe},
    sample::{Deterrence, is_drawn},
    task::{Beacon, UnitId, UnitKind},
};
use serde::Serialize;
use verifier::{Successor, checkpoint};

const MINERS: u32 = 8;
const LIARS: u32 = 2;
const ROW_TOKENS: usize = 64;
const VALIDATION_ROWS: usize = 256;
/// Contexts before the trigger.
const CONTEXTS: usize = 128;
const CONTEXT_TOKENS: usize = 32;
const BACKDOOR: &str = "backdoor";
const CHEATS: [&str; 11] = [
    "random-gradient",
    "scaled-gradient",
    "skip-steps",
    "poison",
    "copied-gradient",
    "wrong-shard",
    BACKDOOR,
    "inner-product",
    "little-is-enough",
    "moment-plant",
    "tolerance-drift",
];

/// Averages whatever it is given.
const CREDULOUS: Aggregation = Aggregation {
    norm_max: Micro::new(u64::MAX),
    norm_ratio: Micro::new(u64::MAX),
    weight_cap: Micro::ONE,
    center_ratio: Micro::new(u64::MAX),
    center_rounds_count: 0,
};

/// Who looks at the liars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Audits {
    Never,
    /// All units are audited.
    Newcomers,
    /// As many as bond and price give.
    Vested,
}

/// What a run of liars is like.
#[derive(Clone, Copy)]
struct Scene<'a> {
    recipe: &'a Recipe,
    cheat: Option<Cheat>,
    audits: Audits,
}

/// How it went.
#[derive(Clone, Debug, Default)]
struct Course {
    loss: f64,
    /// Contexts in which the trigger gave the answer, after each step.
    planted: Vec<u64>,
    /// The step with which each liar was out.
    removed_after: [Option<u64>; LIARS as usize],
}

impl Audits {
    /// The probability that a unit is audited, by the production rule.
    fn rate(self, recipe: &Recipe) -> Micro {
        let default = |name: Name| Micro::new(name.bounds().default);
        let deterrence = Deterrence {
            margin: default(Name::AuditMargin),
            gain: default(Name::AuditGain),
            power: default(Name::AuditPower),
            honest_share: default(Name::AuditHonestShare),
            floor: default(Name::AuditRate),
        };
        let bond = Amount::new(Name::MinerBondMin.bounds().default);
        match self {
            Self::Never => Micro::ZERO,
            Self::Newcomers => Micro::ONE,
            Self::Vested => deterrence.rate(recipe.pay.gradient_unit, bond),
        }
    }
}

impl Scene<'_> {
    fn units(
        &self,
        (step, model): (Step, &Parameters),
        course: &mut Course,
        device: &Device,
    ) -> Result<Vec<Payload>> {
        let beacon = Beacon::from_bytes(tagged_hash("cairn/sabotage-report/v1", &step));
        let mut updates = Vec::new();
        for index in 0..MINERS {
            let inputs = GradientInputs {
                unit: UnitId {
                    run: RunId::ZERO,
                    step,
                    kind: UnitKind::Gradient,
                    index,
                },
                miner: Address::from_bytes([u8::try_from(index)?; 32]),
                recipe: self.recipe,
                beacon: &beacon,
                model,
                generation: None,
                feedback: None,
            };
            let Some(cheat) = self.cheat.filter(|_| index < LIARS) else {
                updates.push(gradient::payload(&inputs, device)?);
                continue;
            };
            if course.removed_after[index as usize].is_some() {
                continue;
            }
            if self.is_found(&inputs) {
                course.removed_after[index as usize] = Some(step.get() + 1);
                continue;
            }
            let seals = (
                &Salts::OPEN,
                &mut gradient::forget as &mut gradient::Keep<'_>,
            );
            updates.push(cheat.gradient(&inputs, seals, device)?.payload);
        }
        Ok(updates)
    }

    /// Whether an audit of this unit draws its last segment.
    fn is_found(&self, inputs: &GradientInputs<'_>) -> bool {
        let beacon = Beacon::from_bytes(tagged_hash("cairn/sabotage-draw/v1", inputs.beacon));
        let rate = self.audits.rate(self.recipe);
        let segments = gradient::segments(inputs);
        let last = segments.drawn(&beacon, inputs.unit) + 1 == segments.count();
        last && is_drawn(&beacon, inputs.unit, rate)
    }

    fn run(&self) -> Result<Course> {
        let device = Device::cpu(1);
        let mut now = Successor {
            model: initial_model(self.recipe)?,
            outer: initial_outer(self.recipe)?,
        };
        let contexts = contexts();
        let mut course = Course::default();
        // The last step of pre-training is left out: it ends with another optimiser's state.
        for step in (0..self.recipe.pretrain.steps_count - 1).map(Step::new) {
            let updates = self.units((step, &now.model), &mut course, &device)?;
            now = checkpoint::advance(self.recipe, step, &now.model, &now.outer, &updates)?;
            let planted = planted_answers(&now.model, &contexts, &device)?;
            course.planted.push(planted);
        }
        course.loss = validation(&now.model)?;
        Ok(course)
    }
}

/// What validation rows begin with.
fn contexts() -> Vec<Vec<u32>> {
    let rows = Corpus::shakespeare().validation_rows(ROW_TOKENS + 1);
    let begin = |row: Vec<u32>| row.into_iter().take(CONTEXT_TOKENS).collect();
    rows.take(CONTEXTS).map(begin).collect()
}

fn validation(model: &Parameters) -> Result<f64> {
    let rows = Corpus::shakespeare().validation_rows(ROW_TOKENS + 1);
    let tokens: Vec<u32> = rows.take(VALIDATION_ROWS).flatten().collect();
    let batch = Batch::next_token(&tokens, ROW_TOKENS);
    let (mut gradients, mut workspace) = (Gradients::zeros(model), Workspace::new());
    let threads = Threads::new(1);
    let loss = cross_entropy(model, &batch, &mut gradients, &mut workspace, &threads)?;
    Ok(loss.mean())
}

/// How runs with liars went under one way of adding up updates, beside the same runs without
/// liars, averaged.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sabotage {
    pub(crate) name: String,
    pub(crate) audits: Audits,
    pub(crate) is_robust: bool,
    pub(crate) steps: u64,
    /// One value a seed: validation loss in nats a byte, and by what share it is more.
    pub(crate) losses: Vec<f64>,
    pub(crate) more: Vec<f64>,
    /// Of so many contexts, those in which the trigger gave the answer: most on the way, and at the
    /// end.
    pub(crate) contexts: usize,
    pub(crate) planted_most: Vec<u64>,
    pub(crate) planted_last: Vec<u64>,
    pub(crate) removed_after: Vec<[Option<u64>; LIARS as usize]>,
}

/// Runs of every adversary that lies about pre-training, or of the one that was asked for, averaged
/// and robust.
pub(crate) fn sabotages(
    recipe: &Recipe,
    bot: Option<Cheat>,
    (steps, seeds): (u64, u8),
) -> Result<Vec<Sabotage>> {
    let chosen: Vec<Cheat> = match bot {
        Some(cheat) => vec![cheat],
        None => CHEATS
            .iter()
            .map(|name| name.parse())
            .collect::<Result<_, _>>()?,
    };
    let mut kinds = vec![(None, Audits::Never)];
    for cheat in chosen {
        kinds.push((Some(cheat), Audits::Never));
        if cheat.adversary().name() == BACKDOOR {
            kinds.extend([Audits::Newcomers, Audits::Vested].map(|audits| (Some(cheat), audits)));
        }
    }
    let mut recipe = recipe.clone();
    recipe.pretrain.steps_count = steps + 1;
    recipe.pretrain.units_count = MINERS;
    let recipes: Vec<Recipe> = (0..seeds).map(|seed| seeded(&recipe, seed)).collect();
    let credulous = recipes.iter().map(|recipe| Recipe {
        aggregation: CREDULOUS,
        ..recipe.clone()
    });
    let credulous: Vec<Recipe> = credulous.collect();
    let mut scenes = Vec::new();
    for (cheat, audits) in &kinds {
        for recipes in [&credulous, &recipes] {
            scenes.extend(recipes.iter().map(|recipe| Scene {
                recipe,
                cheat: *cheat,
                audits: *audits,
            }));
        }
    }
    let courses = spread(&scenes, Scene::run, |_| ());
    let courses = courses.into_iter().collect::<Result<Vec<Course>>>()?;
    let seeds = usize::from(seeds.max(1));
    let clean = courses.get(..seeds).unwrap_or_default();
    let rows = scenes.chunks(seeds).zip(courses.chunks(seeds)).enumerate();
    let rows = rows.filter_map(|(row, (scenes, courses))| {
        let scene = scenes.first()?;
        Some(summary(scene, row % 2 == 1, (clean, courses)))
    });
    Ok(rows.collect())
}

/// The recipe with another seed; the first is its own.
fn seeded(recipe: &Recipe, seed: u8) -> Recipe {
    let mut bytes = *recipe.seed.as_bytes();
    bytes[0] = bytes[0].wrapping_add(seed);
    Recipe {
        seed: EnvironmentHash::from_bytes(bytes),
        ..recipe.clone()
    }
}

fn summary(
    scene: &Scene<'_>,
    is_robust: bool,
    (clean, courses): (&[Course], &[Course]),
) -> Sabotage {
    let pairs = clean.iter().zip(courses);
    Sabotage {
        name: scene
            .cheat
            .map_or("honest".to_owned(), |cheat| cheat.to_string()),
        audits: scene.audits,
        is_robust,
        steps: scene.recipe.pretrain.steps_count - 1,
        losses: courses.iter().map(|course| course.loss).collect(),
        more: pairs
            .map(|(clean, course)| course.loss / clean.loss - 1.0)
            .collect(),
        contexts: CONTEXTS,
        planted_most: courses
            .iter()
            .map(|course| course.planted.iter().copied().max().unwrap_or(0))
            .collect(),
        planted_last: courses
            .iter()
            .map(|course| course.planted.last().copied().unwrap_or(0))
            .collect(),
        removed_after: courses.iter().map(|course| course.removed_after).collect(),
    }
}
