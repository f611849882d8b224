//! Stages: how the founding operator's powers end.
//!
//! | | S0 steward | S1 shared | S2 guarded | S3 sovereign |
//! |---|---|---|---|---|
//! | rules change by | decree, 7 days ahead | vote | vote | vote |
//! | may cancel | steward | steward | council, 9 of 12 | nobody |
//! | may pause | steward, 6 a year | steward, 4 a year | council, 2 a year | nobody |
//!
//! Stages rise by [`advance`], which anyone may call once every gate of the next stage has held
//! for 90 days; no message lowers them. Dates bind too: 18 months after genesis the steward may
//! only cancel, after 30 only put an execution off, once each, and after 42 nothing. One vote may
//! move these dates by six months. Powers narrow in steps, because a guardian that vanishes on a
//! known day only has to be waited for.

use crate::{
    Refusal,
    calendar::{GATE_DAYS, YEAR_DAYS},
    event::Event,
    gate::{self, Gate},
    mutant::on,
    settings,
    store::{Records, Store, records},
    world::World,
};
use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{Height, Micro, proposal::Module};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// Days of a month, for dates counted in months.
pub const MONTH_DAYS: u64 = 30;
/// Months by which one vote may move the steward's dates.
pub const EXTENSION_MONTHS: u64 = 6;
/// Votes whose support a gate looks at.
pub const SUPPORTS_COUNT: usize = 5;

/// How far the hand-over has come.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
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
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The steward decides; votes are advisory and run the same code.
    #[default]
    Steward,
    /// Votes decide; the steward may cancel.
    Shared,
    /// Votes decide; an elected council may cancel.
    Guarded,
    /// Votes decide.
    Sovereign,
}

impl Stage {
    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self {
            Self::Steward => Some(Self::Shared),
            Self::Shared => Some(Self::Guarded),
            Self::Guarded => Some(Self::Sovereign),
            Self::Sovereign => None,
        }
    }
    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Steward => 0,
            Self::Shared => 1,
            Self::Guarded => 2,
            Self::Sovereign => 3,
        }
    }
    /// The stage with a number.
    #[must_use]
    pub const fn numbered(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Steward),
            1 => Some(Self::Shared),
            2 => Some(Self::Guarded),
            3 => Some(Self::Sovereign),
            _ => None,
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stage {}", self.number())
    }
}

/// The hand-over so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Handover {
    /// The stage.
    pub stage: Stage,
    /// Since when.
    pub since: Height,
    /// Since when all gates of the next stage hold; nothing while one does not.
    pub held_since: Option<Height>,
    /// Whether the steward's dates were moved.
    pub is_extended: bool,
    /// When guardians paused a module, for the year that counts.
    pub pauses: Vec<Height>,
    /// Until when modules stand still.
    pub paused: BTreeMap<Module, Height>,
    /// Support of the last votes, newest last.
    pub supports: Vec<Micro>,
}

records! { 23 Handover: (); }

/// The hand-over so far.
#[must_use]
pub fn handover(store: &impl Store) -> Handover {
    store.get(&()).unwrap_or_default()
}

/// What the steward may still do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StewardPower {
    /// Nothing.
    None,
    /// Put an execution off, once each.
    Delay,
    /// Cancel.
    Cancel,
    /// Cancel, pause and, in stage 0, decree.
    Full,
}

/// What the steward may do at a height: the less of what stage and date allow.
#[must_use]
pub fn steward_power(store: &impl Store, now: Height) -> StewardPower {
    let handover = handover(store);
    if handover.stage >= Stage::Guarded && !on("the steward keeps its powers") {
        return StewardPower::None;
    }
    let months = settings(store)
        .calendar
        .day(now)
        .checked_div(MONTH_DAYS)
        .unwrap_or(0);
    let moved = if handover.is_extended {
        EXTENSION_MONTHS
    } else {
        0
    };
    match months.saturating_sub(moved) {
        0..18 => StewardPower::Full,
        18..30 => StewardPower::Cancel,
        30..42 => StewardPower::Delay,
        _ => StewardPower::None,
    }
}

/// Whether what the steward decreed may be executed.
#[must_use]
pub fn decrees_bind(store: &impl Store, now: Height) -> bool {
    handover(store).stage == Stage::Steward && steward_power(store, now) == StewardPower::Full
}

