//! `adversaries`: runs every dishonest miner before the production verifier and reports how it
//! fares, beside the honest and beside what others would have seen.
//!
//! ```text
//! cargo run --release --bin adversaries -- --json report.json
//! cargo run --release --bin adversaries -- --bot draft-prefill --units 100
//! ```
//!
//! By default it trains the devnet's model on the spot (pre-training only) and judges the exact
//! class. With `--worker` it also calibrates a tolerant class with that engine, measures honest
//! units of it that the calibration did not see, and every adversary under its limits.
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a report of measurements"
)]

mod baseline;
mod economy;
mod economy_chain;
mod exact;
mod statistics;
mod subject;
mod tolerant;

use adversaries::{Adversary, Cheat, Target, all};
use anyhow::{Context as _, Result, bail};
use clap::Parser;
use engine_worker::Worker;
use protocol::{class::Class, recipe::Recipe};
use serde::Serialize;
use std::{fs, path::PathBuf};
use subject::Subject;

/// The devnet's recipe with a shorter second part.
const RECIPE: &str = include_str!("../recipes/report.json");

#[derive(Debug, Parser)]
#[command(about = "Runs every dishonest miner before the production verifier.")]
struct Arguments {
    /// Write the report to this file as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Run this adversary only.
    #[arg(long)]
    bot: Option<Cheat>,
    /// Units of every adversary.
    #[arg(long, default_value_t = 20)]
    units: u32,
    /// Honest units, the first control.
    #[arg(long, default_value_t = 100)]
    honest_units: u32,
    /// Another recipe.
    #[arg(long)]
    recipe: Option<PathBuf>,
    /// Weights to use instead of those that pre-training gives.
    #[arg(long)]
    weights: Option<PathBuf>,
    /// Another engine and its arguments, to calibrate a tolerant class with; may be repeated.
    #[arg(long)]
    worker: Vec<String>,
    /// Honest tokens to calibrate each class on.
    #[arg(long, default_value_t = protocol::class::TOKENS_COUNT_MIN)]
    tokens: u64,
    /// Lives on the state machine for each share of lies.
    #[arg(long, default_value_t = 20)]
    lives: u32,
    /// Honest units of each tolerant class, the second control.
    #[arg(long, default_value_t = 100)]
    tolerant_units: u32,
}

#[derive(Debug, Serialize)]
struct Report {
    parameters_count: usize,
    honest: exact::Honest,
    tolerant_honest: Vec<tolerant::Honest>,
    classes: Vec<Class>,
    lives: Vec<economy::Lives>,
    bots: Vec<Bot>,
}

#[derive(Debug, Serialize)]
struct Bot {
    name: &'static str,
    description: &'static str,
    exact: exact::Caught,
    tolerant: Vec<tolerant::Caught>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let text = match &arguments.recipe {
        Some(path) => {
            fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?
        }
        None => RECIPE.to_owned(),
    };
    let recipe: Recipe = serde_json::from_str(&text).context("the recipe is none")?;
    let subject = Subject::new(recipe, arguments.weights.as_deref())?;
    let honest = exact::honest(&subject, arguments.honest_units)?;
    say_honest(&honest);
    let (mut classes, mut tolerant_honest) = (Vec::new(), Vec::new());
    for command in &arguments.worker {
        let command: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        let mut worker = Worker::start(&command, &subject.model)?;
        let class = tolerant::calibrate(&subject, &mut worker, arguments.tokens)?;
        let control = tolerant::honest(&subject, &class, &mut worker, arguments.tolerant_units)?;
        say_tolerant(&control);
        tolerant_honest.push(control);
        classes.push(class);
    }
    let bots = chosen(arguments.bot)?.into_iter().map(|cheat| {
        let exact = exact::caught(&subject, &honest, cheat, arguments.units)?;
        let tolerant = classes
            .iter()
            .map(|class| tolerant::caught(&subject, class, cheat, arguments.units));
        let bot = Bot {
            name: cheat.adversary().name(),
            description: cheat.adversary().description(),
            exact,
            tolerant: tolerant.collect::<Result<_>>()?,
        };
        say_bot(&bot);
        Ok(bot)
    });
    let bots: Vec<Bot> = bots.collect::<Result<_>>()?;
    let lives = [1_000_000, 100_000, 50_000, 10_000].map(|share_micro| {
        let lives = economy::lives(share_micro, arguments.lives);
        say_lives(&lives);
        lives
    });
    let report = Report {
        parameters_count: subject.model.as_slice().len(),
        lives: lives.to_vec(),
        bots,
        honest,
        tolerant_honest,
        classes,
    };
    if let Some(path) = &arguments.json {
        fs::write(path, serde_json::to_vec_pretty(&report)?)
            .with_context(|| format!("writing {}", path.display()))?;
    }
    judge(&report)
}

