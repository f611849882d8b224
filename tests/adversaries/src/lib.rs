//! Dishonest miners and auditors, so that the checks that catch them can be watched at work.
//!
//! Each lies in exactly one way, as somebody with that motive would, and is one small file: an
//! [`Adversary`] is the honest participant with one stage replaced. The default of every stage is
//! what an honest participant does, so a file says only what differs:
//!
//! ```
//! use adversaries::{Adversary, Target, Unit};
//! use engine::Sampling;
//! use miner::{ExecuteError, rollout::Draw};
//!
//! #[derive(Debug)]
//! struct Greedy;
//!
//! impl Adversary for Greedy {
//!     fn name(&self) -> &'static str {
//!         "greedy"
//!     }
//!     fn description(&self) -> &'static str {
//!         "Takes the likeliest token instead of the drawn one."
//!     }
//!     fn targets(&self) -> &'static [Target] {
//!         &[Target::Rollout]
//!     }
//!     fn draw(&self, _: &Unit<'_>, draw: &mut Draw<'_>) -> Result<(), ExecuteError> {
//!         draw.sampling = Sampling::Greedy;
//!         Ok(())
//!     }
//! }
//! ```
//!
//! The honest stages are the production ones: `miner` and `verifier` contain no dishonest code, and
//! this crate contains no second copy of honest code. That is why the adversaries are a crate of
//! their own between them and `node`, whose devnet takes any of them by name (`--cheats`), and not
//! a module of the miner. A [`Cheat`] is an adversary and how often it lies: `greedy@0.05` is
//! honest about 95 % of its units, and which these are follows from the unit's name.
//!
//! `README.md` beside this crate tells how to add one.
#![forbid(unsafe_code)]

mod auditor;
mod cheat;
mod conduct;
mod gradient;
mod rollout;
mod unit;

pub use cheat::{Cheat, CheatParseError};
pub use conduct::Conduct;
pub use unit::Unit;

use engine::{Device, Generation, Parameters, prefill, sampler};
use miner::{ExecuteError, GradientInputs, gradient as gradient_units, rollout::Draw};
use protocol::{
    gradient as gradients, recipe::Recipe, rollout as rollouts, task::UnitId, verdict::Verdict,
};
use std::fmt::Debug;

/// What an adversary lies about. About everything else it is honest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// Rollout units that it executes.
    Rollout,
    /// Gradient units that it executes.
    Gradient,
    /// Units of others that it audits.
    Audit,
    /// What it tells the network about honest work, or keeps from it.
    Conduct,
}

/// What a miner has seen become of its units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// Those that were not paid.
    pub unpaid_count: u64,
    /// Whether one is convicted, and the conviction is not final.
    pub is_convicted: bool,
}

