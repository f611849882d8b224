//! Gates: what must be measured on the chain before the next stage may begin.
//!
//! | | S1 | S2 | S3 |
//! |---|---|---|---|
//! | validators' holders | 16 | 32 | 64 |
//! | of them to exceed a third of all power | 4 | 6 | 10 |
//! | steward's share of power, below | 33 % | 20 % | 10 % |
//! | median support of the last five votes | 15 % | 20 % | 25 % |
//! | planted faults found, of the last thousand | 97 % | 99 % | 99 % |
//! | days without a guardian's pause | 90 | 180 | 365 |
//! | tokens needed to pass ÷ largest payout | 3 | 5 | 10 |
//!
//! One owner can pose as many holders, so gates are necessary and not proof.

use crate::{
    Share, power, purse, settings,
    share::in_millionths,
    stage::{SUPPORTS_COUNT, Stage, handover},
    track,
    world::World,
};
use protocol::{Address, Height};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, collections::BTreeMap};

/// Planted faults that must have been planted to count.
pub const PLANTED_COUNT_MIN: u64 = 1_000;

/// One measure and its line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// What is measured.
    pub name: Cow<'static, str>,
    /// The measure.
    pub found: u64,
    /// The line.
    pub needed: u64,
    /// On which side of the line it holds.
    pub side: Side,
}

/// On which side of its line a gate holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// At it or above.
    AtLeast,
    /// Below it.
    Below,
}

impl Gate {
    /// Whether it is open.
    #[must_use]
    pub const fn holds(&self) -> bool {
        match self.side {
            Side::AtLeast => self.found >= self.needed,
            Side::Below => self.found < self.needed,
        }
    }
}

/// The lines of a stage, in the order of the table; shares in millionths.
const fn lines(stage: Stage) -> [u64; 7] {
    match stage {
        Stage::Steward => [0, 0, u64::MAX, 0, 0, 0, 0],
        Stage::Shared => [16, 4, 330_000, 150_000, 970_000, 90, 3],
        Stage::Guarded => [32, 6, 200_000, 200_000, 990_000, 180, 5],
        Stage::Sovereign => [64, 10, 100_000, 250_000, 990_000, 365, 10],
    }
}

/// The gates of a stage with what is measured now.
#[must_use]
pub fn gates(world: &impl World, stage: Stage, now: Height) -> Vec<Gate> {
    let powers = powers(world);
    let calendar = settings(world).calendar;
    let handover = handover(world);
    let last_pause = handover.pauses.last().copied().unwrap_or(Height::ZERO);
    let quiet = calendar.day(now.saturating_sub(last_pause.get()));
    let [holders, third, steward, support, found, days, payout] = lines(stage);
    let gate = |name, found, needed, side| Gate {
        name: Cow::Borrowed(name),
        found,
        needed,
        side,
    };
    let count = u64::try_from(powers.len()).unwrap_or(u64::MAX);
    let own = steward_share(world, &powers);
    vec![
        gate("holders of validators", count, holders, Side::AtLeast),
        gate(
            "holders to exceed a third of power",
            to_exceed_a_third(&powers),
            third,
            Side::AtLeast,
        ),
        gate("steward's millionths of power", own, steward, Side::Below),
        gate(
            "median support in millionths",
            median(&handover),
            support,
            Side::AtLeast,
        ),
        gate(
            "planted faults found in millionths",
            detection(world),
            found,
            Side::AtLeast,
        ),
        gate("days without a pause", quiet, days, Side::AtLeast),
        gate(
            "tokens to pass for a token paid",
            passing_cost(world, now),
            payout,
            Side::AtLeast,
        ),
    ]
}

fn powers(world: &impl World) -> BTreeMap<Address, u64> {
    let mut powers = BTreeMap::new();
    for operator in world.operators() {
        let power: &mut u64 = powers.entry(operator.holder).or_default();
        *power = power.saturating_add(operator.power);
    }
    powers
}

fn all(powers: &BTreeMap<Address, u64>) -> u64 {
    powers
        .values()
        .fold(0, |sum, power| sum.saturating_add(*power))
}

fn to_exceed_a_third(powers: &BTreeMap<Address, u64>) -> u64 {
    let total = all(powers);
    let mut largest: Vec<u64> = powers.values().copied().collect();
    largest.sort_unstable_by(|left, right| right.cmp(left));
    let (mut sum, mut count) = (0_u64, 0_u64);
    for power in largest {
        sum = sum.saturating_add(power);
        count = count.saturating_add(1);
        if Share::new(1, 3).is_exceeded_by(sum, total) {
            break;
        }
    }
    count
}

fn steward_share(world: &impl World, powers: &BTreeMap<Address, u64>) -> u64 {
    let steward = settings(world).steward;
    let own = steward.and_then(|steward| powers.get(&steward).copied());
    in_millionths(own.unwrap_or(0), all(powers))
}

fn median(handover: &crate::stage::Handover) -> u64 {
    let mut supports: Vec<u64> = handover.supports.iter().map(|micro| micro.get()).collect();
    if supports.len() < SUPPORTS_COUNT {
        return 0;
    }
    supports.sort_unstable();
    supports.get(SUPPORTS_COUNT / 2).copied().unwrap_or(0)
}

fn detection(world: &impl World) -> u64 {
    match world.planted() {
        Some(seen) if seen.planted >= PLANTED_COUNT_MIN => in_millionths(seen.found, seen.planted),
        Some(_) | None => 0,
    }
}

/// For every token that a treasury vote could pay, the tokens that must be staked to pass it; the
/// least over the tiers. More than anyone has, if the treasury is empty.
fn passing_cost(world: &impl World, now: Height) -> u64 {
    let eligible = power::eligible(world, now);
    let treasury = purse::purse(world).treasury.get();
    let cost = |(tier, cap): &(_, Share)| {
        let needed = track::floor(*tier).support.ceiling_of(eligible);
        needed.checked_div(cap.of(treasury)).unwrap_or(u64::MAX)
    };
    purse::TIERS.iter().map(cost).min().unwrap_or(0)
}
