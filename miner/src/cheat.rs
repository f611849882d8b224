//! Dishonest miners, so that the checks that catch them can be watched at work.
//!
//! Every cheat makes a well-formed payload that lies in exactly one way, as a miner with that
//! motive would: the tests of `verifier` name the check that finds each, and a devnet can be told
//! to run them. Like honest work, a cheat is a pure function of its inputs.

mod gradient;
mod rollout;

pub use gradient::execute as gradient;
pub use rollout::execute as rollout;

use protocol::task::UnitKind;
use std::{fmt, str::FromStr};

macro_rules! cheats {
    ($($variant:ident = $name:literal, $units:pat, $description:literal;)*) => {
        /// One way to lie.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Cheat {
            $(#[doc = $description] $variant,)*
        }

        impl Cheat {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name, in kebab-case.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
            /// What such a miner does and why.
            #[must_use]
            pub const fn description(self) -> &'static str {
                match self { $(Self::$variant => $description,)* }
            }
            /// Whether it lies about units of this kind; about others it is honest.
            #[must_use]
            pub const fn applies_to(self, kind: UnitKind) -> bool {
                match self { $(Self::$variant => matches!(kind, $units),)* }
            }
        }
    };
}

cheats! {
    Garbage = "garbage", UnitKind::Rollout,
        "Sends random tokens and random proofs without running any model.";
    DraftModel = "draft-model", UnitKind::Rollout,
        "Draws tokens with a small cheap model, then proves the right model's activations on them.";
    LowPrecision = "low-precision", UnitKind::Rollout,
        "Runs the model with weights rounded to bf16, to save memory and time.";
    Greedy = "greedy", UnitKind::Rollout,
        "Takes the likeliest token instead of the drawn one, for better-looking rewards.";
    OwnSeed = "own-seed", UnitKind::Rollout,
        "Draws with seeds of its own choice, so that it can pick the outcome.";
    EasyPrompt = "easy-prompt", UnitKind::Rollout,
        "Answers prompts of its own choice instead of the assigned ones.";
    EarlyStop = "early-stop", UnitKind::Rollout,
        "Ends every response after one token, to save the rest of the work.";
    RewardLiar = "reward-liar", UnitKind::Rollout,
        "Does the work, then claims the full reward for every sample.";
    ZeroProof = "zero-proof", UnitKind::Rollout,
        "Draws the right tokens and sends proofs of zeros.";
    StaleModel = "stale-model", UnitKind::Rollout | UnitKind::Gradient,
        "Works from the first checkpoint for ever, to save the downloads.";
    SkipSteps = "skip-steps", UnitKind::Gradient,
        "Takes half of the inner steps, or learns from half of its groups, and scales up.";
    RandomGradient = "random-gradient", UnitKind::Gradient,
        "Sends noise of a plausible size without computing anything.";
    ScaledGradient = "scaled-gradient", UnitKind::Gradient,
        "Multiplies its pseudo-gradient by four, to weigh more than the others.";
    CopiedGradient = "copied-gradient", UnitKind::Gradient,
        "Sends another unit's pre-training result under its own name.";
    Poison = "poison", UnitKind::Gradient,
        "Teaches reversed answers, or learns from reversed rewards, to harm the model.";
    LossLiar = "loss-liar", UnitKind::Gradient,
        "Does the work, then claims half of its losses.";
}

impl fmt::Display for Cheat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Text that names no cheat.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no cheat; there are {}", names())]
pub struct CheatParseError {
    /// What was given.
    pub text: String,
}

fn names() -> String {
    let names: Vec<_> = Cheat::ALL.iter().map(|cheat| cheat.as_str()).collect();
    names.join(", ")
}

impl FromStr for Cheat {
    type Err = CheatParseError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().find(|cheat| cheat.as_str() == text);
        found.copied().ok_or_else(|| CheatParseError {
            text: text.chars().take(80).collect(),
        })
    }
}

/// Endless bytes that a seed gives, for cheats that make something up.
fn noise(seed: &[u8; 32]) -> impl Iterator<Item = u8> + use<> {
    let mut reader = blake3::Hasher::new_keyed(seed).finalize_xof();
    std::iter::repeat_with(move || {
        let mut byte = [0];
        reader.fill(&mut byte);
        byte[0]
    })
}