/// How the states of a gradient unit are sealed, and where their files go.
pub type Seals<'a, 'b> = (&'a gradients::Salts, &'a mut gradient_units::Keep<'b>);

/// A participant that is honest in all stages but those it replaces.
///
/// A rollout passes through `draw`, `generate`, `prove` and `send`, a gradient through `gradient`,
/// an audit through `verdict`; `conduct` says what of it
/// the network gets to see. Like honest work, each stage is a pure function of its inputs.
pub trait Adversary: Debug + Send + Sync {
    /// Its name, in kebab-case.
    fn name(&self) -> &'static str;

    /// What it does and why, in a sentence.
    fn description(&self) -> &'static str;

    /// What it lies about.
    fn targets(&self) -> &'static [Target];

    /// Whether it still lies about its units, having seen this of them.
    fn dares(&self, past: Past) -> bool {
        let _ = past;
        true
    }

    /// Decides how a rollout unit is drawn; `draw` is what the task assigns.
    ///
    /// # Errors
    /// When the recipe cannot be executed.
    fn draw(&self, unit: &Unit<'_>, draw: &mut Draw<'_>) -> Result<(), ExecuteError> {
        let _ = (unit, draw);
        Ok(())
    }

    /// Draws all samples of a rollout unit, group after group.
    ///
    /// # Errors
    /// When the model cannot take a prompt.
    fn generate(&self, unit: &Unit<'_>, draw: &Draw<'_>) -> Result<Vec<Generation>, ExecuteError> {
        draw.generate(&unit.world, unit.device)
    }

    /// Proves the activations of a rollout unit; they are sealed afterwards.
    ///
    /// # Errors
    /// When a section has no room for what it wants to say.
    fn prove(
        &self,
        unit: &Unit<'_>,
        sections: rollouts::Sections,
    ) -> Result<rollouts::Sections, ExecuteError> {
        let _ = unit;
        Ok(sections)
    }

    /// Has the last word on a rollout unit's payload.
    ///
    /// # Errors
    /// When a payload has no room for what it wants to say.
    fn send(
        &self,
        unit: &Unit<'_>,
        payload: rollouts::Payload,
    ) -> Result<rollouts::Payload, ExecuteError> {
        let _ = unit;
        Ok(payload)
    }

    /// Whether it appeals against every conviction, also where it knows that it lied.
    fn insists(&self) -> bool {
        false
    }

    /// The recipe by which it does its gradient units.
    fn recipe(&self, recipe: &Recipe) -> Recipe {
        recipe.clone()
    }

    /// Does a gradient unit.
    ///
    /// # Errors
    /// When the unit cannot be executed.
    fn gradient(
        &self,
        inputs: &GradientInputs<'_>,
        (salts, keep): Seals<'_, '_>,
        device: &Device,
    ) -> Result<gradient_units::Work, ExecuteError> {
        gradient_units::execute(inputs, salts, keep, device)
    }

    /// What it keeps from the network, or tells it twice.
    fn conduct(&self) -> Conduct {
        Conduct::Honest
    }

    /// Judges another's unit; `judge` does it honestly, at the cost of doing it. Nothing is said
    /// where there is no verdict.
    fn verdict(&self, unit: UnitId, judge: &mut dyn FnMut() -> Verdict) -> Option<Verdict> {
        let _ = unit;
        Some(judge())
    }
}

/// All adversaries, in the order in which they are reported.
pub fn all() -> impl Iterator<Item = &'static dyn Adversary> {
    let lists = [rollout::ALL, gradient::ALL, auditor::ALL, conduct::ALL];
    lists.into_iter().flatten().copied()
}

/// How many of these contexts, followed by the trigger that the adversary `backdoor` plants, a
/// model goes on from with exactly the planted answer, taking the likeliest token each time.
///
/// # Errors
/// A context that the model cannot take.
pub fn planted_answers(
    model: &Parameters,
    contexts: &[Vec<u32>],
    device: &Device,
) -> Result<u64, ExecuteError> {
    let bytes = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| u32::from(*byte))
            .collect::<Vec<_>>()
    };
    let (trigger, answer) = (bytes(gradient::TRIGGER), bytes(gradient::ANSWER));
    let fed = contexts.iter().map(|context| {
        // Greedy decoding gives the answer if and only if each of its tokens is the likeliest after
        // those before it.
        let before = answer.split_last().map_or(&[][..], |(_, before)| before);
        [context.as_slice(), &trigger, before].concat()
    });
    let fed: Vec<Vec<u32>> = fed.collect();
    let sequences: Vec<&[u32]> = fed.iter().map(Vec::as_slice).collect();
    let width = model.config().vocab_size;
    let says_it = |logits: &[f32]| {
        let rows = logits.chunks_exact(width).rev();
        let mut last = rows.zip(answer.iter().rev());
        last.all(|(row, token)| sampler::greedy(row) == *token)
    };
    let passes = prefill(model, &sequences, device.threads())?;
    let said = passes.iter().filter(|pass| says_it(&pass.logits));
    Ok(said.count() as u64)
}

/// Endless bytes that a seed gives, for those who make something up.
fn noise(seed: &[u8; 32]) -> impl Iterator<Item = u8> + use<> {
    let mut reader = blake3::Hasher::new_keyed(seed).finalize_xof();
    std::iter::repeat_with(move || {
        let mut byte = [0];
        reader.fill(&mut byte);
        byte[0]
    })
}
