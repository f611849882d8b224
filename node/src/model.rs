//! `cairn model`: real language models through the exact engine, on one machine.
//!
//! A model is a Hugging Face directory: `config.json`, safetensors weights, `tokenizer.json`.
//! `import` makes one from a GGUF file; the other commands read any such directory.

mod generate;
mod import;
mod plan;
mod show;

use anyhow::Result;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What to do with a model.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a Hugging Face directory from a GGUF file.
    Import {
        /// The GGUF file.
        source: PathBuf,
        /// The directory to write; made if it is not there.
        directory: PathBuf,
    },
    /// Show a model's shape, number of parameters and id.
    Show {
        /// The model's directory.
        directory: PathBuf,
    },
    /// Continue a text.
    Generate(GenerateArguments),
    /// Say how much memory training and generation take.
    Plan(PlanArguments),
}

/// How a text is continued.
#[derive(Debug, Args)]
pub struct GenerateArguments {
    /// The model's directory.
    directory: PathBuf,
    /// The text to continue, or the message to answer if the model is a chat model.
    #[arg(long)]
    prompt: String,
    /// Continue the text as it is, even if the model is a chat model.
    #[arg(long)]
    raw: bool,
    /// Most tokens to draw.
    #[arg(long, default_value_t = 128)]
    tokens: usize,
    /// 0 takes the likeliest token every time.
    #[arg(long, default_value_t = 0.0)]
    temperature: f32,
    /// Seed of the draws.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Compute threads [default: all cores].
    #[arg(long)]
    threads: Option<usize>,
    /// Check that one pass over all tokens gives the same hidden states, bit for bit.
    #[arg(long)]
    verify: bool,
}

/// What a plan is for.
#[derive(Debug, Args)]
pub struct PlanArguments {
    /// The model's directory; only its `config.json` is read.
    directory: PathBuf,
    /// Sequences at a time.
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Tokens in a sequence [default: the model's context].
    #[arg(long)]
    seq: Option<usize>,
    /// GiB to fit into [default: what this machine has free].
    #[arg(long)]
    memory: Option<f64>,
}

/// Runs a command.
///
/// # Errors
/// One line with the file, what was expected and what was found.
pub fn run(command: Command) -> Result<()> {
    match command {
        Command::Import { source, directory } => import::run(&source, &directory),
        Command::Show { directory } => show::run(&directory),
        Command::Generate(arguments) => generate::run(&arguments),
        Command::Plan(arguments) => plan::run(&arguments),
    }
}

#[cfg(test)]
mod tests;
