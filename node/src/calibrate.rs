//! `cairn calibrate`: measures how far honest work of another engine differs from the exact one,
//! and writes the class that a genesis may list. Spec: tolerant.md §4.
//!
//! The other engine is a real one, a program of its own that runs the same weights; it is given the
//! tasks that a run would give, and every token it draws is checked as an auditor would.

use anyhow::{Context as _, Result, bail};
use clap::Args;
use engine::{Device, Parameters};
use engine_worker::{TORCH_WORKER, Worker};
use protocol::{
    CheckpointId,
    class::{Class, ClassId, TOKENS_COUNT_MIN},
    recipe::Recipe,
};
use serde::Deserialize;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};
use verifier::tolerant::{calibrate::Calibration, measure::Tasks};

/// What is measured, and how much of it.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The run's recipe: what `cairn query run --json` prints, or the recipe in it.
    #[arg(long)]
    recipe: PathBuf,
    /// A checkpoint of it, as `cairn export` writes one; several, such as an early and a late one,
    /// share the tokens, and the class holds for all of them.
    #[arg(long, required = true)]
    weights: Vec<PathBuf>,
    /// The number of the class; the exact one is 0.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    class: u16,
    /// A name for people [default: what the worker calls itself].
    #[arg(long)]
    name: Option<String>,
    /// Honest tokens to measure.
    #[arg(long, default_value_t = TOKENS_COUNT_MIN)]
    tokens: u64,
    /// The file to write: what `cairn devnet --class` and a genesis take.
    #[arg(long)]
    out: PathBuf,
    /// Threads that check, beside those of the worker.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Write the `PyTorch` worker to this file, where --worker can start it.
    #[arg(long)]
    torch_worker: Option<PathBuf>,
    /// The other engine and its arguments, such as
    /// `python torch_worker.py bfloat16 2`.
    #[arg(long, num_args = 1.., value_delimiter = ' ', required = true)]
    worker: Vec<String>,
}

/// A recipe by itself, or the answer to a query about its run.
#[derive(Deserialize)]
#[serde(untagged)]
enum RecipeFile {
    Run { recipe: Box<Recipe> },
    Recipe(Box<Recipe>),
}

/// Runs the command.
///
/// # Errors
/// Files that cannot be read or written, too few tokens, and a worker that fails.
pub fn run(arguments: &Arguments) -> Result<()> {
    let tokens = arguments.tokens;
    if tokens < TOKENS_COUNT_MIN {
        bail!("a class needs {TOKENS_COUNT_MIN} honest tokens; --tokens is {tokens}");
    }
    if let Some(path) = &arguments.torch_worker {
        fs::write(path, TORCH_WORKER).with_context(|| format!("writing {}", path.display()))?;
    }
    let recipe = match serde_json::from_slice(&read(&arguments.recipe)?) {
        Ok(RecipeFile::Run { recipe } | RecipeFile::Recipe(recipe)) => *recipe,
        Err(_) => bail!("{} holds no recipe", arguments.recipe.display()),
    };
    let load = |path: &PathBuf| {
        Parameters::from_safetensors(&read(path)?)
            .with_context(|| format!("{} is no checkpoint", path.display()))
    };
    let models = arguments.weights.iter().map(load);
    let models = models.collect::<Result<Vec<_>>>()?;
    let first = models.first().context("no weights were given")?;
    let mut worker = Worker::start(&arguments.worker, first)?;
    let name = arguments.name.clone();
    let name = name.unwrap_or_else(|| worker.description().to_owned());
    tracing::info!(engine = worker.description(), tokens, "measuring");
    let class = measure(arguments, (&recipe, &models), &mut worker, &name)?;
    fs::write(&arguments.out, serde_json::to_vec_pretty(&class)?)
        .with_context(|| format!("writing {}", arguments.out.display()))?;
    crate::devnet::screen::print(&describe(&class))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("reading {}", path.display()))
}

fn measure(
    arguments: &Arguments,
    (recipe, models): (&Recipe, &[Parameters]),
    worker: &mut Worker,
    name: &str,
) -> Result<Class> {
    let device = Device::cpu(arguments.threads.max(1));
    let mut calibration = Calibration::default();
    let mut strangers_count = 0;
    let share = arguments.tokens.div_ceil(models.len().max(1) as u64);
    for (seed, model) in (0..).zip(models) {
        worker.load(model)?;
        let tasks = Tasks {
            recipe,
            model,
            checkpoint: CheckpointId::of(&model.to_safetensors()),
            seed,
        };
        let enough = calibration.tokens_count() + share;
        let started = Instant::now();
        let before = calibration.tokens_count();
        for index in 0..u32::MAX {
            // One unit a batch, as its miners will draw.
            let one = index..index.saturating_add(1);
            let units = tasks.measure(one, &device, |requests, options| {
                anyhow::Ok(worker.generate(requests, options)?)
            })?;
            for unit in &units {
                strangers_count += unit.strangers_count;
                calibration.add_unit(unit);
            }
            let (tokens, units) = (calibration.tokens_count(), calibration.units_count());
            if index % 50 == 49 {
                let per_second = u128::from(tokens - before) * 1000 / elapsed_ms(started);
                tracing::info!(tokens, of = arguments.tokens, units, per_second, "measured");
            }
            if tokens >= enough {
                break;
            }
        }
    }
    if strangers_count > 0 {
        bail!("{strangers_count} responses have activations that agree in nothing: not this model");
    }
    tracing::info!(
        units = calibration.units_count(),
        tokens = calibration.tokens_count(),
        "done; beyond what was seen are at most {} units per million, with 95 % confidence",
        calibration.bound_per_million()
    );
    Ok(calibration.class(ClassId::new(arguments.class), name)?)
}

fn elapsed_ms(since: Instant) -> u128 {
    since.elapsed().as_millis().max(1)
}

/// The class in a few lines: its limits, and how often honest work adds to the evidence.
#[must_use]
pub fn describe(class: &Class) -> String {
    let Class {
        id,
        name,
        units_count,
        tokens_count,
        margin_micro,
        cells,
        projections,
        toploc,
        ..
    } = class;
    let mut text = format!(
        "class {id}, {}: {units_count} units, {tokens_count} tokens\n\
         margin       void above {} µnat, slash above {}\n",
        name.as_str(),
        margin_micro.void,
        margin_micro.slash,
    );
    for cell in cells.as_slice() {
        text.push_str(&format!(
            "cell 2^{:<2} tokens, {:.2} nat, {:>6} units: sum {} / {} µnat, mismatches {} / {}\n",
            cell.tokens_log2,
            f64::from(cell.entropy_bin) * 0.25,
            cell.units_count,
            cell.clipped_sum_micro.void,
            cell.clipped_sum_micro.slash,
            cell.mismatches_count.void,
            cell.mismatches_count.slash,
        ));
    }
    text.push_str(&format!(
        "projections  void above {} for any token, {} for all but a twentieth\n\
         TOPLOC       void above {} exponents, mean {} / 1000, median {}",
        projections.largest_max,
        projections.bulk_max,
        toploc.exponent_mismatches_max,
        toploc.mantissa_mean_thousandths_max,
        toploc.mantissa_median_max,
    ));
    text
}
