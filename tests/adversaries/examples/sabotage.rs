//! What liars that are never caught do to pre-training, with and without robust aggregation.
//!
//! Run with `cargo run --release -p adversaries --example sabotage -- RECIPE.json STEPS [NAMES]`,
//! names divided by commas, of all adversaries without them. Eight
//! miners do one unit a step each, of whom two, a quarter of the weight, lie in the same way in
//! every step and are never removed: what audits cannot promise, aggregation must bound. The table
//! shows the loss on the corpus' validation part in nats a byte after the last step, and how much
//! more it is than without liars. Numbers of honest work are the same bits as a network's.
#![expect(clippy::print_stdout, reason = "a table is what this program is for")]

use adversaries::Cheat;
use engine::trainer::{Batch, Gradients, Workspace, cross_entropy};
use engine::{Device, Parameters, Threads};
use environment::Corpus;
use miner::{GradientInputs, gradient, initial_model, initial_outer, parallel};
use protocol::{
    Address, Micro, RunId, Step,
    gradient::{Payload, Salts},
    identifiers::tagged_hash,
    recipe::{Aggregation, Recipe},
    task::{Beacon, UnitId, UnitKind},
};
use std::error::Error;
use verifier::{Successor, checkpoint};

type Failure = Box<dyn Error + Send + Sync>;

const MINERS: u32 = 8;
const LIARS: u32 = 2;
const ROW_TOKENS: usize = 64;
const VALIDATION_ROWS: usize = 256;
const CHEATS: [&str; 11] = [
    "random-gradient",
    "scaled-gradient",
    "skip-steps",
    "poison",
    "copied-gradient",
    "wrong-shard",
    "backdoor",
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

fn units(
    recipe: &Recipe,
    (step, model): (Step, &Parameters),
    cheat: Option<Cheat>,
    device: &Device,
) -> Result<Vec<Payload>, Failure> {
    let beacon = Beacon::from_bytes(tagged_hash("cairn/sabotage-report/v1", &step));
    let unit = |index: u32| -> Result<Payload, Failure> {
        let inputs = GradientInputs {
            unit: UnitId {
                run: RunId::ZERO,
                step,
                kind: UnitKind::Gradient,
                index,
            },
            miner: Address::from_bytes([u8::try_from(index)?; 32]),
            recipe,
            beacon: &beacon,
            model,
            generation: None,
            feedback: None,
        };
        Ok(match cheat.filter(|_| index < LIARS) {
            Some(cheat) => {
                let seals = (
                    &Salts::OPEN,
                    &mut gradient::forget as &mut gradient::Keep<'_>,
                );
                cheat.gradient(&inputs, seals, device)?.payload
            }
            None => gradient::payload(&inputs, device)?,
        })
    };
    (0..MINERS).map(unit).collect()
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

fn run(recipe: &Recipe, cheat: Option<Cheat>) -> Result<f64, Failure> {
    let device = Device::cpu(1);
    let mut now = Successor {
        model: initial_model(recipe)?,
        outer: initial_outer(recipe)?,
    };
    // The last step of pre-training is left out: it ends with another optimiser's state.
    for step in (0..recipe.pretrain.steps_count - 1).map(Step::new) {
        let updates = units(recipe, (step, &now.model), cheat, &device)?;
        now = checkpoint::advance(recipe, step, &now.model, &now.outer, &updates)?;
    }
    validation(&now.model)
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
    let mut work = vec![(&credulous, None), (&recipe, None)];
    for cheat in cheats {
        work.extend([(&credulous, cheat), (&recipe, cheat)]);
    }
    let threads = Threads::new(std::thread::available_parallelism()?.get());
    let found = parallel::map(&work, &threads, |(recipe, cheat)| run(recipe, *cheat));
    let losses = found.into_iter().collect::<Result<Vec<f64>, _>>()?;
    println!("| two of eight miners | mean | more | robust | more |\n|---|---|---|---|---|");
    let clean = losses.first().copied().unwrap_or(f64::NAN);
    for (losses, work) in losses.chunks(2).zip(work.chunks(2)) {
        let name = work.first().and_then(|(_, cheat)| *cheat);
        let name = name.map_or("honest".to_owned(), |cheat| cheat.to_string());
        let cells = losses.iter().map(|loss| {
            let more = 100.0 * (loss / clean - 1.0);
            format!("{loss:.4} | {more:+.2} %")
        });
        println!("| {name} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    Ok(())
}
