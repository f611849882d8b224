//! What happens to a devnet's miners on purpose: one joins late, is killed, vanishes, or is slow.
//!
//! `miner-3:join@3,miner-1:vanish@5,miner-2:slow=10`

use anyhow::{Context as _, Result, bail};
use protocol::Step;
use std::{fmt, str::FromStr};

/// Slower than this nobody need be.
const SLOWNESS_MAX: u32 = 1_000;

/// What happens to a miner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It is started only when this step begins, and the run does not wait for it.
    Join(Step),
    /// It is killed without warning when this step begins, and started again as always.
    Kill(Step),
    /// It is killed without warning when this step begins, and does not come back.
    Vanish(Step),
    /// Everything that it computes takes this many times as long.
    Slow(u32),
}

/// Something that happens to a miner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The miner's name.
    pub name: String,
    /// What happens to it.
    pub what: What,
}

impl FromStr for Event {
    type Err = anyhow::Error;
    fn from_str(text: &str) -> Result<Self> {
        let (name, what) = text
            .split_once(':')
            .with_context(|| format!("event {text:?} is not MINER:EVENT"))?;
        let step = |step: &str| -> Result<Step> {
            let step = step.parse();
            Ok(Step::new(step.with_context(|| {
                format!("event {text:?} does not end with a step")
            })?))
        };
        let what = match what.split_once(['@', '=']) {
            Some(("join", at)) => What::Join(step(at)?),
            Some(("kill", at)) => What::Kill(step(at)?),
            Some(("vanish", at)) => What::Vanish(step(at)?),
            Some(("slow", factor)) => {
                let factor = factor.parse().ok();
                let factor = factor.filter(|factor| (2..=SLOWNESS_MAX).contains(factor));
                What::Slow(factor.with_context(|| {
                    format!("event {text:?} is not slower by 2 to {SLOWNESS_MAX} times")
                })?)
            }
            _ => bail!(
                "event {text:?} is none of MINER:join@STEP, MINER:kill@STEP, MINER:vanish@STEP \
                 and MINER:slow=TIMES"
            ),
        };
        Ok(Self {
            name: name.to_owned(),
            what,
        })
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match self.what {
            What::Join(step) => write!(f, "{name} joins at step {step}"),
            What::Kill(step) => write!(f, "{name} is killed at step {step}"),
            What::Vanish(step) => write!(f, "{name} is killed at step {step}, and stays away"),
            What::Slow(times) => write!(f, "{name} takes {times} times as long"),
        }
    }
}

impl Event {
    /// Whether it is due once the run is at this step; how slow a miner is, is known from its
    /// start.
    #[must_use]
    pub fn is_due(&self, now: Step) -> bool {
        match self.what {
            What::Join(step) | What::Kill(step) | What::Vanish(step) => now >= step,
            What::Slow(_) => false,
        }
    }
}

/// Whether a miner is started only later.
#[must_use]
pub fn joins_late(events: &[Event], name: &str) -> bool {
    let joins = |event: &&Event| matches!(event.what, What::Join(_));
    events.iter().filter(joins).any(|event| event.name == name)
}

/// How many times as long a miner takes.
#[must_use]
pub fn slowness(events: &[Event], name: &str) -> u32 {
    let own = events.iter().filter(|event| event.name == name);
    let slow = own.filter_map(|event| match event.what {
        What::Slow(times) => Some(times),
        What::Join(_) | What::Kill(_) | What::Vanish(_) => None,
    });
    slow.max().unwrap_or(1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn events_are_what_they_say() {
        let read = |text: &str| text.parse::<Event>();
        let all = ["a:join@3", "b:kill@5", "b:vanish@6", "c:slow=10"];
        let events: Vec<Event> = all.iter().map(|text| read(text).unwrap()).collect();
        assert_eq!(events[0].what, What::Join(Step::new(3)));
        assert_eq!(
            events[2].to_string(),
            "b is killed at step 6, and stays away"
        );
        assert!(events[1].is_due(Step::new(5)) && !events[1].is_due(Step::new(4)));
        assert!(joins_late(&events, "a") && !joins_late(&events, "b"));
        assert_eq!((slowness(&events, "c"), slowness(&events, "a")), (10, 1));
        for wrong in [
            "a",
            "a:dance@3",
            "a:join@",
            "a:slow=1",
            "a:slow=x",
            "a:kill",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
