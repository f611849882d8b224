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

mod auditors;
mod baseline;
mod clock;
mod conduct;
mod damage;
mod economy;
mod economy_chain;
mod exact;
#[cfg(test)]
mod gate;
mod gradients;
mod roc;
mod sabotage;
mod say;
mod sortition;
mod spread;
mod statistics;
mod subject;
mod tolerant;
mod tolerant_lives;

use adversaries::{Adversary, Cheat, Target, all};
use anyhow::{Context as _, Result, bail};
use clap::Parser;
use clock::Clock;
use governance::parameters::Name;
use protocol::{class::Class, recipe::Recipe};
use serde::Serialize;
use std::{
    fs,
    path::{Path, PathBuf},
};
use subject::Subject;

/// The devnet's recipe with a shorter second part.
const RECIPE: &str = include_str!("../recipes/report.json");
/// A recipe of pre-training for liars that nobody removes.
const SABOTAGE_RECIPE: &str = include_str!("../recipes/sabotage.json");

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
    /// Gradient units of every adversary, in each form of updates.
    #[arg(long, default_value_t = 3)]
    gradient_units: u32,
    /// Run nothing but gradient units.
    #[arg(long)]
    only_gradients: bool,
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
    /// Lives on the state machine for each share of lies; five times as many for a hundredth.
    #[arg(long, default_value_t = 20)]
    lives: u32,
    /// Shares of units that liars of lives lie about, above 0 and at most 1.
    #[arg(long = "share", default_value = "1,0.1,0.05,0.01", value_delimiter = ',', value_parser = micro)]
    shares: Vec<u32>,
    /// Steps of training with liars, for each adversary.
    #[arg(long, default_value_t = 24)]
    damage_steps: u64,
    /// Runs of so many steps for each, of other chance.
    #[arg(long, default_value_t = 2)]
    damage_seeds: u64,
    /// Steps of pre-training with liars that nobody removes; none leaves them out.
    #[arg(long, default_value_t = 24)]
    sabotage_steps: u64,
    /// Runs of so many steps for each, of other seeds.
    #[arg(long, default_value_t = 1)]
    sabotage_seeds: u8,
    /// Another recipe for them.
    #[arg(long)]
    sabotage_recipe: Option<PathBuf>,
    /// Honest units of each tolerant class, the second control.
    #[arg(long, default_value_t = 100)]
    tolerant_units: u32,
    /// Units that auditors draw themselves for, in each case.
    #[arg(long, default_value_t = 20_000)]
    sortition_units: u64,
    /// Hours instead of minutes: at least 100 units of every adversary, 37 600 honest ones, 100
    /// lives, 48 steps of training.
    #[arg(long)]
    full: bool,
}

/// A share in millionths.
fn micro(text: &str) -> Result<u32> {
    let share: f64 = text.parse().context("a share is a number")?;
    let micro = (share * 1e6).round();
    if !(1.0..=1e6).contains(&micro) {
        bail!("{share} is no share: it is at least 0.000001 and at most 1");
    }
    Ok(micro as u32)
}

impl Arguments {
    fn in_full(mut self) -> Self {
        if self.full {
            self.units = self.units.max(100);
            self.gradient_units = self.gradient_units.max(20);
            self.honest_units = self.honest_units.max(37_600);
            self.tolerant_units = self.tolerant_units.max(37_600);
            self.lives = self.lives.max(100);
            self.damage_steps = self.damage_steps.max(48);
        }
        self
    }
}

#[derive(Debug, Serialize)]
struct Report {
    /// What the parts took.
    sections: Vec<clock::Section>,
    parameters_count: usize,
    honest: exact::Honest,
    tolerant_honest: Vec<tolerant::Honest>,
    classes: Vec<Class>,
    lives: Vec<economy::Lives>,
    tolerant_lives: Vec<tolerant_lives::TolerantLives>,
    gradients: Vec<gradients::Gradients>,
    sabotages: Vec<sabotage::Sabotage>,
    damages: Vec<damage::Damage>,
    auditors: Vec<auditors::Auditors>,
    conducts: Vec<conduct::Conducts>,
    sortition: Vec<sortition::Draws>,
    compute: Compute,
    bots: Vec<Bot>,
}

