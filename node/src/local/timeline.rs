//! Where a process's time goes: every moment counts for one activity.
//!
//! Computing comes before everything that goes on beside it, since what is hidden behind it costs
//! nothing; adding up a checkpoint comes before transfers. What is left is waiting: for the chain,
//! for a turn, for others to fetch what was made here.

use serde::{Deserialize, Serialize};
use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// What a process does, apart from waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Units: its own, or audits of others.
    Computing,
    /// Making a checkpoint out of updates.
    AddingUp,
    /// Waiting for blobs that are on their way here.
    Fetching,
}

/// Where time went, in microseconds of the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// Computing units.
    pub computing_us: u64,
    /// Making checkpoints out of updates.
    pub adding_up_us: u64,
    /// Waiting for blobs.
    pub fetching_us: u64,
    /// Everything else.
    pub waiting_us: u64,
}

impl Times {
    fn slot(&mut self, activity: Option<Activity>) -> &mut u64 {
        match activity {
            Some(Activity::Computing) => &mut self.computing_us,
            Some(Activity::AddingUp) => &mut self.adding_up_us,
            Some(Activity::Fetching) => &mut self.fetching_us,
            None => &mut self.waiting_us,
        }
    }
    /// What has passed since an earlier look.
    #[must_use]
    pub const fn since(&self, earlier: &Self) -> Self {
        Self {
            computing_us: self.computing_us.saturating_sub(earlier.computing_us),
            adding_up_us: self.adding_up_us.saturating_sub(earlier.adding_up_us),
            fetching_us: self.fetching_us.saturating_sub(earlier.fetching_us),
            waiting_us: self.waiting_us.saturating_sub(earlier.waiting_us),
        }
    }
    /// All of it.
    #[must_use]
    pub const fn total_us(&self) -> u64 {
        let Self {
            computing_us,
            adding_up_us,
            fetching_us,
            waiting_us,
        } = *self;
        computing_us + adding_up_us + fetching_us + waiting_us
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |us: u64| Duration::from_micros(us).as_secs_f64();
        write!(
            f,
            "{:.1} s computing, {:.1} s adding up, {:.1} s fetching, {:.1} s waiting",
            seconds(self.computing_us),
            seconds(self.adding_up_us),
            seconds(self.fetching_us),
            seconds(self.waiting_us)
        )
    }
}

/// A process's time since it started.
#[derive(Debug)]
pub struct Timeline(Mutex<Ongoing>);

#[derive(Debug)]
struct Ongoing {
    computing_count: u32,
    adding_up_count: u32,
    fetching_count: u32,
    times: Times,
    /// Until when `times` are counted.
    counted: Instant,
}

impl Ongoing {
    const fn activity(&self) -> Option<Activity> {
        match (
            self.computing_count,
            self.adding_up_count,
            self.fetching_count,
        ) {
            (1.., _, _) => Some(Activity::Computing),
            (0, 1.., _) => Some(Activity::AddingUp),
            (0, 0, 1..) => Some(Activity::Fetching),
            (0, 0, 0) => None,
        }
    }
    fn count(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.counted);
        let us = u64::try_from(passed.as_micros()).unwrap_or(u64::MAX);
        *self.times.slot(self.activity()) += us;
        // What is less than a microsecond counts the next time.
        self.counted += Duration::from_micros(us);
    }
    const fn under_way(&mut self, activity: Activity) -> &mut u32 {
        match activity {
            Activity::Computing => &mut self.computing_count,
            Activity::AddingUp => &mut self.adding_up_count,
            Activity::Fetching => &mut self.fetching_count,
        }
    }
}

impl Default for Timeline {
    fn default() -> Self {
        Self(Mutex::new(Ongoing {
            computing_count: 0,
            adding_up_count: 0,
            fetching_count: 0,
            times: Times::default(),
            counted: Instant::now(),
        }))
    }
}

/// Something under way until this is dropped.
#[derive(Debug)]
#[must_use]
pub struct Busy<'a> {
    timeline: &'a Timeline,
    activity: Activity,
}

impl Timeline {
    fn change(&self, now: Instant, change: impl FnOnce(&mut Ongoing)) {
        let mut ongoing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ongoing.count(now);
        change(&mut ongoing);
    }
    /// Notes that an activity begins.
    pub fn begin(&self, activity: Activity) -> Busy<'_> {
        self.change(Instant::now(), |ongoing| *ongoing.under_way(activity) += 1);
        Busy {
            timeline: self,
            activity,
        }
    }
    /// Where the time went until now.
    #[must_use]
    pub fn times(&self) -> Times {
        self.change(Instant::now(), |_| ());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).times
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let activity = self.activity;
        self.timeline
            .change(Instant::now(), |ongoing| *ongoing.under_way(activity) -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_counts_once_and_computing_comes_first() {
        let timeline = Timeline::default();
        let start = Instant::now();
        timeline.change(start, |ongoing| ongoing.times = Times::default());
        let at = |ms| start + Duration::from_millis(ms);
        timeline.change(at(10), |ongoing| ongoing.fetching_count = 2);
        timeline.change(at(30), |ongoing| ongoing.computing_count = 1);
        timeline.change(at(60), |ongoing| ongoing.fetching_count = 0);
        timeline.change(at(100), |ongoing| ongoing.computing_count = 0);
        timeline.change(at(150), |ongoing| ongoing.adding_up_count = 1);
        timeline.change(at(151), |ongoing| ongoing.adding_up_count = 0);
        let ongoing = timeline.0.lock().unwrap_or_else(PoisonError::into_inner);
        let expected = Times {
            computing_us: 70_000,
            adding_up_us: 1_000,
            fetching_us: 20_000,
            waiting_us: 60_000,
        };
        assert_eq!(ongoing.times, expected);
        assert_eq!(ongoing.times.total_us(), 151_000);
        assert_eq!(ongoing.times.since(&expected), Times::default());
        let said = "0.1 s computing, 0.0 s adding up, 0.0 s fetching, 0.1 s waiting";
        assert_eq!(expected.to_string(), said);
    }

    #[test]
    fn an_activity_ends_with_its_guard() {
        let timeline = Timeline::default();
        let busy = timeline.begin(Activity::Fetching);
        drop(busy);
        let before = timeline.times();
        std::thread::sleep(Duration::from_millis(2));
        let after = timeline.times();
        assert_eq!(before.fetching_us, after.fetching_us);
        assert!(after.waiting_us >= before.waiting_us + 2_000, "{after:?}");
    }
}