fn say_lives(lives: &economy::Lives) {
    println!(
        "lying about {:.2} of rollout units: {}/{} lives slashed (predicted {:.3}); audits until \
         caught {:?}, units {:?} (median, p99); {} lies used; profit {} on average, {} at best \
         (honest {}); {} honest units harmed",
        f64::from(lives.share_micro) / 1e6,
        lives.slashed.count,
        lives.slashed.of,
        lives.predicted,
        lives.audits,
        lives.units,
        lives.lies_used,
        lives.profit_mean,
        lives.profit_best,
        lives.honest_profit_mean,
        lives.honest_harmed
    );
}

/// The adversary that was asked for, or all that lie about rollouts.
fn chosen(bot: Option<Cheat>) -> Result<Vec<Cheat>> {
    match bot {
        Some(cheat) if cheat.lies_about(Target::Rollout) => Ok(vec![cheat]),
        Some(cheat) => bail!("{cheat} does not lie about rollouts"),
        None => {
            let liars =
                all().filter(|one: &&dyn Adversary| one.targets().contains(&Target::Rollout));
            Ok(liars.map(Cheat::always).collect())
        }
    }
}

/// Fails unless every lie was caught and no honest unit was.
fn judge(report: &Report) -> Result<()> {
    if report.honest.false_voids > 0 {
        bail!("{} honest units were rejected", report.honest.false_voids);
    }
    for bot in &report.bots {
        if bot.exact.caught.count < bot.exact.caught.of {
            bail!("{} was not caught every time", bot.name);
        }
    }
    Ok(())
}

fn say_honest(honest: &exact::Honest) {
    println!(
        "honest, exact: {} rollouts ({} units, {} tokens), {} false voids: at most {:.1} per \
         million rollouts with 95 % confidence",
        honest.rollouts,
        honest.units,
        honest.tokens,
        honest.false_voids,
        honest.bound_per_million_rollouts
    );
}

fn say_tolerant(honest: &tolerant::Honest) {
    println!(
        "honest, {}: calibrated on {} tokens ({} units); of {} other rollouts ({} units, {} \
         tokens, {} mismatches) {} units void, {} void by TOPLOC, {} slashed, {} by the lifetime",
        honest.class,
        honest.calibration_tokens,
        honest.calibration_units,
        honest.rollouts,
        honest.units,
        honest.tokens,
        honest.mismatches,
        honest.false_voids,
        honest.toploc_false_voids,
        honest.false_slashes,
        honest.lifetime_slashes
    );
}

fn say_bot(bot: &Bot) {
    let exact::Caught {
        caught,
        without_effect,
        reasons,
        toploc_alone,
        loss_alone,
    } = &bot.exact;
    println!(
        "{:18} {:>3}/{:<3} caught [{:.3}, {:.3}] by {reasons:?}; {without_effect} without effect; \
         TOPLOC alone {:.2}, loss alone {:.2}",
        bot.name,
        caught.count,
        caught.of,
        caught.low,
        caught.high,
        toploc_alone.rate(),
        loss_alone.rate()
    );
    for one in &bot.tolerant {
        println!(
            "{:18} {}: {} of {} units void, {} slashed; tokens to void {:?}, to slash {:?}, by the \
             lifetime {:?}",
            "",
            one.class,
            one.void_units,
            one.units,
            one.slashed_units,
            one.void_tokens,
            one.slash_tokens,
            one.lifetime_tokens
        );
    }
}
