//! An adversary by name, and how often it lies.

use crate::{Adversary, Conduct, Past, Seals, Target, Unit, all};
use engine::Device;
use miner::{ExecuteError, GradientInputs, RolloutInputs, World, gradient, rollout};
use protocol::{
    identifiers::tagged_hash,
    recipe::Recipe,
    rollout as rollouts,
    task::{UnitId, UnitKind},
    verdict::Verdict,
};
use std::{fmt, str::FromStr};

/// One, in millionths.
const ONE_MICRO: u32 = 1_000_000;

/// An adversary and the share of units that it lies about; written `greedy` or `greedy@0.05`.
#[derive(Clone, Copy, Debug)]
pub struct Cheat {
    adversary: &'static dyn Adversary,
    share_micro: u32,
    past: Past,
}

impl Cheat {
    /// An adversary that lies whenever it can.
    #[must_use]
    pub const fn always(adversary: &'static dyn Adversary) -> Self {
        Self {
            adversary,
            share_micro: ONE_MICRO,
            past: Past {
                unpaid_count: 0,
                is_convicted: false,
            },
        }
    }

    /// The same adversary, lying about a share of units in millionths.
    #[must_use]
    pub fn sometimes(self, share_micro: u32) -> Self {
        Self {
            share_micro: share_micro.min(ONE_MICRO),
            ..self
        }
    }

    /// The same adversary, having seen this become of its units.
    #[must_use]
    pub const fn having_seen(self, past: Past) -> Self {
        Self { past, ..self }
    }

    /// The adversary.
    #[must_use]
    pub const fn adversary(&self) -> &'static dyn Adversary {
        self.adversary
    }

    /// The share of units that it lies about, in millionths.
    #[must_use]
    pub const fn share_micro(&self) -> u32 {
        self.share_micro
    }

    /// Whether it lies in this role.
    #[must_use]
    pub fn lies_about(&self, target: Target) -> bool {
        self.adversary.targets().contains(&target)
    }

    /// Whether it lies about this unit, as its miner.
    #[must_use]
    pub fn lies_in(&self, unit: UnitId) -> bool {
        let target = match unit.kind {
            UnitKind::Rollout => Target::Rollout,
            UnitKind::Gradient => Target::Gradient,
        };
        self.lies_about(target) && self.adversary.dares(self.past) && self.is_drawn(unit)
    }

    fn is_drawn(&self, unit: UnitId) -> bool {
        let hash = tagged_hash("cairn/adversary/v1", &(self.adversary.name(), unit));
        place(&hash) < u64::from(self.share_micro)
    }

    /// Does a rollout unit.
    ///
    /// # Errors
    /// As [`rollout::execute`].
    pub fn rollout(
        &self,
        inputs: &RolloutInputs<'_>,
        salts: &rollouts::Salts,
        device: &Device,
    ) -> Result<rollout::Work, ExecuteError> {
        if !self.lies_in(inputs.task.unit) {
            return rollout::execute(inputs, salts, device);
        }
        let world = World::of(inputs.recipe)?;
        let unit = Unit {
            inputs,
            world,
            device,
        };
        let mut draw = rollout::Draw::assigned(inputs, &world);
        self.adversary.draw(&unit, &mut draw)?;
        let generations = self.adversary.generate(&unit, &draw)?;
        let mut answers = rollout::answers(inputs, &world, &draw.prompts, &generations);
        let sections = rollout::sections(inputs, &draw, &generations, device)?;
        let sections = self.adversary.prove(&unit, sections)?;
        let plant = rollout::plant(inputs, &world, &mut answers, salts);
        let payload = rollout::sealed(inputs.task, answers, &sections, salts, plant)?;
        let payload = self.adversary.send(&unit, payload)?;
        Ok(rollout::Work {
            payload,
            sections,
            plant,
        })
    }

    /// Does a gradient unit.
    ///
    /// # Errors
    /// As [`gradient::execute`].
    pub fn gradient(
        &self,
        inputs: &GradientInputs<'_>,
        seals: Seals<'_, '_>,
        device: &Device,
    ) -> Result<gradient::Work, ExecuteError> {
        if self.lies_in(inputs.unit) {
            let recipe = self.adversary.recipe(inputs.recipe);
            let inputs = GradientInputs {
                recipe: &recipe,
                ..inputs.clone()
            };
            self.adversary.gradient(&inputs, seals, device)
        } else {
            let (salts, keep) = seals;
            gradient::execute(inputs, salts, keep, device)
        }
    }

    /// The recipe by which it does a unit, as its miner.
    #[must_use]
    pub fn recipe(&self, unit: UnitId, recipe: &Recipe) -> Recipe {
        if self.lies_in(unit) {
            self.adversary.recipe(recipe)
        } else {
            recipe.clone()
        }
    }

    /// How it behaves about this unit, as its miner.
    #[must_use]
    pub fn conduct(&self, unit: UnitId) -> Conduct {
        if self.is_drawn(unit) {
            self.adversary.conduct()
        } else {
            Conduct::Honest
        }
    }

    /// Whether it lets its turn to propose pass, in which it would prove this randomness.
    #[must_use]
    pub fn withholds_block(&self, proof: &[u8]) -> bool {
        let place = place(&tagged_hash("cairn/adversary-turn/v1", proof));
        self.adversary.conduct() == Conduct::WithholdsBlock && place < u64::from(self.share_micro)
    }

    /// Whether it acts as a validator or verifier.
    #[must_use]
    pub fn is_auditor(&self) -> bool {
        self.lies_about(Target::Audit) || self.adversary.conduct() == Conduct::WithholdsBlock
    }

    /// Whether it acts as a miner.
    #[must_use]
    pub fn is_miner(&self) -> bool {
        let is_miner = |target: &Target| matches!(target, Target::Rollout | Target::Gradient);
        let targets = self.adversary.targets();
        targets.iter().any(is_miner) || !self.is_auditor()
    }

    /// Judges a unit, or keeps silent about it.
    pub fn verdict(&self, unit: UnitId, judge: &mut dyn FnMut() -> Verdict) -> Option<Verdict> {
        if self.lies_about(Target::Audit) && self.is_drawn(unit) {
            self.adversary.verdict(unit, judge)
        } else {
            Some(judge())
        }
    }
}