/// What audits take beside generation once miners are vested: `rate · auditors · (1 + plants) ·
/// cost` (spec/06-sample §5).
#[derive(Debug, Serialize)]
struct Compute {
    /// Processor time of an audit beside that of the unit, measured here.
    cost: f64,
    /// The least rate of audits.
    rate: f64,
    /// Auditors that begin with a unit, of four with equal stakes, drawn here.
    auditors: f64,
    plants: f64,
    share: f64,
}

impl Compute {
    fn of(honest: &exact::Honest, draws: &[sortition::Draws]) -> Self {
        let default = |name: Name| name.bounds().default as f64 / 1e6;
        let cost = honest.audited_s / f64::max(honest.made_s, 1e-9);
        let (rate, plants) = (default(Name::AuditRate), default(Name::PlantRate));
        let auditors = draws.first().map_or(1.0, |draws| draws.auditors_mean);
        let share = rate * auditors * (1.0 + plants) * cost;
        Self {
            cost,
            rate,
            auditors,
            plants,
            share,
        }
    }
}

#[derive(Debug, Serialize)]
struct Bot {
    name: &'static str,
    description: &'static str,
    exact: exact::Caught,
    tolerant: Vec<tolerant::Caught>,
    /// What lying as often earns it, by lives.
    money: Vec<Money>,
}

/// What lives of one kind earn an adversary, in tokens.
#[derive(Debug, Serialize)]
struct Money {
    caution: economy::Caution,
    share_micro: u32,
    income: statistics::Mean,
    gain: statistics::Mean,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse().in_full();
    let mut clock = Clock::default();
    let recipe = recipe(arguments.recipe.as_deref(), RECIPE)?;
    let weights = arguments.weights.as_deref();
    let subject = clock.section("pre-training", || Subject::new(recipe, weights))?;
    if arguments.only_gradients {
        let found = all_gradients(&subject, &arguments, &mut clock)?;
        clock.finish();
        write(arguments.json.as_deref(), &found)?;
        return judge_gradients(&found.0);
    }
    let report = report(&arguments, &subject, clock)?;
    write(arguments.json.as_deref(), &report)?;
    judge(&report)
}

/// All parts of the report.
fn report(arguments: &Arguments, subject: &Subject, mut clock: Clock) -> Result<Report> {
    let (bot, lives_count) = (arguments.bot, arguments.lives);
    let honest = clock.section("honest work", || {
        let honest = exact::honest(subject, arguments.honest_units)?;
        say::honest(&honest);
        Ok(honest)
    })?;
    let (mut classes, mut tolerant_honest) = (Vec::new(), Vec::new());
    let mut drawn = Vec::new();
    for command in &arguments.worker {
        let (class, control, units) = clock.section(&format!("the class of {command}"), || {
            tolerant_class(subject, command, arguments)
        })?;
        tolerant_honest.push(control);
        classes.push(class);
        drawn.push(units);
    }
    let lives = clock.section("lives", || {
        Ok(all_lives(bot, &arguments.shares, lives_count))
    })?;
    let cheats = chosen(bot);
    let bots = clock.section("lies about rollouts", || {
        let judged = Judged {
            honest: &honest,
            classes: &classes,
            tolerant_honest: &tolerant_honest,
            lives: &lives,
            units: arguments.units,
        };
        let work = |cheat: &Cheat| judged.bot(subject, *cheat);
        let bots = spread::spread(&cheats, work, |bot| bot.iter().for_each(say::bot));
        bots.into_iter().collect::<Result<Vec<Bot>>>()
    })?;
    let tolerant_lives = clock.section("lives of tolerant classes", || {
        let classes = classes.iter().zip(&drawn);
        all_tolerant_lives(subject, classes, &bots, arguments)
    })?;
    let (gradients, sabotages) = all_gradients(subject, arguments, &mut clock)?;
    let damages = clock.section("damage", || {
        let extent = (arguments.damage_steps, arguments.damage_seeds);
        let damages = damage::damages(subject, &cheats, extent)?;
        damages.iter().for_each(say::damage);
        Ok(damages)
    })?;
    let auditors = clock.section("auditors", || Ok(all_auditors(bot, lives_count)))?;
    let conducts = clock.section("conduct", || {
        Ok(conduct::conducts(bot, lives_count, say::conduct))
    })?;
    let sortition = clock.section("sortition", || {
        Ok(sortition::draws(arguments.sortition_units, say::draws))
    })?;
    let compute = Compute::of(&honest, &sortition);
    say::compute(&compute);
    Ok(Report {
        sections: clock.finish(),
        parameters_count: subject.model.as_slice().len(),
        lives,
        tolerant_lives,
        gradients,
        sabotages,
        damages,
        auditors,
        conducts,
        sortition,
        compute,
        bots,
        honest,
        tolerant_honest,
        classes,
    })
}