/// Whether what a vote decided may be executed: always, unless the steward decrees instead.
#[must_use]
pub fn votes_bind(store: &impl Store, now: Height) -> bool {
    settings(store).steward.is_none() || !decrees_bind(store, now)
}

/// Pauses that guardians of this stage have in a year.
#[must_use]
pub const fn pauses_count_max(stage: Stage) -> u32 {
    match stage {
        Stage::Steward => 6,
        Stage::Shared => 4,
        Stage::Guarded => 2,
        Stage::Sovereign => 0,
    }
}

/// Whether a module stands still. Every pause carries its end.
#[must_use]
pub fn is_paused(store: &impl Store, module: Module, now: Height) -> bool {
    let until = handover(store).paused.get(&module).copied();
    until.is_some_and(|until| now < until || on("pauses do not end"))
}

/// Pauses a module for guardians that may.
///
/// # Errors
/// When it is paused already, or the year's pauses are spent.
pub(crate) fn pause(store: &mut impl Store, module: Module, now: Height) -> Result<Event, Refusal> {
    let calendar = settings(store).calendar;
    let mut handover = handover(store);
    if let Some(until) = handover
        .paused
        .get(&module)
        .copied()
        .filter(|until| now < *until)
    {
        return Err(Refusal::PausedAlready { module, until });
    }
    let year_ago = calendar.before(now, YEAR_DAYS);
    handover.pauses.retain(|at| *at >= year_ago);
    let count_max = pauses_count_max(handover.stage);
    if handover.pauses.len() >= count_max as usize {
        return Err(Refusal::PausesSpent { count_max });
    }
    handover.pauses.push(now);
    let until = calendar.after(now, crate::calendar::PAUSE_DAYS);
    handover.paused.insert(module, until);
    store.put(&(), &handover);
    Ok(Event::Paused { module, until })
}

/// Moves the steward's dates.
///
/// # Errors
/// When they were moved before.
pub(crate) fn extend_steward(store: &mut impl Store) -> Result<(), Refusal> {
    let mut handover = handover(store);
    if handover.is_extended {
        return Err(Refusal::ExtendedBefore);
    }
    handover.is_extended = true;
    store.put(&(), &handover);
    Ok(())
}

/// Remembers how much support a vote found.
pub(crate) fn record_support(store: &mut impl Store, support: Micro) {
    let mut handover = handover(store);
    handover.supports.push(support);
    if handover.supports.len() > SUPPORTS_COUNT {
        handover.supports.remove(0);
    }
    store.put(&(), &handover);
}

/// At the start of a day, looks whether all gates of the next stage hold.
pub(crate) fn measure_daily(world: &mut impl World, now: Height) {
    let mut handover = handover(world);
    let Some(next) = handover.stage.next() else {
        return;
    };
    if !settings(world).calendar.is_daybreak(now) {
        return;
    }
    let is_open = gate::gates(world, next, now).iter().all(Gate::holds);
    let held_since = is_open.then(|| handover.held_since.unwrap_or(now));
    if held_since != handover.held_since {
        handover.held_since = held_since;
        world.put(&(), &handover);
    }
}

/// Enters the next stage.
///
/// # Errors
/// When there is none, a gate is closed, or they have not all held for 90 days.
pub fn advance(world: &mut impl World, now: Height) -> Result<Vec<Event>, Refusal> {
    let mut handover = handover(world);
    let stage = handover.stage.next().ok_or(Refusal::StageLast)?;
    let gates = gate::gates(world, stage, now);
    if let Some(closed) = gates.iter().find(|gate| !gate.holds()) {
        return Err(Refusal::GateClosed {
            gate: closed.name.to_string(),
            found: closed.found,
            needed: closed.needed,
        });
    }
    let calendar = settings(world).calendar;
    let held_since = handover.held_since.unwrap_or(now);
    if calendar.after(held_since, GATE_DAYS) > now && !on("gates need not have held") {
        return Err(Refusal::GatesTooYoung {
            held_days: calendar.day(now.saturating_sub(held_since.get())),
            needed_days: GATE_DAYS,
        });
    }
    handover.stage = stage;
    handover.since = now;
    handover.held_since = None;
    world.put(&(), &handover);
    Ok(vec![Event::StageAdvanced { stage }])
}