/// Where in a million a hash falls.
fn place(hash: &[u8; 32]) -> u64 {
    let [a, b, c, d, ..] = *hash;
    (u64::from(u32::from_le_bytes([a, b, c, d])) * u64::from(ONE_MICRO)) >> 32
}

impl fmt::Display for Cheat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.adversary.name())?;
        if self.share_micro < ONE_MICRO {
            let digits = format!("{:06}", self.share_micro);
            write!(f, "@0.{}", digits.trim_end_matches('0'))?;
        }
        Ok(())
    }
}

/// Text that names no adversary.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheatParseError {
    /// No adversary has this name.
    #[error("{name:?} is no adversary; there are {}", names())]
    Name {
        /// What was given.
        name: String,
    },
    /// A share outside its range.
    #[error("share {share:?} is not one; from 0.000001 to 1 is possible")]
    Share {
        /// What was given.
        share: String,
    },
}

fn names() -> String {
    let names: Vec<_> = all().map(Adversary::name).collect();
    names.join(", ")
}

impl FromStr for Cheat {
    type Err = CheatParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, share) = text.split_once('@').unwrap_or((text, "1"));
        let found = all().find(|adversary| adversary.name() == name);
        let adversary = found.ok_or_else(|| CheatParseError::Name {
            name: name.chars().take(80).collect(),
        })?;
        let share_micro = share_micro(share).ok_or_else(|| CheatParseError::Share {
            share: share.chars().take(80).collect(),
        })?;
        Ok(Self::always(adversary).sometimes(share_micro))
    }
}

/// A decimal number above zero and up to one, with at most six decimals.
fn share_micro(text: &str) -> Option<u32> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = [whole, decimals].concat();
    let is_number = !whole.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || whole.len() > 1 || decimals.len() > 6 {
        return None;
    }
    let value: u32 = format!("{whole}{decimals:0<6}").parse().ok()?;
    (1..=ONE_MICRO).contains(&value).then_some(value)
}