/// A class, calibrated with another engine, and how honest units of it fare that it did not see.
fn tolerant_class(
    subject: &Subject,
    command: &str,
    arguments: &Arguments,
) -> Result<(Class, tolerant::Honest, tolerant_lives::Honest)> {
    let command: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
    let workers = tolerant::Workers::start(&command, subject)?;
    let class = tolerant::calibrate(subject, &workers, arguments.tokens)?;
    let control = tolerant::honest(subject, &class, &workers, arguments.tolerant_units)?;
    say::tolerant(&control);
    let units = tolerant_lives::Honest::new(subject, &class, &workers)?;
    Ok((class, control, units))
}

/// Lives of adversaries of each class, but of those that every lie would have slashed; none in a
/// class that no chain would list, since it was measured on too few tokens.
fn all_tolerant_lives<'a>(
    subject: &Subject,
    classes: impl Iterator<Item = (&'a Class, &'a tolerant_lives::Honest)>,
    bots: &[Bot],
    arguments: &Arguments,
) -> Result<Vec<tolerant_lives::TolerantLives>> {
    let mut all = Vec::new();
    for (class, honest) in classes {
        if let Err(error) = class.check() {
            println!("no lives: {error}");
            continue;
        }
        let pool = |bot: &Bot| {
            let cheat = bot.name.parse::<Cheat>()?;
            let pool = tolerant_lives::Pool::new(subject, (class, honest), cheat, arguments.units)?;
            anyhow::Ok((cheat, bot.exact.saved, pool))
        };
        let pools = spread::spread(bots, pool, |_| ());
        let pools = pools.into_iter().collect::<Result<Vec<_>>>()?;
        let (count, say) = (arguments.lives, say::tolerant_lives);
        all.extend(tolerant_lives::lives(&pools, &arguments.shares, count, say));
    }
    Ok(all)
}

/// What adversaries are held against.
struct Judged<'a> {
    honest: &'a exact::Honest,
    classes: &'a [Class],
    tolerant_honest: &'a [tolerant::Honest],
    lives: &'a [economy::Lives],
    units: u32,
}

impl Judged<'_> {
    fn bot(&self, subject: &Subject, cheat: Cheat) -> Result<Bot> {
        let exact = exact::caught(subject, self.honest, cheat, self.units)?;
        let classes = self.classes.iter().zip(self.tolerant_honest);
        let tolerant = classes.map(|class| tolerant::caught(subject, class, cheat, self.units));
        let money = self.lives.iter().map(|lives| money(lives, exact.saved));
        Ok(Bot {
            name: cheat.adversary().name(),
            description: cheat.adversary().description(),
            money: money.collect(),
            tolerant: tolerant.collect::<Result<_>>()?,
            exact,
        })
    }
}

fn money(lives: &economy::Lives, saved: f64) -> Money {
    let [income, gain] = lives.money(saved);
    Money {
        caution: lives.caution,
        share_micro: lives.share_micro,
        income,
        gain,
    }
}

/// The recipe that was asked for, or the report's own.
fn recipe(path: Option<&Path>, own: &str) -> Result<Recipe> {
    let text = match path {
        Some(path) => {
            fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?
        }
        None => own.to_owned(),
    };
    serde_json::from_str(&text).context("the recipe is none")
}

