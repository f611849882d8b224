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
use std::{fs, path::PathBuf};
use verifier::tolerant::{calibrate::Calibration, measure::Tasks};

/// What is measured, and how much of it.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The run's recipe, as `cairn query run --json` shows one.
    #[arg(long)]
    recipe: PathBuf,
    /// A checkpoint of it, as `cairn export` writes one.
    #[arg(long)]
    weights: PathBuf,
    /// The number of the class; the exact one is 0.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    class: u16,
    /// A name for people [default: what the worker calls itself].
    #[arg(long)]
    name: Option<String>,
    /// Honest tokens to measure.
    #[arg(long, default_value_t = TOKENS_COUNT_MIN)]
    tokens: u64,
    /// The file to write.
    #[arg(long)]
    out: PathBuf,
    /// Write the `PyTorch` worker to this file, where --worker can start it.
    #[arg(long)]
    torch_worker: Option<PathBuf>,
    /// The other engine and its arguments, such as
    /// `python torch_worker.py bfloat16 2`.
    #[arg(long, num_args = 1.., value_delimiter = ' ', required = true)]
    worker: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// Files that cannot be read or written, and a worker that fails.
pub fn run(arguments: &Arguments) -> Result<()> {
    if let Some(path) = &arguments.torch_worker {
        fs::write(path, TORCH_WORKER).with_context(|| format!("writing {}", path.display()))?;
    }
    let read =
        |path: &PathBuf| fs::read(path).with_context(|| format!("reading {}", path.display()));
    let recipe: Recipe = serde_json::from_slice(&read(&arguments.recipe)?)
        .with_context(|| format!("{} is no recipe", arguments.recipe.display()))?;
    let model = Parameters::from_safetensors(&read(&arguments.weights)?)
        .with_context(|| format!("{} is no checkpoint", arguments.weights.display()))?;
    let mut worker = Worker::start(&arguments.worker, &model)?;
    let name = arguments.name.clone();
    let name = name.unwrap_or_else(|| worker.description().to_owned());
    tracing::info!(engine = worker.description(), "measuring");
    let class = measure(arguments, (&recipe, &model), &mut worker, &name)?;
    fs::write(&arguments.out, serde_json::to_vec_pretty(&class)?)
        .with_context(|| format!("writing {}", arguments.out.display()))
}

fn measure(
    arguments: &Arguments,
    (recipe, model): (&Recipe, &Parameters),
    worker: &mut Worker,
    name: &str,
) -> Result<Class> {
    let tasks = Tasks {
        recipe,
        model,
        checkpoint: CheckpointId::of(&model.to_safetensors()),
        seed: 0,
    };
    let device = Device::cpu(1);
    let mut calibration = Calibration::default();
    let mut strangers_count = 0;
    for index in 0..u32::MAX {
        let unit = tasks.measure(index, &device, |requests, options| {
            anyhow::Ok(worker.generate(requests, options)?)
        })?;
        strangers_count += unit.strangers_count;
        calibration.add_unit(&unit);
        if index % 50 == 49 {
            let (tokens, units) = (calibration.tokens_count(), calibration.units_count());
            tracing::info!(tokens, units, "measured");
        }
        if calibration.tokens_count() >= arguments.tokens {
            break;
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
