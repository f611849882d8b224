//! Tasks: which unit, whose, with which seeds. Nothing in a task is chosen by the miner.
//!
//! Spec: 01-task. A unit is one piece of work of a step: a *rollout* unit (several prompts, all
//! samples of each) or a *gradient* unit. [`assign`] maps units to miners by a [`Beacon`] that is
//! known only after the miners are fixed; every seed is a hash that binds chain, checkpoint,
//! environment, beacon, unit, slot and owner, so copied or re-used output is worthless.

pub use crate::beacon::Beacon;

use crate::{
    Address, Amount, ChainId, CheckpointId, EnvironmentHash, Micro, RunId, Step,
    identifiers::tagged_hash,
};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// The two kinds of work.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum UnitKind {
    /// Generate samples and score them.
    Rollout,
    /// Run optimiser steps and compress the pseudo-gradient.
    Gradient,
}

impl UnitKind {
    /// The word used in identifiers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rollout => "rollout",
            Self::Gradient => "gradient",
        }
    }
}

/// Names a unit of work: run, step, kind and position; written `0.12.rollout.3`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub struct UnitId {
    /// The run.
    pub run: RunId,
    /// The step in which it is computed.
    pub step: Step,
    /// What is computed.
    pub kind: UnitKind,
    /// Position among the step's units of this kind.
    pub index: u32,
}

impl fmt::Display for UnitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{}.{}.{}",
            self.run,
            self.step,
            self.kind.as_str(),
            self.index
        )
    }
}

/// Text that does not name a unit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} does not name a unit; the form is run.step.kind.index, such as 0.12.rollout.3")]
pub struct UnitParseError {
    /// What was given.
    pub text: String,
}

impl FromStr for UnitId {
    type Err = UnitParseError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || UnitParseError {
            text: text.chars().take(80).collect(),
        };
        let parts: Vec<&str> = text.split('.').collect();
        let [run, step, kind, index] = parts[..] else {
            return Err(error());
        };
        let kind = match kind {
            "rollout" => UnitKind::Rollout,
            "gradient" => UnitKind::Gradient,
            _ => return Err(error()),
        };
        Ok(Self {
            run: run.parse().map_err(|_| error())?,
            step: step.parse().map_err(|_| error())?,
            kind,
            index: index.parse().map_err(|_| error())?,
        })
    }
}

impl Serialize for UnitId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UnitId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <String as Deserialize>::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// A miner's claim to work: its part of all units is that of `bond` · `quota` of their sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Who claims.
    pub miner: Address,
    /// What it has locked.
    pub bond: Amount,
    /// What is left of its claim after refusals and gaps.
    pub quota: Micro,
}

impl Share {
    fn weight(&self) -> u128 {
        u128::from(self.bond.get()).saturating_mul(u128::from(self.quota.get()))
    }
}

/// Deals `units_count` units by systematic sampling; the owner of each, by index.
///
/// The miners lie on a line, each as long as its weight, in an order that the beacon draws; the
/// units are points at equal distances on it from an offset that the beacon draws, and their
/// indexes are dealt to the points by the beacon as well. So a miner has its exact share rounded
/// down or up, splitting a bond over several keys gains nothing, and nobody chooses its units.
/// Empty when nobody has weight.
#[must_use]
pub fn assign(beacon: &Beacon, kind: UnitKind, units_count: u32, shares: &[Share]) -> Vec<Address> {
    let total = shares
        .iter()
        .fold(0_u128, |sum, share| sum.saturating_add(share.weight()));
    if total == 0 {
        return Vec::new();
    }
    let place = |share: &Share| {
        let hash = tagged_hash("cairn/assign/v1", &(beacon, kind, share.miner));
        (hash, share.miner)
    };
    let mut line: Vec<&Share> = shares.iter().collect();
    line.sort_unstable_by_key(|share| place(share));
    let turn = |index: &u32| (tagged_hash("cairn/deal/v1", &(beacon, kind, index)), *index);
    let mut order: Vec<u32> = (0..units_count).collect();
    order.sort_unstable_by_key(turn);

    let mut low = [0; 16];
    low.copy_from_slice(&tagged_hash("cairn/offset/v1", &(beacon, kind))[..16]);
    let mut point = u128::from_le_bytes(low) % total;
    let (mut passed, mut next) = (0_u128, line.into_iter());
    let mut owner = None;
    let mut dealt = Vec::with_capacity(order.len());
    for index in order {
        // Both sides are multiplied by the number of units, so that nothing is rounded.
        while owner.is_none() || passed.saturating_mul(units_count.into()) <= point {
            let Some(share) = next.next() else { break };
            passed = passed.saturating_add(share.weight());
            owner = Some(share.miner);
        }
        dealt.extend(owner.map(|miner| (index, miner)));
        point = point.saturating_add(total);
    }
    dealt.sort_unstable();
    dealt.into_iter().map(|(_, miner)| miner).collect()
}

/// Everything a rollout unit's seeds bind.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub struct RolloutTask {
    /// The chain.
    pub chain: ChainId,
    /// The generating checkpoint.
    pub checkpoint: CheckpointId,
    /// The environment.
    pub environment: EnvironmentHash,
    /// The step's beacon.
    pub beacon: Beacon,
    /// The unit.
    pub unit: UnitId,
    /// Who computes it.
    pub miner: Address,
}

impl RolloutTask {
    /// Seed of the prompt of group `group`.
    #[must_use]
    pub fn prompt_seed(&self, group: u32) -> [u8; 32] {
        prompt_seed(&self.beacon, self.unit, self.environment, group)
    }
    /// Seed of all randomness of sample `slot` of group `group`.
    #[must_use]
    pub fn sample_seed(&self, group: u32, slot: u32) -> [u8; 32] {
        tagged_hash("cairn/sample/v1", &(self, group, slot))
    }
}

/// Seed of the prompt of one group of a rollout unit. The miner is not in it, nor the checkpoint.
#[must_use]
pub fn prompt_seed(
    beacon: &Beacon,
    unit: UnitId,
    environment: EnvironmentHash,
    group: u32,
) -> [u8; 32] {
    tagged_hash("cairn/prompt/v1", &(beacon, unit, environment, group))
}

/// Where a row of an inner batch comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize)]
pub enum RowSource {
    /// A slice of the corpus.
    Corpus,
    /// A demonstration of the task.
    Demonstration,
}

/// Seed of one row of one inner batch of a pre-training unit.
#[must_use]
pub fn row_seed(
    beacon: &Beacon,
    unit: UnitId,
    inner_step: u32,
    source: RowSource,
    row: u32,
) -> [u8; 32] {
    tagged_hash("cairn/row/v1", &(beacon, unit, inner_step, source, row))
}
