//! What liars do to pre-training, with and without robust aggregation.
//!
//! Run with `cargo run --release -p adversaries --example sabotage -- RECIPE.json STEPS [NAMES]`,
//! names divided by commas, of all adversaries without them. Eight
//! miners do one unit a step each, of whom two, a quarter of the weight, lie in the same way in
//! every step and are never removed: what audits cannot promise, aggregation must bound. The table
//! shows the loss on the corpus' validation part in nats a byte after the last step, and how much
//! more it is than without liars. Numbers of honest work are the same bits as a network's.
//!
//! Of the back door a second table says how often the planted trigger gives the planted answer,
//! after contexts that nobody trained on: most on the way, and after the last step. There the liars
//! are never removed, or audited at the default rates, as newcomers or vested, by the production
//! rules of the draw; who is found in the segment that it lies in is out with the step. Lying
//! about one segment of a unit, it is found by an audit of that segment.
#![expect(clippy::print_stdout, reason = "a table is what this program is for")]

use adversaries::{Cheat, planted_answers};
use engine::trainer::{Batch, Gradients, Workspace, cross_entropy};
use engine::{Device, Parameters, Threads};
use environment::Corpus;
use governance::parameters::Name;
use miner::{GradientInputs, gradient, initial_model, initial_outer, parallel};
use protocol::{
    Address, Amount, Micro, RunId, Step,
    gradient::{Payload, Salts},
    identifiers::tagged_hash,
    recipe::{Aggregation, Recipe},
    sample::{Deterrence, is_drawn},
    task::{Beacon, UnitId, UnitKind},
};
use std::error::Error;
use verifier::{Successor, checkpoint};

type Failure = Box<dyn Error + Send + Sync>;

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
#[derive(Clone, Copy, Debug, PartialEq)]
enum Audits {
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
    ) -> Result<Vec<Payload>, Failure> {
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

    fn run(&self) -> Result<Course, Failure> {
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

fn validation(model: &Parameters) -> Result<f64, Failure> {
    let rows = Corpus::shakespeare().validation_rows(ROW_TOKENS + 1);
    let tokens: Vec<u32> = rows.take(VALIDATION_ROWS).flatten().collect();
    let batch = Batch::next_token(&tokens, ROW_TOKENS);
    let (mut gradients, mut workspace) = (Gradients::zeros(model), Workspace::new());
    let threads = Threads::new(1);
    let loss = cross_entropy(model, &batch, &mut gradients, &mut workspace, &threads)?;
    Ok(loss.mean())
}

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("a recipe is needed")?;
    let steps: u64 = arguments.next().map_or(Ok(20), |text| text.parse())?;
    let mut recipe: Recipe = serde_json::from_slice(&std::fs::read(path)?)?;
    recipe.pretrain.steps_count = steps + 1;
    recipe.pretrain.units_count = MINERS;
    let credulous = Recipe {
        aggregation: CREDULOUS,
        ..recipe.clone()
    };
    let names = arguments.next().unwrap_or_else(|| CHEATS.join(","));
    let cheats = names.split(',').map(|name| name.parse::<Cheat>().map(Some));
    let cheats = cheats.collect::<Result<Vec<_>, _>>()?;
    let mut work = Vec::new();
    let mut add = |cheat, audits| {
        work.extend([&credulous, &recipe].map(|recipe| Scene {
            recipe,
            cheat,
            audits,
        }));
    };
    add(None, Audits::Never);
    for cheat in cheats {
        add(cheat, Audits::Never);
        if cheat.is_some_and(|cheat| cheat.adversary().name() == BACKDOOR) {
            add(cheat, Audits::Newcomers);
            add(cheat, Audits::Vested);
        }
    }
    let threads = Threads::new(std::thread::available_parallelism()?.get());
    let found = parallel::map(&work, &threads, Scene::run);
    let courses = found.into_iter().collect::<Result<Vec<Course>, _>>()?;
    let pairs: Vec<(&Scene<'_>, &[Course])> =
        work.iter().step_by(2).zip(courses.chunks(2)).collect();
    let clean = courses.first().map_or(f64::NAN, |course| course.loss);
    losses(&pairs, clean);
    planted(&pairs, clean);
    Ok(())
}

fn name(scene: &Scene<'_>) -> String {
    let cheat = scene.cheat;
    cheat.map_or("honest".to_owned(), |cheat| cheat.to_string())
}

fn losses(pairs: &[(&Scene<'_>, &[Course])], clean: f64) {
    println!("| two of eight miners | mean | more | robust | more |\n|---|---|---|---|---|");
    let shown = pairs
        .iter()
        .filter(|(scene, _)| scene.audits == Audits::Never);
    for (scene, courses) in shown {
        let cells = courses.iter().map(|course| {
            let more = 100.0 * (course.loss / clean - 1.0);
            format!("{:.4} | {more:+.2} %", course.loss)
        });
        println!(
            "| {} | {} |",
            name(scene),
            cells.collect::<Vec<_>>().join(" | ")
        );
    }
}

fn planted(pairs: &[(&Scene<'_>, &[Course])], clean: f64) {
    println!(
        "\nOf {CONTEXTS} contexts, in how many the trigger gives the answer.\n\n\
         | two of eight miners | audits | aggregation | most | at the end | removed after | more \
         loss |\n|---|---|---|---|---|---|---|"
    );
    let shown = pairs.iter().filter(|(scene, _)| {
        let cheat = scene.cheat.map(|cheat| cheat.adversary().name());
        cheat.is_none_or(|name| name == BACKDOOR)
    });
    for (scene, courses) in shown {
        for (course, aggregation) in courses.iter().zip(["mean", "robust"]) {
            println!(
                "| {} | {:?} | {aggregation} | {} | {} | {:?} | {:+.2} % |",
                name(scene),
                scene.audits,
                course.planted.iter().max().unwrap_or(&0),
                course.planted.last().unwrap_or(&0),
                course.removed_after,
                100.0 * (course.loss / clean - 1.0)
            );
        }
    }
}
