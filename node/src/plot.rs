//! `cairn plot`: how runs went, as a picture.
//!
//! A source is a node's address or the folder of a devnet or validator, with a name before it if
//! its own is too long: `undisturbed=http://127.0.0.1:8420`. Several sources are drawn over one
//! another, by step or by the tokens that the model had learned from.

mod draw;

use crate::{
    export::validator_home,
    home::write_atomically,
    replay::{self, Validation},
    rpc::{
        client::Client,
        curves::{Curves, curves},
    },
    validator::open_offline,
};
use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use draw::{Line, Panel};
use protocol::RunId;
use std::path::{Path, PathBuf};

/// What to draw.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Nodes or folders, each as SOURCE or NAME=SOURCE.
    #[arg(default_value = "http://127.0.0.1:8420")]
    sources: Vec<String>,
    /// The run's number.
    #[arg(long, default_value = "0")]
    run: RunId,
    /// What goes to the right.
    #[arg(long, value_enum, default_value = "step")]
    by: By,
    /// Derive every checkpoint again, of folders only, and draw its loss on this many rows of the
    /// corpus' validation part.
    #[arg(long)]
    validation_rows: Option<usize>,
    /// The picture to write, an SVG file.
    #[arg(long, default_value = "curves.svg")]
    out: PathBuf,
}

/// What goes to the right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// Steps of the run.
    Step,
    /// Tokens of accepted gradient units.
    Tokens,
}

/// Draws the curves.
///
/// # Errors
/// When a source cannot be read or has no closed step, or the file cannot be written.
pub async fn run(arguments: Arguments) -> Result<()> {
    let Arguments {
        sources,
        run,
        by,
        validation_rows,
        out,
    } = arguments;
    if out.extension().is_none_or(|extension| extension != "svg") {
        bail!(
            "{} does not end in .svg, which is what is written",
            out.display()
        );
    }
    let (mut named, mut validated) = (Vec::new(), Vec::new());
    for source in &sources {
        let (name, source) = source.split_once('=').unwrap_or((source, source));
        let curves = read(source, run).await?;
        if curves.points.is_empty() {
            bail!("{name} has no closed step of run {run} yet");
        }
        if let Some(rows_count) = validation_rows {
            let points = validation(source, run, rows_count)?;
            validated.push(validation_line(name, &points, by));
        }
        named.push((name.to_owned(), curves));
    }
    let mut panels = panels(&named, by);
    if !validated.is_empty() {
        panels.insert(
            0,
            Panel {
                title: "validation loss, nats a token",
                lines: validated,
            },
        );
    }
    write_atomically(&out, draw::picture(&panels, by)?.as_bytes())?;
    let steps = named.iter().map(|(_, curves)| curves.points.len()).max();
    crate::devnet::screen::print(&format!(
        "{}: {} sources, {} panels, {} steps",
        out.display(),
        named.len(),
        panels.len(),
        steps.unwrap_or(0)
    ))
}

fn is_node(source: &str) -> bool {
    source.starts_with("http://") || source.starts_with("https://")
}

fn validation(source: &str, run: RunId, rows_count: usize) -> Result<Vec<Validation>> {
    if is_node(source) {
        bail!("{source} is a node; checkpoints are derived again from a folder");
    }
    replay::validation(Path::new(source), run, rows_count)
}

async fn read(source: &str, run: RunId) -> Result<Curves> {
    if is_node(source) {
        let client = Client::new(vec![source.to_owned()]);
        return Ok(client.get(&format!("/v1/curves/{run}")).await?);
    }
    let home = validator_home(Path::new(source))?;
    let (_, _, chain) = open_offline(&home)?;
    let curves = chain.view(|view| curves(view, run));
    curves.with_context(|| format!("{source} has no run {run}"))
}

/// One panel for each curve that some source has.
fn panels(sources: &[(String, Curves)], by: By) -> Vec<Panel> {
    let titles = [
        "training loss, nats a token",
        "mean reward of rollouts",
        "held-out prompts answered exactly",
    ];
    let panels = titles.into_iter().enumerate().map(|(index, title)| Panel {
        title,
        lines: sources
            .iter()
            .map(|(name, curves)| line(name, curves, index, by))
            .filter(|line| !line.points.is_empty())
            .collect(),
    });
    panels.filter(|panel| !panel.lines.is_empty()).collect()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts far below 2^53, for a picture"
)]
fn validation_line(name: &str, points: &[Validation], by: By) -> Line {
    let points = points.iter().map(|point| {
        let x = match by {
            By::Step => point.step.get() as f64,
            By::Tokens => point.tokens_count as f64,
        };
        (x, point.loss)
    });
    Line {
        name: name.to_owned(),
        points: points.collect(),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "millionths and counts far below 2^53, for a picture"
)]
fn line(name: &str, curves: &Curves, index: usize, by: By) -> Line {
    let points = curves.points.iter().filter_map(|point| {
        let micro = match index {
            0 => point.point.loss_micro.map(|loss| loss as f64),
            1 => point.point.reward_micro.map(|reward| reward as f64),
            _ => point.point.evaluation_micro.map(|share| share as f64),
        };
        let x = match by {
            By::Step => point.point.step.get() as f64,
            By::Tokens => point.tokens_count as f64,
        };
        Some((x, micro? / 1e6))
    });
    Line {
        name: name.to_owned(),
        points: points.collect(),
    }
}

#[cfg(test)]
mod tests;