fn write(path: Option<&Path>, report: &impl Serialize) -> Result<()> {
    let Some(path) = path else {
        return Ok(());
    };
    let text = serde_json::to_vec_pretty(report)?;
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

/// Lives at every share of lies, of liars from the first unit on and of those who wait until
/// not all of their units are audited; none if somebody was asked for who does not lie about them.
fn all_lives(bot: Option<Cheat>, shares_micro: &[u32], count: u32) -> Vec<economy::Lives> {
    if bot.is_some_and(|cheat| !cheat.lies_about(Target::Rollout)) {
        return Vec::new();
    }
    let shares = |caution| shares_micro.iter().map(move |share| (caution, *share));
    let kinds: Vec<_> = economy::Caution::ALL.into_iter().flat_map(shares).collect();
    economy::lives(&kinds, count, say::lives)
}

/// Gradient units in both forms of updates, and what liars that nobody removes do to pre-training.
fn all_gradients(
    subject: &Subject,
    arguments: &Arguments,
    clock: &mut Clock,
) -> Result<(Vec<gradients::Gradients>, Vec<sabotage::Sabotage>)> {
    let (bot, units) = (arguments.bot, arguments.gradient_units);
    let gradients = clock.section("lies about gradients", || {
        gradients::gradients(subject, bot, units, say::gradients)
    })?;
    let is_asked = bot.is_none_or(|cheat| cheat.lies_about(Target::Gradient));
    let extent = (arguments.sabotage_steps, arguments.sabotage_seeds);
    let sabotages = clock.section("sabotage of pre-training", || {
        if !is_asked || arguments.sabotage_steps == 0 {
            return Ok(Vec::new());
        }
        let recipe = recipe(arguments.sabotage_recipe.as_deref(), SABOTAGE_RECIPE)?;
        let sabotages = sabotage::sabotages(&recipe, bot, extent)?;
        sabotages.iter().for_each(say::sabotage);
        Ok(sabotages)
    })?;
    Ok((gradients, sabotages))
}

/// Lives of every dishonest auditor, and of an honest one in its place, unless one adversary was
/// asked for.
fn all_auditors(bot: Option<Cheat>, lives: u32) -> Vec<auditors::Auditors> {
    let is_auditor = |one: &&dyn Adversary| one.targets().contains(&Target::Audit);
    let chosen: Vec<Cheat> = match bot {
        Some(cheat) => vec![cheat],
        None => all().filter(is_auditor).map(Cheat::always).collect(),
    };
    let chosen = chosen.into_iter();
    let chosen: Vec<Cheat> = chosen
        .filter(|cheat| cheat.lies_about(Target::Audit))
        .collect();
    auditors::auditors(&chosen, lives, say::auditors)
}

/// The adversary that was asked for, or all that lie about rollouts.
fn chosen(bot: Option<Cheat>) -> Vec<Cheat> {
    match bot {
        Some(cheat) if cheat.lies_about(Target::Rollout) => vec![cheat],
        Some(_) => Vec::new(),
        None => {
            let liars =
                all().filter(|one: &&dyn Adversary| one.targets().contains(&Target::Rollout));
            liars.map(Cheat::always).collect()
        }
    }
}

/// Fails if a lie was found by nobody, or honest work by somebody.
fn judge_gradients(gradients: &[gradients::Gradients]) -> Result<()> {
    match gradients.iter().find(|one| one.is_failed()) {
        Some(failed) => bail!(
            "{} was missed, or honest and rejected: {failed:?}",
            failed.name
        ),
        None => Ok(()),
    }
}

/// Whether a gain is beyond its interval, by a token at least: sums of prices are rounded.
fn pays(gain: statistics::Mean) -> bool {
    gain.mean >= gain.half + 1.0
}

/// Fails unless every lie was caught and no honest unit was.
fn judge(report: &Report) -> Result<()> {
    if report.honest.false_voids > 0 {
        bail!("{} honest units were rejected", report.honest.false_voids);
    }
    for lives in &report.lives {
        if pays(lives.gain) {
            bail!("lying about {} millionths of units pays", lives.share_micro);
        }
    }
    for one in &report.tolerant_lives {
        let (gain, harmed) = (one.gain(), one.lives.honest_harmed);
        if pays(gain) || harmed > 0 {
            bail!("{} pays in a class, or harms the honest: {one:?}", one.name);
        }
    }
    for auditors in &report.auditors {
        let harmed = auditors.honest_harmed + auditors.honest_fined;
        if pays(auditors.gain) || harmed > 0 {
            bail!("{} pays, or harms the honest: {auditors:?}", auditors.name);
        }
    }
    for conduct in &report.conducts {
        if pays(conduct.gain) || conduct.honest_harmed > 0 {
            bail!("{} pays, or harms the honest: {conduct:?}", conduct.name);
        }
    }
    judge_gradients(&report.gradients)?;
    for bot in &report.bots {
        if bot.exact.caught.count < bot.exact.caught.of {
            bail!("{} was not caught every time", bot.name);
        }
    }
    Ok(())
}
